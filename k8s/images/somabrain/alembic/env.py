"""Where the migrations run: the Postgres of SOMABRAIN_POSTGRES_DSN. One upgrade at a time, all of it or nothing."""

import os

from alembic import context
from somabrain.database import migration_engine
from somabrain.tables import metadata
from sqlalchemy import text

LOCK = 0x50AABA1  # one number for everybody who migrates this database

if context.is_offline_mode():
    raise SystemExit("The migrations need a live Postgres: --sql is not offered.")

with migration_engine(os.environ["SOMABRAIN_POSTGRES_DSN"]).connect() as connection:
    context.configure(connection=connection, target_metadata=metadata)
    with context.begin_transaction():
        connection.execute(text(f"SELECT pg_advisory_xact_lock({LOCK})"))
        context.run_migrations()
