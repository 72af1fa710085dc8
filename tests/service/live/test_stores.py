"""What stands in Postgres and Redis, and what holds while one of them is gone (contract 6.3, 6.4 and 7)."""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import httpx
import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from somabrain.database import migration_engine
from somabrain.health import START_S
from somabrain.memories import row
from somabrain.memory import memory_from
from somabrain.tables import memories, metadata

from tests.service.live.brain import SETTLED_S, Brain, refusal
from tests.service.programs import run, served

SURE = {"X-Model-Confidence": "1"}
FEEDBACK = {"session_id": "s", "query": "q", "prompt": "p", "response_text": "r", "utility": 0.5}


@contextmanager
def of_the_test(**stores: str) -> Iterator[httpx.Client]:
    """A service of the test's own, on the stack's Postgres unless the test says otherwise."""
    dsn = {"SOMABRAIN_POSTGRES_DSN": os.environ["SOMABRAIN_POSTGRES_DSN"]}
    with served(**{**dsn, "SOMABRAIN_DISABLE_AUTH": "1", **stores}) as client:
        client.headers.update(SURE)
        yield client


def settled(client: httpx.Client) -> httpx.Response:
    """What /health says once Postgres was reached: its first connection may take longer than a probe waits."""
    end = time.monotonic() + SETTLED_S
    while "postgres" in (answer := client.get("/health")).json()["alerts"] and time.monotonic() < end:
        time.sleep(0.2)
    return answer


def test_without_redis_an_evaluation_fails_and_a_feedback_is_kept(brain: Brain) -> None:
    brain.remember("an anchor")
    before, key = brain.state(), f"adaptation:state:{brain.tenant}"
    with of_the_test() as redisless:
        redisless.headers["X-Tenant-ID"] = brain.tenant
        answer = redisless.post("/context/evaluate", json={"session_id": "s", "query": "anchor"})
        assert refusal(answer) == (503, "working memory unavailable")
        assert brain.state() == before
        brain.feedback()
        copied = brain.service.redis.get(key)
        assert redisless.post("/context/feedback", json=FEEDBACK).json()["accepted"] is True
        health = settled(redisless)
        assert (health.status_code, health.json()["alerts"]) == (503, ["redis"])
    assert brain.service.redis.get(key) == copied
    brain.feedback()
    text = brain.service.redis.get(key)
    assert isinstance(text, str)
    assert json.loads(text)["feedback_count"] == brain.state()["history_len"] == 3


def test_a_service_is_sent_its_first_request_once_all_that_it_needs_answers(brain: Brain) -> None:
    with of_the_test() as redisless:
        assert settled(redisless).json()["alerts"] == ["redis"]
        early = redisless.get("/readyz")
        assert (early.status_code, early.json()) == (503, {"ok": False, "alerts": ["redis"]})
        end = time.monotonic() + START_S + SETTLED_S
        while (late := redisless.get("/readyz")).status_code != 200:
            assert time.monotonic() < end, late.text
            time.sleep(1)
        assert late.json() == {"ok": True, "alerts": []}
        assert redisless.get("/health").status_code == 503
    assert brain.get("/readyz").json() == {"ok": True, "alerts": []}


def test_a_service_before_the_migration_is_not_ready_and_makes_no_table(brain: Brain) -> None:
    name, sql = f"scenario_{uuid4().hex}", brain.service.sql
    dsn = urlunsplit(urlsplit(os.environ["SOMABRAIN_POSTGRES_DSN"])._replace(path=f"/{name}"))
    stores = {"SOMABRAIN_POSTGRES_DSN": dsn, "SOMABRAIN_REDIS_URL": os.environ["SOMABRAIN_REDIS_URL"]}
    sql.execute(f'CREATE DATABASE "{name}"')
    try:
        with of_the_test(**stores) as early:
            answer = settled(early)
            assert (answer.status_code, answer.json()["alerts"]) == (503, ["schema"])
            assert early.post("/remember", json={"task": "too early"}).status_code == 503
            assert early.post("/context/feedback", json=FEEDBACK).status_code == 500
            assert settled(early).json()["alerts"] == ["schema"]
            assert run("migrate", SOMABRAIN_POSTGRES_DSN=dsn).returncode == 0
            assert run("migrate", SOMABRAIN_POSTGRES_DSN=dsn).returncode == 0
            answer = settled(early)
            assert (answer.status_code, answer.json()["items"]) == (200, 0)
            assert early.post("/remember", json={"task": "in time"}).status_code == 200
    finally:
        sql.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def test_an_upgrade_that_was_cut_off_is_finished_by_the_next_one(brain: Brain) -> None:
    """What is left behind is a column that is there already, and an index that Postgres does not use."""
    name, sql = f"scenario_{uuid4().hex}", brain.service.sql
    dsn = urlunsplit(urlsplit(os.environ["SOMABRAIN_POSTGRES_DSN"])._replace(path=f"/{name}"))
    sql.execute(f'CREATE DATABASE "{name}"')
    try:
        assert run("migrate", SOMABRAIN_POSTGRES_DSN=dsn).returncode == 0
        with psycopg.connect(dsn, autocommit=True) as early:
            early.execute("DROP INDEX links_ends")
            early.execute("UPDATE alembic_version SET version_num = '0004_places'")
            early.execute(
                "INSERT INTO links (tenant_id, universe, from_digest, to_digest, type, weight, from_key, to_key)"
                " SELECT 'a', 'real', 'b', 'c', n::text, 1, '', '' FROM generate_series(1, 2) n"
            )
            with pytest.raises(psycopg.errors.UniqueViolation):
                early.execute("CREATE UNIQUE INDEX CONCURRENTLY links_ends ON links (tenant_id)")
            valid = "SELECT indisvalid FROM pg_index WHERE indexrelid = 'links_ends'::regclass"
            assert early.execute(valid).fetchone() == (False,)
            done = run("migrate", SOMABRAIN_POSTGRES_DSN=dsn)
            assert done.returncode == 0, done.stderr
            assert early.execute(valid).fetchone() == (True,)
    finally:
        sql.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


