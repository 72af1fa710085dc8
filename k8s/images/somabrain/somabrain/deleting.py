"""Deleting one memory, or all that is stored of a tenant. A number that a memory had, no other gets."""

from typing import Any

from redis import Redis
from sqlalchemy import ColumnElement, Connection, Engine, Table, delete, func, literal_column, select, update

from somabrain import adaptation, working_memory
from somabrain.tables import (
    adaptation_snapshots,
    adaptation_state,
    feedback_events,
    links,
    memories,
    neuromodulators,
    tenants,
    token_usage,
)

PAGE = 1000  # rows of a transaction: none takes longer than an answer may
OTHERS = (links, feedback_events, token_usage, adaptation_snapshots, adaptation_state, neuromodulators)


def lock(connection: Connection, tenant: str) -> None:
    """Hold the tenant's row first, as whoever stores does: then neither waits for the other in a circle."""
    connection.execute(select(tenants.c.tenant_id).where(tenants.c.tenant_id == tenant).with_for_update())


def count_deleted(connection: Connection, tenant: str, number: int) -> None:
    here = tenants.c.tenant_id == tenant
    connection.execute(update(tenants).where(here).values(deleted=tenants.c.deleted + number))


def delete_memory(connection: Connection, tenant: str, memory_id: str) -> bool:
    """Delete a memory, within the caller's transaction; false if the tenant has none with this id."""
    lock(connection, tenant)
    here = (memories.c.tenant_id == tenant, memories.c.id == memory_id)
    found = connection.execute(delete(memories).where(*here)).rowcount
    count_deleted(connection, tenant, found)
    return found > 0


def delete_page(connection: Connection, table: Table, most: int, *which: ColumnElement[bool]) -> int:
    """Delete so many of these rows at most, and return how many there were.

    In the order in which they lie: the oldest lie first, so a page of old rows is found without an index.
    """
    place: ColumnElement[Any] = literal_column("ctid")
    chosen = select(place).select_from(table).where(*which).limit(most)
    return connection.execute(delete(table).where(place.in_(chosen))).rowcount


def delete_rows(engine: Engine, table: Table, page: int, *which: ColumnElement[bool]) -> int:
    """Delete these rows, page by page, and return how many there were."""
    total, found = 0, page
    while found == page:
        with engine.begin() as connection:
            found = delete_page(connection, table, page, *which)
        total += found
    return total


def delete_memories(engine: Engine, tenant: str, page: int, *which: ColumnElement[bool]) -> int:
    """Delete these memories of a tenant, or all, page by page, and return how many there were."""
    total, found = 0, page
    while found == page:
        with engine.begin() as connection:
            lock(connection, tenant)
            found = delete_page(connection, memories, page, memories.c.tenant_id == tenant, *which)
            count_deleted(connection, tenant, found)
        total += found
    return total


def delete_tenant(engine: Engine, redis: Redis, tenant: str, page: int = PAGE) -> int:
    """Delete all that is stored of a tenant, and return how many memories there were.

    Each page is committed alone: an error leaves the rest, and the next call goes on. The tenant's counts stay, so that
    no number is given twice and its writes of today still count.
    """
    total = delete_memories(engine, tenant, page)
    for table in OTHERS:
        delete_rows(engine, table, page, table.c.tenant_id == tenant)
    with engine.begin() as connection:
        # Every copy of its vectors is of another past now.
        here = tenants.c.tenant_id == tenant
        connection.execute(update(tenants).where(here).values(epoch=func.gen_random_uuid()))
    working_memory.forget(redis, tenant)
    redis.delete(adaptation.key(tenant))
    return total
