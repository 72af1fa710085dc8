"""The adaptation state of a tenant: one row in Postgres, locked while it changes, and its copy in Redis."""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy import Connection, Engine, Row, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import SQLAlchemyError

from somabrain import learning, metrics, neuromodulators
from somabrain.errors import Refused, reason
from somabrain.learning import BASE_RATE, Rule, Rules, Weights
from somabrain.tables import adaptation_snapshots, adaptation_state
from somabrain.wire import Json, dumps

SNAPSHOTS = 1000
COPY_TTL_S = 7 * 24 * 3600
WEIGHTS = tuple(Weights().as_dict())
log = logging.getLogger("somabrain")


@dataclass(frozen=True)
class State:
    weights: Weights
    rules: Rules
    history_len: int = 0
    learning_rate: float = BASE_RATE
    base_rate: float = BASE_RATE
    last_feedback_at: datetime | None = None

    def copy(self) -> Json:
        """What the key in Redis holds."""
        return {
            "retrieval": self.weights.retrieval(),
            "utility": self.weights.utility(),
            "feedback_count": self.history_len,
            "learning_rate": self.learning_rate,
        }

    def shown(self) -> Json:
        """What GET /context/adaptation/state answers."""
        return {
            "retrieval": self.weights.retrieval(),
            "utility": self.weights.utility(),
            "history_len": self.history_len,
            "learning_rate": self.learning_rate,
            "gains": {name: rule.gain for name, rule in self.rules.items()},
            "constraints": {
                f"{name.rstrip('_')}_{end}": bound
                for name, rule in self.rules.items()
                for end, bound in (("min", rule.low), ("max", rule.high))
            },
        }


def key(tenant: str) -> str:
    return f"adaptation:state:{tenant}"


def overridden(rules: Rules, overrides: Json) -> Rules:
    """The rules with the gains and constraints that a reset gave the tenant."""
    gains, bounds = overrides.get("gains", {}), overrides.get("constraints", {})
    return {
        name: Rule(
            gains.get(name, rule.gain),
            bounds.get(f"{name.rstrip('_')}_min", rule.low),
            bounds.get(f"{name.rstrip('_')}_max", rule.high),
        )
        for name, rule in rules.items()
    }


def start(rules: Rules) -> State:
    """Where a tenant stands before its first step."""
    return State(learning.within(Weights(), rules), rules)


def state_of(row: Row[Any] | None, rules: Rules) -> State:
    """A row as a state; a tenant without one stands at the start."""
    if row is None:
        return start(rules)
    return State(
        Weights(*(getattr(row, name) for name in WEIGHTS)),
        overridden(rules, json.loads(row.overrides_json)) if row.overrides_json else rules,
        row.history_len,
        row.learning_rate,
        row.base_rate,
        row.last_feedback_at,
    )


def read(connection: Connection, tenant: str, rules: Rules) -> State:
    row = connection.execute(select(adaptation_state).where(adaptation_state.c.tenant_id == tenant)).one_or_none()
    return state_of(row, rules)


def locked(connection: Connection, tenant: str, rules: Rules) -> State:
    """The state, which nobody else changes until this transaction ends."""
    mine = select(adaptation_state).where(adaptation_state.c.tenant_id == tenant).with_for_update()
    row = connection.execute(mine).one_or_none()
    if row is None:
        values = {**start(rules).weights.as_dict(), "learning_rate": BASE_RATE, "base_rate": BASE_RATE}
        connection.execute(insert(adaptation_state).values(tenant_id=tenant, **values).on_conflict_do_nothing())
        row = connection.execute(mine).one()
    return state_of(row, rules)


def save(connection: Connection, tenant: str, state: State, **also: object) -> None:
    connection.execute(
        update(adaptation_state)
        .where(adaptation_state.c.tenant_id == tenant)
        .values(
            **state.weights.as_dict(),
            history_len=state.history_len,
            learning_rate=state.learning_rate,
            base_rate=state.base_rate,
            last_feedback_at=state.last_feedback_at,
            **also,
        )
    )


