"""Storing and finding memories in Postgres (contract 3)."""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import TypeVar

import numpy as np
from sqlalchemy import Connection, Date, case, literal_column, select
from sqlalchemy.dialects.postgresql import insert

from somabrain import metrics
from somabrain.embedding import Vector, to_bytes
from somabrain.errors import Refused
from somabrain.found import LIST_BYTES, Found, Vanished, fetch, fitting, heads, payloads
from somabrain.memory import Memory, task_digest
from somabrain.ranking import Rows, Scan, scan
from somabrain.tables import memories, tenants
from somabrain.vectors import VectorCache
from somabrain.wire import Json

WM_WINDOW = 64
LOOKS = 2
T = TypeVar("T")


@dataclass(frozen=True)
class Recalled:
    """What /recall finds. The payloads end where an answer has no room for more; the vectors do not."""

    vectors: list[Vector]
    memories: list[Json]
    window: list[tuple[float, Json]]  # the scored ones of the tenant's working window
    window_hits: int
    nearest: Vector | None  # of the memory most similar to the query, in whatever universe

    @property
    def truncated(self) -> bool:
        return len(self.memories) < len(self.vectors) or len(self.window) < self.window_hits


def count(connection: Connection, tenant: str) -> int:
    kept = select(tenants.c.memories - tenants.c.deleted).where(tenants.c.tenant_id == tenant)
    return int(connection.execute(kept).scalar_one_or_none() or 0)


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

    def retried(self, tenant: str, look: Callable[[bool], T]) -> T:
        """Look again, with a new copy, if the copy held what is deleted, or turned out to be of another past.

        Where memories are deleted faster than that, the last look leaves them out.
        """
        for _ in range(LOOKS):
            try:
                return look(True)
            except Vanished:
                self.cache.forget(tenant)
        return look(False)

    def nearest(self, connection: Connection, tenant: str, query: Vector, k: int) -> list[Found]:
        """The k memories most similar to the query, most similar first."""

        def look(whole: bool) -> list[Found]:
            def first(seen: Scan) -> Rows:
                return seen.nearest(k, seen.rows(None))

            seen = scan(self.cache.blocks(connection, tenant), query, first)
            return fetch(connection, tenant, seen.seq.tolist(), whole)

        return self.retried(tenant, look)

    def recall(
        self, connection: Connection, tenant: str, text: str | None, query: Vector | None, k: int, universe: str
    ) -> Recalled:
        """First those whose task is the text, then by cosine; without a text simply the newest."""

        def candidates(seen: Scan) -> Rows:
            rows = seen.rows(universe)
            here = np.union1d(seen.nearest(k, rows), seen.newest(max(k, WM_WINDOW), rows))
            return here if query is None else np.union1d(here, seen.nearest(1, seen.rows(None)))

        def look(whole: bool) -> Recalled:
            seen = scan(self.cache.blocks(connection, tenant), query, candidates)
            rows = seen.rows(universe)
            window = seen.nearest(k, seen.newest(WM_WINDOW, rows))
            ranked = seen.newest(k, rows) if query is None else seen.nearest(k, rows)
            same = [] if text is None else with_task(connection, tenant, task_digest(text), universe, k)
            chosen = list(dict.fromkeys([*same, *seen.seq[ranked].tolist()]))[:k]
            scores = dict(zip(seen.seq[window].tolist(), rounded(seen, window), strict=True))
            first = [] if query is None or not len(seen) else [int(seen.seq[seen.cosine.argmax()])]
            known = heads(connection, tenant, {*chosen, *scores, *first}, whole)
            chosen, held = ([seq for seq in found if seq in known] for found in (chosen, list(scores)))
            shown = chosen[: fitting([known[seq].size for seq in chosen], LIST_BYTES)]
            scored = held[: fitting([known[seq].size for seq in held], LIST_BYTES)]
            read = payloads(connection, tenant, known, {*shown, *scored}, whole)
            return Recalled(
                [known[seq].vector for seq in chosen],
                [read[seq] for seq in shown if seq in read],
                [(scores[seq], read[seq]) for seq in scored if seq in read],
                len(held),
                next((known[seq].vector for seq in first if seq in known), None),
            )

        return self.retried(tenant, look)


def rounded(seen: Scan, rows: Rows) -> list[float]:
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
