"""Delete what is older than it is to be kept: python -m somabrain.retention --days N [--memories].

Feedbacks and token usage older than N days; what was learned from them stays. With --memories, memories too. In pages
that are committed one by one: cut off, the next run goes on. Prints how many rows went.
"""

import argparse
import os
import sys
from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine, select
from sqlalchemy.exc import DBAPIError

from somabrain.database import migration_engine
from somabrain.deleting import PAGE, delete_memories, delete_rows
from somabrain.errors import reason
from somabrain.tables import feedback_events, memories, token_usage

RECORDS = (feedback_events, token_usage)


def forget_memories(engine: Engine, before: datetime) -> int:
    """Delete the memories of before that moment, tenant by tenant, and return how many there were."""
    c = memories.c
    old = c.created_at < before
    with engine.begin() as connection:
        tenants = connection.execute(select(c.tenant_id).where(old).distinct()).scalars().all()
    return sum(delete_memories(engine, tenant, PAGE, old) for tenant in tenants)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m somabrain.retention", description=__doc__)
    parser.add_argument("--days", type=float, required=True, help="what is older goes")
    parser.add_argument("--memories", action="store_true", help="memories go too")
    asked = parser.parse_args()
    if asked.days <= 0:
        parser.error("--days: wanted more than 0")
    if not (dsn := os.environ.get("SOMABRAIN_POSTGRES_DSN", "")):
        print("SOMABRAIN_POSTGRES_DSN is missing: wanted postgresql://…", file=sys.stderr)
        return 1
    engine, before = migration_engine(dsn), datetime.now(UTC) - timedelta(days=asked.days)
    try:
        for table in RECORDS:
            gone = delete_rows(engine, table, PAGE, table.c.created_at < before)
            print(f"{table.name}: {gone} deleted", flush=True)
        if asked.memories:
            print(f"memories: {forget_memories(engine, before)} deleted", flush=True)
    except DBAPIError as error:
        print(f"Postgres did not do it: {reason(error)}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
