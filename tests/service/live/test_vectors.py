"""The copy of the vectors against a real Postgres: what it reads, and that it holds what Postgres has."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from uuid import uuid4

import pytest
from prometheus_client import REGISTRY
from somabrain import settings
from somabrain.database import ANSWER_S, open_engine
from somabrain.embedding import embed
from somabrain.memories import Memories, store
from somabrain.memory import memory_from
from somabrain.stored_vectors import ROW_BYTES, Now
from somabrain.tables import memories, tenants
from somabrain.vectors import VectorCache
from sqlalchemy import Connection, Engine, delete, text

from tests.service.live.conftest import needed

PLENTY = 64 << 20
WAITED_S = 20.0


@dataclass(frozen=True)
class Tenant:
    """A tenant that nobody else knows, and the database it is in."""

    engine: Engine
    name: str

    @property
    def other(self) -> "Tenant":
        return replace(self, name=f"{self.name}-other")

    def remember(self, count: int, universe: str = "real") -> None:
        for _ in range(count):
            body = {"task": f"task {uuid4().hex}", "universe": universe}
            memory = memory_from(body, uuid4().hex, time.time())
            with self.engine.begin() as connection:
                assert store(connection, self.name, memory, 1_000_000, None)

    def seen(self, cache: VectorCache) -> list[int]:
        """The numbers of the memories that a reader finds now."""
        with self.engine.begin() as connection:
            return numbers(cache, connection, self.name)


def numbers(cache: VectorCache, connection: Connection, tenant: str) -> list[int]:
    return [seq for block in cache.blocks(connection, tenant) for seq in block.seq.tolist()]


def rows_read() -> int:
    return int(REGISTRY.get_sample_value("somabrain_vectors_read_total") or 0)


def engine_of_the_stack(limit_s: float = ANSWER_S) -> Engine:
    environment = {"SOMABRAIN_POSTGRES_DSN": needed("SOMABRAIN_POSTGRES_DSN"), "SOMABRAIN_REDIS_URL": "redis://unused"}
    return open_engine(settings.load(environment), connections=8, limit_s=limit_s)


@pytest.fixture
def tenant() -> Iterator[Tenant]:
    engine = engine_of_the_stack()
    found = Tenant(engine, f"live-{uuid4().hex}")
    yield found
    with engine.begin() as connection:
        for table in (memories, tenants):
            connection.execute(delete(table).where(table.c.tenant_id.in_([found.name, found.other.name])))
    engine.dispose()


def await_idle(tenant: Tenant, pid: int) -> None:
    """Wait until a connection has asked how many memories there are, and asks for nothing more."""
    end = time.monotonic() + WAITED_S
    asked = "SELECT state, query FROM pg_stat_activity WHERE pid = :pid"
    while True:
        with tenant.engine.begin() as connection:
            state, query = connection.execute(text(asked), {"pid": pid}).one()
        if state == "idle in transaction" and "FROM tenants" in query:
            return
        assert time.monotonic() < end, (state, query)
        time.sleep(0.01)


def test_a_reader_that_waited_while_memories_were_stored_reads_none_again(tenant: Tenant) -> None:
    cache = VectorCache(PLENTY)
    tenant.remember(20)
    assert tenant.seen(cache) == list(range(1, 21))
    tenant.remember(1)
    before = rows_read()
    held = cache.held[tenant.name]
    with ThreadPoolExecutor(1) as pool, tenant.engine.begin() as waiting, tenant.engine.begin() as first:
        pid = int(waiting.execute(text("SELECT pg_backend_pid()")).scalar_one())
        with held.lock:
            late = pool.submit(numbers, cache, waiting, tenant.name)
            await_idle(tenant, pid)  # it knows of 21 and waits
            tenant.remember(1)
            cache.catch_up(first, tenant.name, held, Now(uuid4(), 22))
        assert late.result(WAITED_S) == list(range(1, 23))
    assert rows_read() - before == 2


def test_a_reader_that_waits_for_long_keeps_its_connection(tenant: Tenant) -> None:
    """Postgres ends a session that is silent within a transaction for twice the limit, here 2 s."""
    cache, patient = VectorCache(PLENTY), engine_of_the_stack(limit_s=1.0)
    tenant.remember(2)
    assert tenant.seen(cache) == [1, 2]
    tenant.remember(1)
    with ThreadPoolExecutor(1) as pool, patient.begin() as waiting:
        with cache.held[tenant.name].lock:
            late = pool.submit(numbers, cache, waiting, tenant.name)
            time.sleep(4.0)  # as long as another reads a tenant of many memories
        assert late.result(WAITED_S) == [1, 2, 3]
    patient.dispose()


def test_each_memory_is_read_once_however_many_read_while_it_is_stored(tenant: Tenant) -> None:
    cache = VectorCache(PLENTY)
    tenant.remember(1)
    before = rows_read()

    def read(_: int) -> None:
        known = 0
        while known < 60:
            found = tenant.seen(cache)
            assert found == list(range(1, len(found) + 1))
            assert len(found) >= known
            known = len(found)

    with ThreadPoolExecutor(7) as pool:
        readers = [pool.submit(read, number) for number in range(5)]
        tenant.remember(59)
        for reader in readers:
            reader.result(WAITED_S)
    assert rows_read() - before == 60


def test_the_copy_of_another_database_is_dropped(tenant: Tenant) -> None:
    cache = VectorCache(PLENTY)
    tenant.remember(5)
    assert len(tenant.seen(cache)) == 5
    with tenant.engine.begin() as connection:  # as after a backup was restored
        connection.execute(text("DELETE FROM memories WHERE tenant_id = :t AND seq > 3"), {"t": tenant.name})
        connection.execute(text("UPDATE tenants SET memories = 3 WHERE tenant_id = :t"), {"t": tenant.name})
    assert tenant.seen(cache) == [1, 2, 3]
    assert cache.nbytes == 3 * ROW_BYTES


def test_what_is_gone_takes_no_room(tenant: Tenant) -> None:
    cache = VectorCache(PLENTY)
    tenant.remember(5)
    with tenant.engine.begin() as connection:
        connection.execute(text("DELETE FROM memories WHERE tenant_id = :t AND seq IN (2, 5)"), {"t": tenant.name})
    for _ in range(2):
        assert tenant.seen(cache) == [1, 3, 4]
        assert cache.nbytes == 3 * ROW_BYTES


def test_tenants_that_do_not_fit_together_do_not_drive_each_other_out(tenant: Tenant) -> None:
    cache, other = VectorCache(30 * ROW_BYTES), tenant.other
    for each in (tenant, other):
        each.remember(20)
    tenant.seen(cache)
    before = rows_read()
    for _ in range(5):
        assert len(other.seen(cache)) == len(tenant.seen(cache)) == 20
    assert rows_read() - before == 5 * 20  # the other's alone


def test_a_tenant_that_is_asked_for_no_more_gives_way(tenant: Tenant) -> None:
    cache, other = VectorCache(30 * ROW_BYTES), tenant.other
    for each in (tenant, other):
        each.remember(20)
    tenant.seen(cache)
    for _ in range(3):
        other.seen(cache)
    before = rows_read()
    assert len(other.seen(cache)) == 20
    assert rows_read() == before
    assert (list(cache.held), cache.nbytes) == ([other.name], 20 * ROW_BYTES)


@pytest.mark.parametrize("budget", [0, 30 * ROW_BYTES])
def test_what_is_not_held_is_found_as_what_is(tenant: Tenant, budget: int) -> None:
    for _ in range(10):
        tenant.remember(3)
        tenant.remember(2, universe="Träume")
    query, some, every = embed("task a1 b2 c3"), Memories(VectorCache(budget)), Memories(VectorCache(PLENTY))
    with tenant.engine.begin() as connection:
        for universe, count in (("Träume", 20), ("real", 30), ("none", 0)):
            for vector in (query, None):
                found, whole = (m.recall(connection, tenant.name, None, vector, 40, universe) for m in (some, every))
                assert (found.memories, found.window) == (whole.memories, whole.window)
                assert len(found.memories) == count
        found_ids, whole_ids = ([f.id for f in m.nearest(connection, tenant.name, query, 50)] for m in (some, every))
    assert found_ids == whole_ids
    assert len(found_ids) == 50
