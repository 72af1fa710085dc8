"""Bring the schema to head: python -m somabrain.migrate.

Exit 0: at head, or where a later release has brought it that works with this one. Exit 75: Postgres could not be
reached, the connection dropped, or others hold the tables; trying again may help. Exit 1: a migration failed; the last
line says why. The revisions before it are kept, of its own transaction nothing.

It runs as the owner of the tables (SOMABRAIN_POSTGRES_DSN). With SOMABRAIN_APP_DSN, the API's own address, it makes the
role that this names and lets it read and write rows: somabrain.roles.
"""

import os
import sys
import time
import traceback
from pathlib import Path

from alembic import command
from alembic.config import Config
from psycopg import OperationalError
from sqlalchemy.exc import DBAPIError

from somabrain import roles
from somabrain.authority import advised
from somabrain.database import in_transaction_mode, migration_engine
from somabrain.errors import reason
from somabrain.schema import Revisions, Standing
from somabrain.schema import state_of as state_of_schema

TRY_AGAIN = 75
LOCKED = "55P03"  # lock_not_available (Postgres, appendix A): a lock was not had within lock_timeout
PATIENCE_S, PAUSE_S = 240.0, 2.0  # for a backup that reads every table; requests go on in the pauses
# Its lock and its limits are a session's: with a pooler's sessions they would be left to others, or held for ever.
POOLED = (
    "SOMABRAIN_POSTGRES_DSN leads to a pooler in transaction mode, and a migration needs a session of its own: give it"
    " the address of the database itself, and the API's in the Secret somabrain-app"
)
HERE = Path(__file__).parent.parent


def state_of(error: Exception) -> str | None:
    return getattr(error.orig, "sqlstate", None) if isinstance(error, DBAPIError) else None


def lost(error: Exception) -> bool:
    """Whether the connection failed, and not the migration: the server gave no SQL state, or one of going away."""
    if isinstance(error, OperationalError):  # as psycopg raises it, where no engine stands between
        return error.sqlstate is None or error.sqlstate[:2] in ("08", "57")
    if not isinstance(error, DBAPIError):
        return False
    state = state_of(error)
    return error.connection_invalidated or state is None or state[:2] in ("08", "57")


def ahead() -> str:
    """Return the revision of a later release that the schema is at, or an empty string.

    Raise ValueError where that release's schema does not work with this one.
    """
    with migration_engine(os.environ["SOMABRAIN_POSTGRES_DSN"]).connect() as connection:
        version, oldest = state_of_schema(connection)
    standing = Revisions.here().standing(version, oldest)
    if standing is Standing.BEYOND:
        raise ValueError(f"the schema is at {version}, of a later release, which works from {oldest or 'that one'} on")
    return version or "" if standing is Standing.AHEAD else ""


def upgrade(patience_s: float = PATIENCE_S) -> None:
    """Run the upgrade, again where a table's lock was not to be had in time: what was committed is not run twice."""
    end, told = time.monotonic() + patience_s, False
    while True:
        try:
            command.upgrade(Config(HERE / "alembic.ini"), "head")
        except DBAPIError as error:
            if state_of(error) != LOCKED or time.monotonic() + PAUSE_S > end:
                raise
            if not told:
                print("the tables are in use, by a backup perhaps: trying again until they are not", flush=True)
                told = True
            time.sleep(PAUSE_S)
        else:
            return


def of_the_api() -> str:
    """Give the API its role, and return what to say of it."""
    owner, app = os.environ["SOMABRAIN_POSTGRES_DSN"], os.environ.get("SOMABRAIN_APP_DSN", "").strip()
    return roles.give(owner, app) if app else "SOMABRAIN_APP_DSN is not set: the API has the migration's own role"


def main() -> int:
    if not os.environ.get("SOMABRAIN_POSTGRES_DSN"):
        print("SOMABRAIN_POSTGRES_DSN is missing: wanted postgresql://…", file=sys.stderr)
        return 1
    try:
        if in_transaction_mode(os.environ["SOMABRAIN_POSTGRES_DSN"]):
            raise ValueError(POOLED)
        if later := ahead():
            said = f"the schema is at {later}, of a later release, and works with this one: nothing to do"
        else:
            upgrade()
            said = "the schema is at head"
        print(of_the_api())
    except ValueError as error:  # of the address, the revisions or the role: where it was raised tells nobody more
        print(f"the migration failed: {error}", file=sys.stderr)
        return 1
    except Exception as error:
        if lost(error):
            print(f"Postgres could not be reached or was lost: {advised(reason(error))}", file=sys.stderr)
            return TRY_AGAIN
        if state_of(error) == LOCKED:
            print(f"the tables were in use for {PATIENCE_S:g} s: {reason(error)}", file=sys.stderr)
            return TRY_AGAIN
        traceback.print_exc()
        print(f"the migration failed: {reason(error)}", file=sys.stderr)
        return 1
    print(said)
    return 0


if __name__ == "__main__":
    sys.exit(main())
