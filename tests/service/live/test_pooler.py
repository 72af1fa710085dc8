"""The service behind a pooler in transaction mode: no start-up options, prepared statements or state of a session."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import httpx
import psycopg
import pytest
from somabrain.database import PREPARED_AFTER
from somabrain.deleting import PAGE
from somabrain.migrate import POOLED

from tests.service.live.brain import Brain, asked
from tests.service.live.test_stores import FEEDBACK, of_the_test, settled
from tests.service.pooler import pooled
from tests.service.programs import run

SESSIONS = 2  # fewer than a process of the service has connections, so none of them has a session of its own
ROUNDS = 4 * PREPARED_AFTER


@pytest.fixture
def database(brain: Brain) -> Iterator[str]:
    """The address of a database of the test's own, migrated, with no pooler in between."""
    name, sql = f"pooled_{uuid4().hex}", brain.service.sql
    sql.execute(f'CREATE DATABASE "{name}"')
    dsn = urlunsplit(urlsplit(os.environ["SOMABRAIN_POSTGRES_DSN"])._replace(path=f"/{name}"))
    done = run("migrate", SOMABRAIN_POSTGRES_DSN=dsn)
    assert done.returncode == 0, done.stderr
    yield dsn
    sql.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def backends(dsn: str) -> int:
    """How many sessions of the service there are in the database."""
    with psycopg.connect(dsn) as own:
        counted = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        ((number,),) = own.execute(counted + " AND backend_type = 'client backend'").fetchall()
        return int(number)


def work(api: httpx.Client, n: int) -> None:
    """Every kind of request that asks Postgres, as a tenant."""
    api = httpx.Client(base_url=api.base_url, headers={**api.headers, "X-Tenant-ID": f"t{n % 3}"}, trust_env=False)
    with api:
        assert asked(api, "POST", "/remember", json={"task": f"t{n}", "content": f"kept {n}"}).status_code == 200
        assert asked(api, "POST", "/recall", json={"query": f"kept {n}"}).json()["memory"]
        question = {"session_id": "s", "query": f"kept {n}"}
        assert asked(api, "POST", "/context/evaluate", json=question).json()["memories"]
        assert asked(api, "POST", "/context/feedback", json=FEEDBACK).json()["accepted"] is True
        link = {"from_key": f"a{n}", "to_key": f"b{n}", "type": "related"}
        assert asked(api, "POST", "/link", json=link).status_code == 200
        assert asked(api, "POST", "/plan/suggest", json={"task_key": f"a{n}"}).json()["plan"] == [f"b{n}"]
        assert asked(api, "GET", "/context/adaptation/state").json()["history_len"] > 0


def test_the_service_does_all_its_work_over_fewer_sessions_than_it_has_connections(database: str) -> None:
    with pooled(database, SESSIONS) as dsn:
        stores = {"SOMABRAIN_POSTGRES_DSN": dsn, "SOMABRAIN_REDIS_URL": os.environ["SOMABRAIN_REDIS_URL"]}
        done = run("wait_for_postgres", "--timeout", "20", **stores)
        assert (done.returncode, done.stdout) == (0, "Postgres answers\n")
        with of_the_test(**stores, SOMABRAIN_DB_POOLED="1", SOMABRAIN_MODE="dev") as api:
            assert settled(api).status_code == 200
            with ThreadPoolExecutor(6) as pool:
                list(pool.map(lambda n: work(api, n), range(ROUNDS)))
            assert api.get("/readyz").json() == {"ok": True, "alerts": []}
            assert 0 < backends(database) <= SESSIONS
            # What a session keeps would be everybody's.
            with psycopg.connect(dsn, prepare_threshold=None, autocommit=True) as shared:
                for _ in range(ROUNDS):
                    left = shared.execute(
                        "SELECT current_setting('statement_timeout'),"
                        " current_setting('idle_in_transaction_session_timeout'),"
                        " (SELECT count(*) FROM pg_prepared_statements),"
                        " (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory')"
                    ).fetchone()
                    assert left == ("0", "0", 0, 0)
        counts = "SELECT (SELECT count(*) FROM memories), (SELECT count(*) FROM feedback_events)"
        with psycopg.connect(database) as direct:
            assert direct.execute(counts).fetchone() == (ROUNDS, ROUNDS)


def test_the_server_ends_a_statement_of_a_pooled_service_too(database: str) -> None:
    """A statement that waits for a row that others hold ends with its own transaction's limit."""
    with pooled(database, SESSIONS) as dsn:
        stores = {"SOMABRAIN_POSTGRES_DSN": dsn, "SOMABRAIN_REDIS_URL": os.environ["SOMABRAIN_REDIS_URL"]}
        with of_the_test(**stores, SOMABRAIN_DB_POOLED="1") as api, psycopg.connect(database) as holder:
            assert settled(api).status_code == 200
            assert api.post("/remember", json={"task": "first"}).status_code == 200
            holder.execute("SELECT FROM tenants FOR UPDATE")
            late = api.post("/remember", json={"task": "waits"}, timeout=60)
            assert (late.status_code, late.json()["detail"]) == (503, "memory backend unavailable")
            holder.rollback()
            assert api.post("/remember", json={"task": "second"}).status_code == 200
        with psycopg.connect(database) as direct:
            assert direct.execute("SELECT count(*) FROM memories").fetchone() == (2,)


def test_the_retention_deletes_many_pages_by_way_of_a_pooler(database: str) -> None:
    many = (PREPARED_AFTER + 3) * PAGE
    with psycopg.connect(database) as direct:
        direct.execute(
            "INSERT INTO token_usage (id, session_id, tokens, tenant_id, created_at)"
            " SELECT n::text, 's', 1, 't', now() - interval '400 days' FROM generate_series(1, %s) n",
            (many,),
        )
    with pooled(database, SESSIONS) as dsn:
        for _ in range(2):
            done = run("retention", "--days", "365", SOMABRAIN_POSTGRES_DSN=dsn)
            assert (done.returncode, done.stderr) == (0, "")
        with psycopg.connect(dsn, prepare_threshold=None) as shared:
            assert shared.execute("SELECT count(*) FROM pg_prepared_statements").fetchone() == (0,)
            assert shared.execute("SELECT count(*) FROM token_usage").fetchone() == (0,)


def test_a_migration_wants_a_session_of_its_own_and_a_pooler_is_refused(database: str) -> None:
    with pooled(database, SESSIONS) as dsn:
        done = run("migrate", SOMABRAIN_POSTGRES_DSN=dsn)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == f"the migration failed: {POOLED}\n"
        with psycopg.connect(database) as direct:
            assert direct.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'").fetchone() == (0,)
