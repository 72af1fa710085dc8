"""The vectors a process holds in memory: a copy of Postgres, caught up before every use and never the truth.

Memories become visible in the order of their numbers (tables.tenants), so a copy is whole as soon as it reaches the
number that the tenant's row shows. What does not fit the budget is read from Postgres each time, a page at a time.
"""

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock
from uuid import UUID

from sqlalchemy import Connection

from somabrain.ranking import Block, joined
from somabrain.stored_vectors import PAGE, ROW_BYTES, Now, now_of, page, pages

WAIT_S = 0.5


@dataclass
class Held:
    """What is held of one tenant. The blocks are only ever replaced, so a reader keeps what it took."""

    epoch: UUID | None = None
    blocks: tuple[Block, ...] = ()
    lock: Lock = field(default_factory=Lock)
    nbytes: int = 0  # of the budget: what is held, and what is being read
    used: int = 0  # when it was asked for last, and the time before, on the cache's clock
    used_before: int = 0

    def behind(self, now: Now) -> bool:
        return self.epoch != now.epoch or self.last != now.memories

    @property
    def last(self) -> int:
        return int(self.blocks[-1].seq[-1]) if self.blocks else 0


@contextmanager
def turn(connection: Connection, tenant: str, held: Held) -> Iterator[None]:
    """Hold the lock of a copy. Another may be reading many memories meanwhile."""
    while not held.lock.acquire(timeout=WAIT_S):
        now_of(connection, tenant)  # Postgres ends a session that is silent for long within a transaction
    try:
        yield
    finally:
        held.lock.release()


def appended(blocks: tuple[Block, ...], more: Block) -> tuple[Block, ...]:
    """The blocks with one more page; small ones grow together, so that there are never many."""
    if blocks and len(blocks[-1]) + len(more) <= PAGE:
        return (*blocks[:-1], joined(blocks[-1], more))
    return (*blocks, more)


class VectorCache:
    """The copies of tenants, within a budget of bytes.

    A tenant gives way only to one that was asked for twice since it was itself. So tenants which do not fit together
    and are asked for in turn do not drive each other out: those that were there first stay, the others are read.
    """

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self.held: OrderedDict[str, Held] = OrderedDict()  # the one asked for longest ago first
        self.nbytes = 0
        self.clock = 0
        self.lock = Lock()

    def forget(self, tenant: str) -> None:
        with self.lock:
            self.drop(tenant)

    def drop(self, tenant: str) -> None:
        """Let go of a tenant, under the lock."""
        if (held := self.held.pop(tenant, None)) is not None:
            self.nbytes -= held.nbytes

    def asked_for(self, tenant: str) -> Held:
        with self.lock:
            held = self.held.setdefault(tenant, Held())
            self.held.move_to_end(tenant)
            self.clock += 1
            held.used_before, held.used = held.used, self.clock
            return held

    def blocks(self, connection: Connection, tenant: str) -> Iterator[Block]:
        """Every memory of the tenant that was committed before this call."""
        now = now_of(connection, tenant)
        if now is None:
            self.forget(tenant)
            return
        held = self.asked_for(tenant)
        if held.behind(now):
            with turn(connection, tenant, held):
                # While this waited for the lock, memories were stored and others caught up with them.
                now = now_of(connection, tenant) or now
                if held.epoch != now.epoch or held.last > now.memories:  # another database than the one we copied
                    self.resize(tenant, held, -held.nbytes)
                    held.epoch, held.blocks = now.epoch, ()
                self.catch_up(connection, tenant, held, now)
        blocks = held.blocks
        yield from blocks
        last = int(blocks[-1].seq[-1]) if blocks else 0
        if last < now.memories:
            yield from pages(connection, tenant, last)

    def catch_up(self, connection: Connection, tenant: str, held: Held, now: Now) -> None:
        """Read what is missing, as far as there is room for it."""
        while (missing := now.memories - held.last) > 0:
            rows = min(missing, PAGE)
            if not self.resize(tenant, held, rows * ROW_BYTES):
                return
            more = None
            try:
                more = page(connection, tenant, held.last, rows)
            finally:
                unused = rows - (0 if more is None else len(more))
                self.resize(tenant, held, -unused * ROW_BYTES)
            if more is None:
                return
            held.blocks = appended(held.blocks, more)

    def resize(self, tenant: str, held: Held, nbytes: int) -> bool:
        """Give a tenant so much more of the budget, or less; false without room, or if it was let go of meanwhile."""
        with self.lock:
            if self.held.get(tenant) is not held:
                return False
            while nbytes > 0 and self.nbytes + nbytes > self.budget:
                name, oldest = next(iter(self.held.items()))
                if oldest is held or oldest.used >= held.used_before:
                    return False
                self.drop(name)
            self.nbytes += nbytes
            held.nbytes += nbytes
            return True
