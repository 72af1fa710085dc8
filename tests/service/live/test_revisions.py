"""Migrations beside a service that is used: pods of both releases serve, and nobody stands in line for a table."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import httpx
import psycopg
import pytest

from tests.service.live.brain import Brain
from tests.service.live.test_stores import FEEDBACK, of_the_test, settled
from tests.service.programs import PYTHONPATH, environment, run

PATIENT_S = 120.0
STALL_S = 4.0  # of a request, on a busy machine; a migration asks for a lock for 1 s at a time
LATER = '''"""A revision of a later release."""

import sqlalchemy as sa
from alembic import op

revision = "9999_later"
down_revision = "{head}"
lives_with = "{lives_with}"


def upgrade() -> None:
    op.add_column("memories", sa.Column("later", sa.Text))


def downgrade() -> None:
    op.drop_column("memories", "later")
'''


@pytest.fixture
def dsn(brain: Brain) -> Iterator[str]:
    """A database of the test's own, empty."""
    name, sql = f"revisions_{uuid4().hex}", brain.service.sql
    sql.execute(f'CREATE DATABASE "{name}"')
    yield urlunsplit(urlsplit(os.environ["SOMABRAIN_POSTGRES_DSN"])._replace(path=f"/{name}"))
    sql.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def alembic(dsn: str, *words: str) -> None:
    argv = [sys.executable, "-m", "alembic", *words]
    done = subprocess.run(
        argv, cwd=PYTHONPATH, env=environment(SOMABRAIN_POSTGRES_DSN=dsn), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def migrate(dsn: str, **settings: str) -> None:
    done = run("migrate", SOMABRAIN_POSTGRES_DSN=dsn, **settings)
    assert done.returncode == 0, done.stderr


def head(dsn: str) -> str:
    with psycopg.connect(dsn) as connection:
        (version,) = connection.execute("SELECT version_num FROM alembic_version").fetchall()[0]
        return str(version)


def later(folder: Path, after: str, lives_with: str) -> str:
    """Make the image's folder of a later release, with one more revision; return where it is."""
    copy = folder / "later"
    shutil.copytree(PYTHONPATH, copy, ignore=shutil.ignore_patterns("packages", "__pycache__"))
    (copy / "alembic" / "versions" / "9999_later.py").write_text(LATER.format(head=after, lives_with=lives_with))
    return str(copy)


@contextmanager
def served_on(dsn: str, **settings: str) -> Iterator[httpx.Client]:
    stores = {"SOMABRAIN_POSTGRES_DSN": dsn, "SOMABRAIN_REDIS_URL": os.environ["SOMABRAIN_REDIS_URL"]}
    with of_the_test(**stores, **settings) as client:
        yield client


def test_pods_of_the_former_release_serve_on_while_a_later_one_migrates_and_when_it_is_taken_back(
    dsn: str, tmp_path: Path
) -> None:
    migrate(dsn)
    now = head(dsn)
    newer = later(tmp_path, now, now)
    with served_on(dsn) as former, served_on(dsn, PYTHONPATH=newer) as new:
        assert settled(former).status_code == 200
        assert settled(new).json()["alerts"] == ["schema"]  # its own migration has not run
        assert new.get("/readyz").status_code == 503
        migrate(dsn, PYTHONPATH=newer)
        end = time.monotonic() + PATIENT_S
        while new.get("/readyz").status_code != 200:
            assert time.monotonic() < end, new.get("/readyz").text
            time.sleep(0.2)
        for _ in range(20):
            assert former.post("/remember", json={"task": "of the former"}).status_code == 200
            assert former.post("/context/feedback", json=FEEDBACK).status_code == 200
        time.sleep(1.1)  # answers are given again for a second
        health = settled(former)
        assert (health.status_code, health.json()["alerts"], health.json()["items"]) == (200, ["schema-ahead"], 20)
        assert former.get("/readyz").json() == {"ok": True, "alerts": ["schema-ahead"]}
    migrate(dsn)  # a rollback: the former release's migration, and a pod of it, start on the later schema
    assert head(dsn) == "9999_later"
    with served_on(dsn) as back:
        assert settled(back).status_code == 200
        assert back.post("/recall", json={"query": "former"}).json()["memory"]


def test_a_release_that_the_schema_excludes_is_not_ready(dsn: str, tmp_path: Path) -> None:
    migrate(dsn)
    with served_on(dsn) as former:
        assert settled(former).status_code == 200
        migrate(dsn, PYTHONPATH=later(tmp_path, head(dsn), "9999_later"))
        time.sleep(1.1)
        assert (former.get("/readyz").status_code, settled(former).json()["alerts"]) == (503, ["schema"])
    done = run("migrate", SOMABRAIN_POSTGRES_DSN=dsn)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "the migration failed: the schema is at 9999_later, of a later release, which works from 9999_later on"
    )


