"""Where the migrations run: SOMABRAIN_POSTGRES_DSN's Postgres. One upgrade at a time, one transaction a revision."""

import os
import time
from typing import Any

from alembic import context
from alembic.runtime.migration import MigrationContext
from somabrain.database import migration_engine
from somabrain.schema import Revisions
from somabrain.tables import metadata, schema_floor
from sqlalchemy import delete, insert, text

LOCK = 0x50AABA1  # one number for everybody who migrates this database
# Whoever waits for a table's lock holds up all who come after it, readers too: not for long, then again (migrate.py).
PAUSE_S = 0.5  # between two questions for it
LOCK_TIMEOUT = "1s"

if context.is_offline_mode():
    raise SystemExit("The migrations need a live Postgres: --sql is not offered.")
revisions = Revisions.here()


def tell(ctx: MigrationContext, **_: Any) -> None:
    """State, with the revision, which images its schema works with; they cannot know a revision of after their time."""
    connection = ctx.connection
    assert connection is not None
    schema_floor.create(connection, checkfirst=True)
    connection.execute(delete(schema_floor))
    if version := connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none():
        connection.execute(insert(schema_floor).values(oldest_revision=revisions.oldest(version)))


with migration_engine(os.environ["SOMABRAIN_POSTGRES_DSN"]).connect() as connection:
    # Of the session, which ends with this process: a revision may end its transaction and begin others. Whoever waited
    # within the question would hold a snapshot, for which an index made beside the traffic waits: a deadlock.
    while not connection.execute(text(f"SELECT pg_try_advisory_lock({LOCK})")).scalar_one():
        connection.commit()
        time.sleep(PAUSE_S)
    connection.execute(text(f"SET lock_timeout = '{LOCK_TIMEOUT}'"))
    connection.commit()
    context.configure(
        connection=connection, target_metadata=metadata, transaction_per_migration=True, on_version_apply=tell
    )
    with context.begin_transaction():
        context.run_migrations()