MANY = 5000
FILL = (
    "INSERT INTO links (tenant_id, universe, from_digest, to_digest, type, weight, from_key, to_key)"
    " SELECT %(tenant)s, 'real', sha256(n::text::bytea), sha256((n + 1)::text::bytea), 'related', 1, '', '' FROM n",
    "INSERT INTO feedback_events (id, session_id, query, prompt, response_text, utility, tenant_id, idempotency_digest)"
    " SELECT %(tenant)s || n, 's', '', '', '', 1, %(tenant)s, sha256(n::text::bytea) FROM n",
    "INSERT INTO token_usage (id, session_id, tokens, tenant_id)"
    " SELECT %(tenant)s || n, 's', 1, %(tenant)s || n FROM n",
    "INSERT INTO adaptation_state"
    " SELECT %(tenant)s || n, 1, 1, 1, 1, 1, 1, 1, 0, 1, 1, NULL, now() - n * '1 s'::interval FROM n",
)


@pytest.mark.parametrize(
    ("index", "query"),
    [
        (
            "links_ends",
            "FROM links WHERE tenant_id = %(tenant)s AND from_digest IN (sha256('1'), sha256('2'))"
            " AND to_digest IN (sha256('2'), sha256('3'))",
        ),
        ("token_usage_tenant", "FROM token_usage WHERE tenant_id = %(tenant)s || '7'"),
        (
            "feedback_idempotency_key",
            "FROM feedback_events WHERE tenant_id = %(tenant)s AND idempotency_digest = sha256('7')",
        ),
        (
            "adaptation_state_newest",
            "FROM adaptation_state ORDER BY last_feedback_at DESC NULLS LAST, tenant_id LIMIT 9",
        ),
    ],
)
def test_a_query_has_its_index(brain: Brain, index: str, query: str) -> None:
    sql, tenant = brain.service.sql, {"tenant": brain.tenant}
    with sql.transaction(force_rollback=True):
        for fill in FILL:
            sql.execute(f"WITH n AS (SELECT generate_series(1, {MANY}) AS n) {fill}", tenant)
        sql.execute("ANALYZE links, feedback_events, token_usage, adaptation_state")
        plan = " ".join(line for (line,) in sql.execute(f"EXPLAIN SELECT tenant_id {query}", tenant))
    assert (index in plan, "Sort" in plan) == (True, False), plan


def test_a_memory_that_cannot_be_kept_leaves_no_trace(brain: Brain) -> None:
    """A row that cannot be written, here by a rule of the database itself."""
    name, sql = f"refuse_{uuid4().hex}", brain.service.sql
    brain.remember("the first")
    sql.execute(f"ALTER TABLE memories ADD CONSTRAINT {name} CHECK (tenant_id <> '{brain.tenant}') NOT VALID")
    try:
        assert refusal(brain.post("/remember", {"task": "the second"})) == (503, "memory backend unavailable")
    finally:
        sql.execute(f"ALTER TABLE memories DROP CONSTRAINT {name}")
    assert (brain.items(), brain.tasks(None)) == (1, ["the first"])


def test_a_memory_is_committed_when_the_answer_is_read(brain: Brain) -> None:
    for n in range(1, 4):
        brain.remember(f"memory {n}")
        assert brain.service.rows("SELECT count(*) FROM memories WHERE tenant_id = %s", brain.tenant) == [(n,)]


