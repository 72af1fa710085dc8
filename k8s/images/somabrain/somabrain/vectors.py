"""The vectors a process holds in memory: a copy of Postgres, caught up before every use and never the truth.

Memories become visible in the order of their numbers (tables.tenants), so a copy is whole as soon as it reaches the
number that the tenant's row shows. What does not fit the budget is read from Postgres each time.
"""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from threading import Lock
from uuid import UUID

import numpy as np
from sqlalchemy import Connection, select

from somabrain.embedding import DIM
from somabrain.ranking import Block, joined, universe_key
from somabrain.tables import memories, tenants

PAGE = 1024


@dataclass
class Held:
    """What is held of one tenant. The blocks are only ever replaced, so a reader keeps what it took."""

    epoch: UUID | None = None
    blocks: tuple[Block, ...] = ()
    lock: Lock = field(default_factory=Lock)

    @property
    def last(self) -> int:
        return int(self.blocks[-1].seq[-1]) if self.blocks else 0

    @property
    def nbytes(self) -> int:
        return sum(block.nbytes for block in self.blocks)


def appended(blocks: tuple[Block, ...], page: Block) -> tuple[Block, ...]:
    """The blocks with one more page; small ones grow together, so that there are never many."""
    if blocks and len(blocks[-1]) + len(page) <= PAGE:
        return (*blocks[:-1], joined(blocks[-1], page))
    return (*blocks, page)


def pages(connection: Connection, tenant: str, after: int) -> Iterator[Block]:
    """The memories after a number, read page by page."""
    columns = memories.c
    while True:
        rows = connection.execute(
            select(columns.seq, columns.at, columns.universe, columns.vector)
            .where(columns.tenant_id == tenant, columns.seq > after)
            .order_by(columns.seq)
            .limit(PAGE)
        ).all()
        if rows:
            yield Block(
                np.fromiter((row.seq for row in rows), np.int64, len(rows)),
                np.fromiter((row.at for row in rows), np.float64, len(rows)),
                np.fromiter((universe_key(row.universe) for row in rows), np.int64, len(rows)),
                np.frombuffer(b"".join(row.vector for row in rows), "<f4").reshape(len(rows), DIM),
            )
            after = rows[-1].seq
        if len(rows) < PAGE:
            return


class VectorCache:
    """The copies of the tenants asked for last, within a budget of bytes."""

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self.held: OrderedDict[str, Held] = OrderedDict()
        self.lock = Lock()

    def forget(self, tenant: str) -> None:
        with self.lock:
            self.held.pop(tenant, None)

    def blocks(self, connection: Connection, tenant: str) -> Iterator[Block]:
        """Every memory of the tenant that was committed before this call."""
        now = connection.execute(
            select(tenants.c.epoch, tenants.c.memories).where(tenants.c.tenant_id == tenant)
        ).one_or_none()
        if now is None:
            self.forget(tenant)
            return
        with self.lock:
            held = self.held.setdefault(tenant, Held())
            self.held.move_to_end(tenant)
        if held.epoch != now.epoch or held.last != now.memories:
            with held.lock:
                if held.epoch != now.epoch or held.last > now.memories:  # another database than the one we copied
                    held.epoch, held.blocks = now.epoch, ()
                self.catch_up(connection, tenant, held)
        blocks = held.blocks
        yield from blocks
        last = int(blocks[-1].seq[-1]) if blocks else 0
        if last < now.memories:
            yield from pages(connection, tenant, last)

    def catch_up(self, connection: Connection, tenant: str, held: Held) -> None:
        for page in pages(connection, tenant, held.last):
            if not self.make_room(tenant, page.nbytes):
                return
            held.blocks = appended(held.blocks, page)

    def make_room(self, tenant: str, nbytes: int) -> bool:
        """Let go of other tenants, the one asked for longest ago first, until the bytes fit."""
        with self.lock:
            while sum(held.nbytes for held in self.held.values()) + nbytes > self.budget:
                oldest = next((name for name in self.held if name != tenant), None)
                if oldest is None:
                    return False
                del self.held[oldest]
            return True
