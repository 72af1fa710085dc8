"""Bring the schema to head: python -m somabrain.migrate.

Exit 0: at head. Exit 75: Postgres could not be reached or the connection dropped, trying again may help.
Exit 1: a migration failed; the last line says why, and nothing of the upgrade was kept.
"""

import os
import sys
import traceback
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy.exc import DBAPIError

from somabrain.errors import reason

TRY_AGAIN = 75
HERE = Path(__file__).parent.parent


def lost(error: Exception) -> bool:
    """Whether the connection failed, and not the migration: the server gave no SQL state, or one of going away."""
    if not isinstance(error, DBAPIError):
        return False
    state = getattr(error.orig, "sqlstate", None)
    return error.connection_invalidated or state is None or state[:2] in ("08", "57")


def main() -> int:
    if not os.environ.get("SOMABRAIN_POSTGRES_DSN"):
        print("SOMABRAIN_POSTGRES_DSN is missing: wanted postgresql://…", file=sys.stderr)
        return 1
    try:
        command.upgrade(Config(HERE / "alembic.ini"), "head")
    except Exception as error:
        if lost(error):
            print(f"Postgres could not be reached or was lost: {reason(error)}", file=sys.stderr)
            return TRY_AGAIN
        traceback.print_exc()
        print(f"the migration failed: {reason(error)}", file=sys.stderr)
        return 1
    print("the schema is at head")
    return 0


if __name__ == "__main__":
    sys.exit(main())