def insert(dsn: str, seqs: range) -> float:
    """Store memories as a pod of the revision before does, one by one; return the longest time of one, in s."""
    longest = 0.0
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("SET statement_timeout = '15s'")
        connection.execute("INSERT INTO tenants (tenant_id) VALUES ('t') ON CONFLICT DO NOTHING")
        for seq in seqs:
            begun = time.monotonic()
            connection.execute(
                "INSERT INTO memories (tenant_id, seq, id, at, universe, task_digest, payload_json, vector)"
                " VALUES ('t', %s, %s, 0, 'real', '', %s, '')",
                (seq, f"id-{seq}", '{"coordinate": [0.5, 0.25, 0.125]}'),
            )
            longest = max(longest, time.monotonic() - begun)
    return longest


def test_a_migration_beside_a_backup_holds_no_request_up_and_is_done_after_it(dsn: str) -> None:
    alembic(dsn, "upgrade", "0003_adaptation")
    insert(dsn, range(2500))
    with ThreadPoolExecutor() as pool, psycopg.connect(dsn) as backup:
        # As pg_dump does: it reads in one transaction, under a lock that only a change of the table waits for.
        backup.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        backup.execute("LOCK TABLE memories IN ACCESS SHARE MODE")
        migrating = pool.submit(migrate, dsn)
        longest = 0.0
        for first in range(2500, 3500, 100):
            longest = max(longest, insert(dsn, range(first, first + 100)))
            time.sleep(0.5)
        assert not migrating.done()
        backup.rollback()
        migrating.result(timeout=PATIENT_S)
    assert longest < STALL_S
    with psycopg.connect(dsn) as connection:
        rows = connection.execute(
            "SELECT count(*) FILTER (WHERE place_digest IS NULL), count(*) FROM memories"
        ).fetchall()
        assert rows == [(0, 3500)]
        valid = "SELECT indisvalid FROM pg_index WHERE indexrelid = 'memories_place'::regclass"
        assert connection.execute(valid).fetchall() == [(True,)]


def test_a_migration_that_was_cut_off_is_finished_by_the_next(dsn: str) -> None:
    alembic(dsn, "upgrade", "0003_adaptation")
    insert(dsn, range(10))
    with psycopg.connect(dsn, autocommit=True) as connection:  # what a killed attempt leaves
        connection.execute("ALTER TABLE memories ADD COLUMN place_digest bytea")
        connection.execute("CREATE INDEX memories_place ON memories (tenant_id, place_digest)")
        connection.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'memories_place'::regclass")
    migrate(dsn)
    with psycopg.connect(dsn) as connection:
        valid = "SELECT indisvalid FROM pg_index WHERE indexrelid = 'memories_place'::regclass"
        assert connection.execute(valid).fetchall() == [(True,)]
        assert connection.execute("SELECT count(*) FROM memories WHERE place_digest IS NULL").fetchall() == [(0,)]


def test_whoever_asks_for_the_health_of_many_tenants_makes_nobody_unready(brain: Brain) -> None:
    def flood(n: int) -> httpx.Response:
        return brain.service.api.get("/health", params={"tenant_id": f"flood-{n}"})

    with ThreadPoolExecutor(16) as pool:
        asked = [pool.submit(flood, n) for n in range(600)]
        told = []
        while not all(future.done() for future in asked):
            told.append(brain.service.api.get("/readyz").status_code)
            time.sleep(0.02)
    assert set(told) == {200}
    # Who asks so much at once may have to be told that there was no time for a tenant's memories, and why.
    answers = [future.result() for future in asked]
    assert {answer.status_code for answer in answers} <= {200, 503}
    assert all(answer.json()["alerts"] for answer in answers if answer.status_code == 503)
    assert any(answer.status_code == 200 for answer in answers)
