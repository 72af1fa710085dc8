"""Storing and finding memories in Postgres (contract 3)."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Date, case, literal_column, select
from sqlalchemy.dialects.postgresql import insert

from somabrain import metrics
from somabrain.embedding import Vector, from_bytes, to_bytes
from somabrain.errors import Refused
from somabrain.memory import Memory, task_digest
from somabrain.ranking import Scan, scan
from somabrain.tables import memories, tenants
from somabrain.vectors import VectorCache
from somabrain.wire import Json

WM_WINDOW = 64
T = TypeVar("T")


class Vanished(Exception):
    """A memory that the copy holds is not in Postgres: the copy is of another past."""


@dataclass(frozen=True)
class Found:
    """A memory as it was found."""

    id: str
    seq: int
    payload: Json
    vector: Vector
    task_digest: bytes


@dataclass(frozen=True)
class Recalled:
    """What /recall finds: the memories, the scored ones of the tenant's working window, and the first by rank alone."""

    found: list[Found]
    window: list[tuple[float, Json]]
    nearest: Found | None  # the most similar of all; without a query the newest

    @property
    def memories(self) -> list[Json]:
        return [found.payload for found in self.found]


def count(connection: Connection, tenant: str) -> int:
    found = connection.execute(select(tenants.c.memories).where(tenants.c.tenant_id == tenant)).scalar_one_or_none()
    return int(found or 0)


def row(tenant: str, seq: int, memory: Memory, idempotency_key: str | None = None) -> Json:
    """A memory as its row."""
    return {
        "tenant_id": tenant,
        "seq": seq,
        "id": memory.id,
        "at": memory.at,
        "universe": memory.universe,
        "task_digest": memory.task_digest,
        "place_digest": memory.place_digest,
        "idempotency_digest": None if idempotency_key is None else sha256(idempotency_key.encode()).digest(),
        "payload_json": memory.payload_json,
        "vector": to_bytes(memory.vector),
    }


def store(
    connection: Connection, tenant: str, memory: Memory, writes_per_day: int, idempotency_key: str | None
) -> bool:
    """Store a memory within the caller's transaction; false if one with this key is stored already.

    The tenant's row stays locked until the commit. A false or a refusal must be followed by a rollback, which takes
    the count back as well.
    """
    today = literal_column("(now() at time zone 'utc')::date", Date)
    upsert = insert(tenants).values(tenant_id=tenant, memories=1, writes=1)
    numbered = connection.execute(
        upsert.on_conflict_do_update(
            index_elements=[tenants.c.tenant_id],
            set_={
                "memories": tenants.c.memories + 1,
                "writes": case((tenants.c.writes_on == today, tenants.c.writes + 1), else_=1),
                "writes_on": today,
            },
        ).returning(tenants.c.memories, tenants.c.writes)
    ).one()
    inserted = connection.execute(
        insert(memories)
        .values(row(tenant, numbered.memories, memory, idempotency_key))
        .on_conflict_do_nothing(constraint="memories_idempotency_key")
        .returning(memories.c.seq)
    ).one_or_none()
    if inserted is not None and numbered.writes > writes_per_day:
        metrics.quota_denied.labels("daily_write").inc()
        raise Refused(429, "daily write quota exceeded")
    return inserted is not None


class Memories:
    """Looks memories up: the vectors in the copy, everything else in Postgres."""

    def __init__(self, cache: VectorCache) -> None:
        self.cache = cache

    def retried(self, tenant: str, look: Callable[[], T]) -> T:
        """Look once more, with a new copy, if the copy turned out to be of another past."""
        try:
            return look()
        except Vanished:
            self.cache.forget(tenant)
            return look()

    def nearest(self, connection: Connection, tenant: str, query: Vector, k: int) -> list[Found]:
        """The k memories most similar to the query, most similar first."""

        def look() -> list[Found]:
            seen = scan(self.cache.blocks(connection, tenant), query)
            return fetch(connection, tenant, seen.seq[seen.nearest(k, seen.rows(None))].tolist())

        return self.retried(tenant, look)

    def recall(
        self, connection: Connection, tenant: str, text: str | None, query: Vector | None, k: int, universe: str
    ) -> Recalled:
        """First those whose task is the text, then by cosine; without a text simply the newest."""

        def look() -> Recalled:
            seen = scan(self.cache.blocks(connection, tenant), query)
            rows = seen.rows(universe)
            window = seen.nearest(k, seen.newest(WM_WINDOW, rows))
            ranked = seen.newest(k, rows) if query is None else seen.nearest(k, rows)
            same = [] if text is None else with_task(connection, tenant, task_digest(text), universe, k)
            chosen = list(dict.fromkeys([*same, *seen.seq[ranked].tolist()]))[:k]
            held = seen.seq[window].tolist()
            first = seen.seq[ranked[:1]].tolist()
            wanted = sorted({*chosen, *held, *first})
            found = dict(zip(wanted, fetch(connection, tenant, wanted), strict=True))
            return Recalled(
                [found[seq] for seq in chosen],
                [(score, found[seq].payload) for score, seq in zip(rounded(seen, window), held, strict=True)],
                found[first[0]] if first else None,
            )

        return self.retried(tenant, look)


def rounded(seen: Scan, rows: NDArray[np.int64]) -> list[float]:
    return [round(float(cosine), 7) for cosine in seen.cosine[rows]]


def with_task(connection: Connection, tenant: str, digest: bytes, universe: str, k: int) -> list[int]:
    """The numbers of the memories with this task, newest first."""
    c = memories.c
    return list(
        connection.execute(
            select(c.seq)
            .where(c.tenant_id == tenant, c.task_digest == digest, c.universe == universe)
            .order_by(c.at.desc(), c.seq.desc())
            .limit(k)
        ).scalars()
    )


def fetch(connection: Connection, tenant: str, numbers: Sequence[int]) -> list[Found]:
    """These memories, in this order; Vanished if one is not there."""
    if not numbers:
        return []
    c = memories.c
    rows = connection.execute(
        select(c.id, c.seq, c.payload_json, c.vector, c.task_digest).where(c.tenant_id == tenant, c.seq.in_(numbers))
    )
    found = {
        row.seq: Found(row.id, row.seq, json.loads(row.payload_json), from_bytes(row.vector), row.task_digest)
        for row in rows
    }
    if len(found) < len(numbers):
        raise Vanished
    return [found[seq] for seq in numbers]