def step(connection: Connection, tenant: str, rules: Rules, signal: float) -> State:
    """Take one learning step and keep what was before. The state's time is that of the feedback."""
    before = locked(connection, tenant, rules)
    eta = learning.rate(before.base_rate, neuromodulators.read(connection, tenant).dopamine)
    moment = connection.execute(select(func.greatest(func.clock_timestamp(), before.last_feedback_at))).scalar_one()
    after = replace(
        before,
        weights=learning.step(before.weights, before.rules, eta, signal),
        history_len=before.history_len + 1,
        learning_rate=eta,
        last_feedback_at=moment,
    )
    snapshots = adaptation_snapshots
    here = snapshots.c.tenant_id == tenant
    connection.execute(delete(snapshots).where(here, snapshots.c.position <= before.history_len - SNAPSHOTS))
    connection.execute(
        insert(snapshots).values(
            tenant_id=tenant,
            position=before.history_len,
            **before.weights.as_dict(),
            learning_rate=before.learning_rate,
        )
    )
    save(connection, tenant, after)
    return after


def roll_back(connection: Connection, tenant: str, rules: Rules) -> bool:
    """Undo the last step, within the caller's transaction; false if no snapshot tells what was before it."""
    after = locked(connection, tenant, rules)
    c = adaptation_snapshots.c
    kept = connection.execute(
        delete(adaptation_snapshots)
        .where(c.tenant_id == tenant, c.position == after.history_len - 1)
        .returning(*(c[name] for name in WEIGHTS), c.learning_rate)
    ).one_or_none()
    if kept is None:
        return False
    *weights, learning_rate = kept
    before = replace(
        after, weights=Weights(*weights), history_len=after.history_len - 1, learning_rate=float(learning_rate)
    )
    save(connection, tenant, before)
    return True


def rollback(engine: Engine, redis: Redis, tenant: str, rules: Rules) -> bool:
    """Undo the tenant's last step, in Postgres and in the copy; false if there is none to undo."""
    with engine.begin() as connection:
        undone = roll_back(connection, tenant, rules)
    if undone:
        metrics.rollbacks.labels(metrics.tenants.label(tenant)).inc()
    publish(engine, redis, tenant, rules)
    return undone


@dataclass(frozen=True)
class Reset:
    """A new start. What it does not name is as it was before anybody learned."""

    weights: Mapping[str, float] = field(default_factory=dict)
    overrides: Json = field(default_factory=dict)
    base_rate: float | None = None
    forget: bool = True


def reset(connection: Connection, tenant: str, rules: Rules, wanted: Reset) -> None:
    """Put the weights at their start, which lies within the bounds, and let go of the history if so wanted."""
    before = locked(connection, tenant, rules)
    own = overridden(rules, wanted.overrides)
    for name, rule in own.items():
        if rule.low > rule.high:
            raise Refused(400, f"constraints: the minimum {rule.low} of {name} is above its maximum {rule.high}")
    base_rate = BASE_RATE if wanted.base_rate is None else wanted.base_rate
    history_len = 0 if wanted.forget else before.history_len
    after = replace(
        before,
        weights=learning.within(Weights(**wanted.weights), own),
        rules=own,
        history_len=history_len,
        learning_rate=before.learning_rate if history_len else base_rate,
        base_rate=base_rate,
    )
    if wanted.forget:
        connection.execute(delete(adaptation_snapshots).where(adaptation_snapshots.c.tenant_id == tenant))
    save(connection, tenant, after, overrides_json=dumps(wanted.overrides) if wanted.overrides else None)


def temper(connection: Connection, tenant: str, rules: Rules, distinct: int, n: int) -> None:
    """Move the temperature after an evaluation of n memories."""
    before = locked(connection, tenant, rules)
    tau = learning.tempered(before.weights.tau, distinct, n)
    save(connection, tenant, replace(before, weights=replace(before.weights, tau=tau)))


def publish(engine: Engine, redis: Redis, tenant: str, rules: Rules) -> None:
    """Write the copy of what is committed. A copy that could not be written waits for the next step.

    Writers take turns, and each reads what is committed at its turn: the last copy is never older than the last step.
    """
    try:
        with engine.begin() as connection:
            connection.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(key(tenant), 0))))
            state = read(connection, tenant, rules)
            redis.set(key(tenant), dumps(state.copy()), ex=COPY_TTL_S)
    except (SQLAlchemyError, RedisError) as error:
        log.warning("the copy of the adaptation state of %s was not written: %s", tenant, reason(error))


def stale(redis: Redis, tenant: str, state: State) -> bool:
    """Whether the copy is missing or tells of another state. Fields that are not ours do not count."""
    text = redis.get(key(tenant))
    if text is None:
        return state != start(state.rules)
    try:
        held = json.loads(text)
    except ValueError:
        return True
    return not isinstance(held, dict) or any(held.get(name) != value for name, value in state.copy().items())
