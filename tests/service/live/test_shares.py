"""What one tenant may take of the service, in turns and in time (contract 1)."""

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx
import pytest
from somabrain.database import open_engine
from somabrain.deadline import UNTIL, keep
from somabrain.errors import Refused
from somabrain.settings import load
from sqlalchemy import text

from tests.service.live.brain import Brain, Json, refusal

TABLES = ("adaptation_state", "tenants")
FLOOD = 150  # more than two processes work on and let wait


@contextmanager
def locked(brain: Brain) -> Iterator[None]:
    """The tenant's rows, held by a transaction of the test's own: what changes them waits."""
    with brain.service.sql.transaction():
        for table in TABLES:
            rows = brain.service.rows(f"SELECT 1 FROM {table} WHERE tenant_id = %s FOR UPDATE", brain.tenant)  # noqa: S608
            assert len(rows) == 1
        yield


def known(brain: Brain) -> Brain:
    brain.remember("known")
    brain.feedback()
    return brain


def test_a_tenant_whose_requests_hang_holds_up_no_other(brain: Brain, other: Brain) -> None:
    known(brain)
    limits = httpx.Limits(max_connections=FLOOD)
    headers = {**brain.service.api.headers, "X-Tenant-ID": brain.tenant}
    with (
        httpx.Client(
            base_url=brain.service.api.base_url, headers=headers, limits=limits, timeout=30, trust_env=False
        ) as api,
        ThreadPoolExecutor(FLOOD) as pool,
    ):
        with locked(brain):
            hanging = [pool.submit(api.post, "/context/feedback", json=brain.told()) for _ in range(FLOOD)]
            time.sleep(1)
            begun = time.monotonic()
            other.remember("meanwhile")
            assert other.tasks("meanwhile") == ["meanwhile"]
            assert time.monotonic() - begun < 1.5
        answers = [one.result() for one in hanging]
    refused = [answer for answer in answers if answer.status_code != 200]
    assert refused
    assert {refusal(answer) for answer in refused} == {(429, "too many requests at the same time")}
    assert {answer.headers["Retry-After"] for answer in refused} == {"1"}
    assert brain.state()["history_len"] == 1 + FLOOD - len(refused)


@pytest.mark.parametrize("path", ["/remember", "/context/feedback", "/context/evaluate", "/act"])
def test_what_is_not_done_by_its_deadline_is_refused_and_leaves_no_trace(brain: Brain, path: str) -> None:
    known(brain)
    body: Json = {"task": "late", "session_id": "late", "query": "late", **brain.told(session_id="late")}
    with locked(brain):
        begun = time.monotonic()
        assert refusal(brain.post(path, body, X_Deadline_MS="300")) == (503, "deadline exceeded")
        assert time.monotonic() - begun < 2
    assert (brain.items(), brain.state()["history_len"]) == (1, 1)
    assert brain.service.redis.exists(f"somabrain:wm:{brain.tenant}:late") == 0
    brain.fine(path, body, X_Deadline_MS="20000")


@pytest.mark.usefixtures("service")
def test_many_short_statements_end_with_the_deadline_too() -> None:
    engine = open_engine(load(os.environ), 1)
    keep(engine)

    def work() -> None:
        with engine.begin() as connection:
            for _ in range(100):
                connection.execute(text("SELECT pg_sleep(0.1)"))

    begun = time.monotonic()
    kept = UNTIL.set(begun + 0.5)
    try:
        with pytest.raises(Refused, match="deadline exceeded"):
            work()
        assert 0.5 <= time.monotonic() - begun < 2
    finally:
        UNTIL.reset(kept)
        engine.dispose()


@pytest.mark.parametrize("deadline", ["0", "-1", "soon", ""])
def test_what_is_no_positive_number_is_no_deadline(brain: Brain, deadline: str) -> None:
    brain.fine("/remember", {"task": "a"}, X_Deadline_MS=deadline)
