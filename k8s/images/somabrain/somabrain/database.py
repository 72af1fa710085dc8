"""The way to Postgres: a pool whose every wait has an end."""

from typing import Any, Self

import psycopg
from psycopg.abc import RV, PQGen
from psycopg.pq import TransactionStatus
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.pool import NullPool

from somabrain.settings import Settings

ANSWER_S = 5.0
CONNECT_S = 2
PREPARED_AFTER = 5  # uses of a statement (psycopg's own default)
LOOKS = 10


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
    def to(cls, dsn: str, limit_s: float, pooled: bool) -> Self:
        connection = cls.connect(
            dsn,
            connect_timeout=CONNECT_S,
            application_name="somabrain",
            tcp_user_timeout=int(limit_s * 1000),
            prepare_threshold=None if pooled else PREPARED_AFTER,
            autocommit=True,
        )
        connection.limit_s = limit_s
        if not pooled:
            connection.execute(limits(limit_s, "SESSION"))
        connection.autocommit = False
        return connection


def limits(limit_s: float, scope: str) -> bytes:
    """The server's own limits: they end the work of a client that has gone silent, and free the rows it locked.

    No start-up options: a pooler refuses them.
    """
    limit_ms = int(limit_s * 1000)
    return (
        f"SET {scope} statement_timeout = {limit_ms}; SET {scope} idle_in_transaction_session_timeout = {2 * limit_ms}"
    ).encode()


def open_engine(settings: Settings, connections: int, limit_s: float = ANSWER_S) -> Engine:
    """A pool that tests a connection before it lends it: Postgres may have restarted since.

    Behind a pooler in transaction mode each transaction may be another session: nothing is left in one, no prepared
    statement either, and the limits are each transaction's own.
    """
    engine = create_engine(
        "postgresql+psycopg://",
        creator=lambda: BoundedConnection.to(settings.postgres_dsn, limit_s, settings.db_pooled),
        pool_size=connections,
        max_overflow=0,
        pool_timeout=limit_s,
        pool_pre_ping=True,
        use_native_hstore=False,
    )
    if settings.db_pooled:
        local = limits(limit_s, "LOCAL").decode()
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(local))
    return engine


def migration_engine(dsn: str) -> Engine:
    """A connection for the migrations, which may take as long as they need."""
    return create_engine(
        "postgresql+psycopg://",
        creator=lambda: psycopg.connect(dsn, connect_timeout=CONNECT_S, application_name="somabrain-migrate"),
        poolclass=NullPool,
        use_native_hstore=False,
    )


def in_transaction_mode(dsn: str) -> bool:
    """Whether a pooler gives the same session to two connections that are open at the same time.

    Postgres itself never does, nor does a pooler in session mode. Others may be using a pooler's sessions, so a single
    look may miss it.
    """

    def session(connection: psycopg.Connection[Any]) -> object:
        return connection.execute("SELECT pg_backend_pid()").fetchone()

    def connect() -> psycopg.Connection[Any]:
        return psycopg.connect(dsn, connect_timeout=CONNECT_S, prepare_threshold=None, autocommit=True)

    with connect() as one, connect() as two:
        return any(session(one) == session(two) for _ in range(LOOKS))
