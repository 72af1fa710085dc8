"""Vectors as they are read from Postgres: many rows as one, because what a single row costs is most of the time."""

from collections.abc import Iterator
from typing import Any, NamedTuple
from uuid import UUID

import numpy as np
from psycopg.pq import Format
from sqlalchemy import Connection, Engine, LargeBinary, event, func, select
from sqlalchemy.sql.elements import ColumnElement

from somabrain import metrics
from somabrain.embedding import DIM
from somabrain.ranking import Block
from somabrain.tables import memories, tenants

PAGE = 1024
ROW_BYTES = 3 * 8 + 4 * DIM  # of a row in a block


class Now(NamedTuple):
    """What Postgres has of a tenant at this moment."""

    epoch: UUID
    memories: int  # the number of the last one


@event.listens_for(Engine, "before_cursor_execute")
def choose_format(_: Connection, cursor: Any, _statement: str, _parameters: Any, context: Any, _many: bool) -> None:
    """As text, bytes would come as twice as many hexadecimal digits."""
    if context is not None and context.execution_options.get("binary"):
        cursor.format = Format.BINARY


def now_of(connection: Connection, tenant: str) -> Now | None:
    found = connection.execute(
        select(tenants.c.epoch, tenants.c.memories).where(tenants.c.tenant_id == tenant)
    ).one_or_none()
    return None if found is None else Now(found.epoch, found.memories)


def column(values: ColumnElement[Any]) -> ColumnElement[bytes]:
    """The bytes of all rows, one after the other."""
    return func.string_agg(values, b"", type_=LargeBinary)


def page(connection: Connection, tenant: str, after: int, most: int) -> Block | None:
    """The next memories after a number; None if there are none."""
    c = memories.c
    rows = (
        select(c.seq, c.at, c.universe, c.vector)
        .where(c.tenant_id == tenant, c.seq > after)
        .order_by(c.seq)
        .limit(most)
        .subquery()
    ).c
    universe_key = func.substr(func.sha256(func.convert_to(rows.universe, "UTF8")), 1, 8)  # as ranking.universe_key
    found = connection.execute(
        select(
            column(func.int8send(rows.seq)).label("seq"),
            column(func.float8send(rows.at)).label("at"),
            column(universe_key).label("universe"),
            column(rows.vector).label("vectors"),
        ),
        execution_options={"binary": True},
    ).one()
    if found.seq is None:
        return None
    seq = np.frombuffer(found.seq, ">i8").astype(np.int64)
    metrics.vectors_read.inc(len(seq))
    return Block(
        seq,
        np.frombuffer(found.at, ">f8").astype(np.float64),
        np.frombuffer(found.universe, ">i8").astype(np.int64),
        np.frombuffer(found.vectors, "<f4").reshape(len(seq), DIM),
    )


def pages(connection: Connection, tenant: str, after: int) -> Iterator[Block]:
    """The memories after a number, read page by page."""
    while (more := page(connection, tenant, after, PAGE)) is not None:
        yield more
        if len(more) < PAGE:
            return
        after = int(more.seq[-1])
