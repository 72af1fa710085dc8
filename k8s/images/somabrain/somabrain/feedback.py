"""One unit: the feedback row, the token row and the learning step happen together or not at all (contract 4)."""

from dataclasses import dataclass
from hashlib import sha256
from uuid import uuid4

from sqlalchemy import Connection, insert, select

from somabrain import adaptation
from somabrain.adaptation import State
from somabrain.errors import Refused
from somabrain.learning import Rules
from somabrain.memory import number
from somabrain.tables import feedback_events, token_usage
from somabrain.wire import Json, dumps

LIMITS = (("session_id", 128), ("query", 4096), ("prompt", 4096), ("response_text", 1024))
METADATA_BYTES = 8192
MODEL_LENGTH = 128


@dataclass(frozen=True)
class Feedback:
    session_id: str
    query: str
    prompt: str
    response_text: str
    utility: float
    reward: float | None = None
    metadata: Json | None = None

    @property
    def signal(self) -> float:
        return self.utility if self.reward is None else self.reward

    @property
    def tokens(self) -> float | None:
        """metadata.tokens, else metadata.tokens_used, if it is a number."""
        named = ((self.metadata or {}).get(name) for name in ("tokens", "tokens_used"))
        return next((float(value) for value in named if number(value)), None)


def check(feedback: Feedback) -> None:
    for name, limit in LIMITS:
        if len(getattr(feedback, name)) > limit:
            raise Refused(400, f"input field exceeds {limit} characters: {name}")
    if feedback.metadata is not None and len(dumps(feedback.metadata).encode()) > METADATA_BYTES:
        raise Refused(400, "metadata exceeds 8 KB")


class Repeated(Exception):
    """A feedback with this key of the tenant's is applied already."""


def check_key(connection: Connection, tenant: str, rules: Rules, digest: bytes) -> None:
    """Raise Repeated if a feedback has this key. None gets it meanwhile: the tenant's state is locked."""
    adaptation.locked(connection, tenant, rules)
    c = feedback_events.c
    found = select(c.id).where(c.tenant_id == tenant, c.idempotency_digest == digest)
    if connection.execute(found).one_or_none() is not None:
        raise Repeated


def apply(
    connection: Connection, tenant: str, feedback: Feedback, rules: Rules, idempotency_key: str | None = None
) -> State:
    """Take the step and write the rows, within the caller's transaction. Repeated if its key was used."""
    digest = None if idempotency_key is None else sha256(idempotency_key.encode()).digest()
    if digest is not None:
        check_key(connection, tenant, rules, digest)
    state = adaptation.step(connection, tenant, rules, feedback.signal)
    connection.execute(
        insert(feedback_events).values(
            id=uuid4().hex,
            session_id=feedback.session_id,
            query=feedback.query,
            prompt=feedback.prompt,
            response_text=feedback.response_text,
            utility=feedback.utility,
            reward=feedback.reward,
            metadata_json=None if feedback.metadata is None else dumps(feedback.metadata),
            created_at=state.last_feedback_at,
            tenant_id=tenant,
            idempotency_digest=digest,
        )
    )
    if (tokens := feedback.tokens) is not None:
        model = (feedback.metadata or {}).get("model")
        connection.execute(
            insert(token_usage).values(
                id=uuid4().hex,
                session_id=feedback.session_id,
                tenant_id=tenant,
                tokens=tokens,
                model=model[:MODEL_LENGTH].replace("\x00", "") if isinstance(model, str) else None,
                created_at=state.last_feedback_at,
            )
        )
    return state