def test_the_session_is_that_of_the_body(brain: Brain) -> None:
    brain.evaluate("first", "s")
    answer = brain.fine("/context/evaluate", {"session_id": "s", "query": "second"}, X_Session_ID="another")
    assert [entry["query"] for entry in answer["working_memory"]] == ["first", "second"]


def test_the_newest_thousand_snapshots_are_kept(brain: Brain) -> None:
    brain.feedback()
    sql = brain.service.sql
    sql.execute("UPDATE adaptation_state SET history_len = 1005 WHERE tenant_id = %s", (brain.tenant,))
    sql.execute(
        "INSERT INTO adaptation_snapshots SELECT tenant_id, n, alpha, beta, gamma, tau, lambda_, mu, nu, learning_rate"
        " FROM adaptation_snapshots, generate_series(1, 1004) n WHERE tenant_id = %s",
        (brain.tenant,),
    )
    brain.feedback()
    kept = "SELECT count(*), min(position), max(position) FROM adaptation_snapshots WHERE tenant_id = %s"
    assert brain.service.rows(kept, brain.tenant) == [(1000, 6, 1005)]


COLUMNS = {
    "feedback_events": {
        "id": ("character varying", 64, "NO"),
        "session_id": ("character varying", 128, "NO"),
        "query": ("text", None, "NO"),
        "prompt": ("text", None, "NO"),
        "response_text": ("text", None, "NO"),
        "utility": ("double precision", None, "NO"),
        "reward": ("double precision", None, "YES"),
        "metadata_json": ("text", None, "YES"),
        "created_at": ("timestamp with time zone", None, "NO"),
    },
    "token_usage": {
        "id": ("character varying", 64, "NO"),
        "session_id": ("character varying", 128, "NO"),
        "tenant_id": ("character varying", 128, "YES"),
        "tokens": ("double precision", None, "NO"),
        "model": ("character varying", 128, "YES"),
        "created_at": ("timestamp with time zone", None, "NO"),
    },
}


@pytest.mark.parametrize("table", COLUMNS)
def test_a_table_has_its_promised_columns(brain: Brain, table: str) -> None:
    rows = brain.service.rows(
        "SELECT column_name, data_type, character_maximum_length, is_nullable FROM information_schema.columns"
        " WHERE table_name = %s",
        table,
    )
    assert COLUMNS[table].items() <= {name: tuple(kind) for name, *kind in rows}.items()
    indexes = [text for (text,) in brain.service.rows("SELECT indexdef FROM pg_indexes WHERE tablename = %s", table)]
    assert any(text.startswith("CREATE UNIQUE") and text.endswith("(id)") for text in indexes)
    assert any(text.endswith("(session_id)") for text in indexes)


def test_the_stores_are_those_of_the_contract(brain: Brain) -> None:
    assert brain.service.rows("SHOW server_version_num")[0][0][:2] == "15"
    assert brain.service.rows("SELECT count(*) FROM alembic_version") == [(1,)]
    tables = {name for (name,) in brain.service.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")}
    assert tables >= {"feedback_events", "token_usage", "memories", "links", "neuromodulators", "adaptation_state"}
    keys = "SELECT count(*) FROM adaptation_state GROUP BY tenant_id HAVING count(*) > 1"
    assert brain.service.rows(keys) == []


def test_the_migrations_make_the_tables_that_the_service_knows() -> None:
    engine = migration_engine(os.environ["SOMABRAIN_POSTGRES_DSN"])
    with engine.connect() as connection:
        told = {"compare_type": True, "compare_server_default": True}
        assert compare_metadata(MigrationContext.configure(connection, opts=told), metadata) == []


def test_a_memory_s_row_fills_every_column_but_the_time_of_its_making() -> None:
    filled = row("t", 1, memory_from({"task": "a"}, "id", 1.0))
    assert set(filled) == {column.name for column in memories.columns} - {"created_at"}
    assert [name for name, value in filled.items() if value is None] == ["idempotency_digest"]


def test_the_redis_copy_and_the_window_have_their_shape_and_their_end(brain: Brain) -> None:
    redis = brain.service.redis
    brain.feedback()
    for n in range(34):
        brain.evaluate(f"thought {n}", "long")
    text = redis.get(f"adaptation:state:{brain.tenant}")
    assert isinstance(text, str)
    assert set(json.loads(text)) == {"retrieval", "utility", "feedback_count", "learning_rate"}
    key = f"somabrain:wm:{brain.tenant}:long"
    held = [json.loads(item)["query"] for item in redis.lrange(key, 0, -1)]
    assert held == [f"thought {n}" for n in range(33, 1, -1)]
    redis.expire(key, 5)
    brain.evaluate("once more", "long")
    assert redis.ttl(key) > 5
