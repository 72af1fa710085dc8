"""What revisions do to tables that are in use: each step is short, committed, and may be run again."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from alembic import op
from sqlalchemy import Connection, TextClause, text

Place = TypeVar("Place")


def index_concurrently(name: str, table: str, columns: Sequence[str | TextClause], unique: bool = False) -> None:
    """Make an index while the table is read and written. It ends the revision's transaction and begins another.

    An attempt that was cut off leaves an index that Postgres does not use: it is removed first. Waiting for older
    transactions holds up nobody here, so it has no limit.
    """
    with op.get_context().autocommit_block():
        connection = op.get_bind()
        limit = connection.execute(text("SHOW lock_timeout")).scalar_one()
        op.execute("SET lock_timeout = 0")
        valid = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(:name)"
        if connection.execute(text(valid), {"name": name}).scalar_one_or_none() is False:
            op.drop_index(name, table, postgresql_concurrently=True)
        op.create_index(name, table, columns, unique=unique, if_not_exists=True, postgresql_concurrently=True)
        op.execute(f"SET lock_timeout = '{limit}'")


def in_pages(page: Callable[[Connection, Place], Place | None], start: Place) -> None:
    """Call `page` with where to begin, commit what it did, and go on from where it says, until it says nothing.

    It ends the revision's transaction and begins another. A page is one statement that finds and changes rows: each is
    committed alone, so that no row stays locked for longer than its page takes.
    """
    with op.get_context().autocommit_block():
        place: Place | None = start
        while place is not None:
            place = page(op.get_bind(), place)
