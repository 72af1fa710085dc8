"""The way to Postgres: a pool whose every wait has an end, and the question whether its schema is the one we know."""

import re
from pathlib import Path
from typing import Any, Self

import psycopg
from psycopg.abc import RV, PQGen
from psycopg.pq import TransactionStatus
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.pool import NullPool

from somabrain.settings import Settings

ANSWER_S = 5.0
CONNECT_S = 2
VERSIONS = Path(__file__).parent.parent / "alembic" / "versions"
REVISION = re.compile(r'^(down_)?revision\b[^=\n]*=\s*["\']([^"\']+)["\']', re.MULTILINE)


class BoundedConnection(psycopg.Connection[Any]):
    """A connection that does not wait for ever: a server may hang without its socket ever closing."""

    limit_s = ANSWER_S

    def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        try:
            return super().wait(gen, interval, self.limit_s if timeout is None else timeout)
        except psycopg.OperationalError as error:
            if self.pgconn.transaction_status == TransactionStatus.ACTIVE:
                # The answer did not come. It could still come to the wrong question, so this connection is done.
                self.pgconn.finish()
                raise psycopg.OperationalError(f"no answer within {self.limit_s:g} s") from error
            raise

    @classmethod
    def to(cls, dsn: str, limit_s: float) -> Self:
        # The server's own limits end the work of a client that has gone silent, and free the rows it locked.
        limit_ms = int(limit_s * 1000)
        options = f"-c statement_timeout={limit_ms} -c idle_in_transaction_session_timeout={2 * limit_ms}"
        connection = cls.connect(
            dsn, connect_timeout=CONNECT_S, options=options, application_name="somabrain", tcp_user_timeout=limit_ms
        )
        connection.limit_s = limit_s
        return connection


def open_engine(settings: Settings, connections: int, limit_s: float = ANSWER_S) -> Engine:
    """A pool that tests a connection before it lends it: Postgres may have restarted since."""
    return create_engine(
        "postgresql+psycopg://",
        creator=lambda: BoundedConnection.to(settings.postgres_dsn, limit_s),
        pool_size=connections,
        max_overflow=0,
        pool_timeout=limit_s,
        pool_pre_ping=True,
        use_native_hstore=False,
    )


def migration_engine(dsn: str) -> Engine:
    """A connection for the migrations, which may take as long as they need."""
    return create_engine(
        "postgresql+psycopg://",
        creator=lambda: psycopg.connect(dsn, connect_timeout=CONNECT_S, application_name="somabrain-migrate"),
        poolclass=NullPool,
        use_native_hstore=False,
    )


def schema_head(versions: Path = VERSIONS) -> str:
    """The revision that no other one follows."""
    found = [match for path in versions.glob("*.py") for match in REVISION.findall(path.read_text())]
    followed = {name for down, name in found if down}
    (head,) = {name for down, name in found if not down} - followed
    return str(head)


def schema_version(connection: Connection) -> str | None:
    """The revision that Postgres is at; None before the first migration."""
    try:
        with connection.begin_nested():
            version = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
            return None if version is None else str(version)
    except ProgrammingError:
        return None
