"""The learning suite: does the running stack remember, and does it learn by the formulas it promises?

It talks to the forwarded ports alone, over HTTP, Redis and SQL, and shares no code with the service. It needs
SOMA_API_URL, SOMABRAIN_REDIS_URL and SOMABRAIN_POSTGRES_LOCAL_PORT, and the password in .env. Every test has a tenant
of its own; where the stack does not answer, the tests fail and say what to do.
"""

import json
import os
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from math import log
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote
from uuid import uuid4

import httpx
import psycopg
import pytest
from dotenv import dotenv_values
from redis import Redis
from redis.exceptions import RedisError

Json = dict[str, Any]
ROOT = Path(__file__).parent.parent
LONG_AGO = 1_000_000_000.0
WEEK_S = 7 * 24 * 3600
WELL_WITHIN_S = 15.0
START = {"alpha": 1.0, "gamma": 0.1, "lambda_": 1.0, "mu": 0.1, "nu": 0.05}
GAIN = {"alpha": 1.0, "gamma": -0.5, "lambda_": 1.0, "mu": -0.25, "nu": -0.25}
BOUNDS = {"alpha": (0.1, 5.0), "gamma": (0.0, 1.0), "lambda_": (0.1, 5.0), "mu": (0.01, 5.0), "nu": (0.01, 5.0)}
RATE = 0.05 * (0.5 + 0.4)


def learned(weights: dict[str, float], signal: float) -> dict[str, float]:
    """The weights after one step: x <- clip(x + rate * gain * signal, low, high)."""
    moved = {name: x + RATE * GAIN[name] * signal for name, x in weights.items()}
    return {name: min(max(x, BOUNDS[name][0]), BOUNDS[name][1]) for name, x in moved.items()}


def after(signals: Iterable[float]) -> dict[str, float]:
    weights = START
    for signal in signals:
        weights = learned(weights, signal)
    return weights


def close(wanted: dict[str, float]) -> Any:
    return pytest.approx(wanted, rel=0, abs=1e-9)


@dataclass(frozen=True)
class Stack:
    """The three doors of the stack."""

    api: httpx.Client
    memory: httpx.Client
    redis: Redis
    sql: psycopg.Connection[tuple[Any, ...]]

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        return self.sql.execute(query, values).fetchall()


@dataclass(frozen=True)
class Brain:
    """The stack as one tenant sees it."""

    stack: Stack
    tenant: str

    def send(self, method: str, path: str, body: Json | None = None, door: httpx.Client | None = None) -> Json:
        ask = partial((door or self.stack.api).request, method, path, json=body, headers={"X-Tenant-ID": self.tenant})
        end = time.monotonic() + WELL_WITHIN_S
        # The health of a busy machine's store, which is asked for half a second, is asked again.
        while (answer := ask()).status_code == 503 and path == "/health" and time.monotonic() < end:
            time.sleep(0.2)
        assert answer.status_code == 200, f"{method} {path}: {answer.status_code} {answer.text}"
        return cast(Json, answer.json())

    def remember(self, task: str, door: httpx.Client | None = None, **fields: object) -> None:
        assert self.send("POST", "/remember", {"payload": {"task": task, **fields}}, door)["ok"] is True

    def recall(self, query: str, top_k: int = 3, door: httpx.Client | None = None) -> list[Json]:
        return cast(list[Json], self.send("POST", "/recall", {"query": query, "top_k": top_k}, door)["memory"])

    def evaluate(self, query: str, session: str = "s", top_k: int = 5) -> Json:
        return self.send("POST", "/context/evaluate", {"session_id": session, "query": query, "top_k": top_k})

    def feedback(self, utility: float, session: str = "s", **fields: object) -> None:
        told = {"session_id": session, "query": "q", "prompt": "p", "response_text": "r", "utility": utility}
        answer = self.send("POST", "/context/feedback", told | fields)
        assert answer == {"accepted": True, "adaptation_applied": True}

    def state(self) -> Json:
        return self.send("GET", "/context/adaptation/state")

    def weights(self) -> dict[str, float]:
        state = self.state()
        both = state["retrieval"] | state["utility"]
        return {name: both[name] for name in START}

    def tau(self) -> float:
        return float(self.state()["retrieval"]["tau"])

    def copy(self) -> Json:
        text = self.stack.redis.get(f"adaptation:state:{self.tenant}")
        assert text is not None, "Redis holds no copy of the state"
        return cast(Json, json.loads(text))

    def items(self, door: httpx.Client | None = None) -> int:
        return int(self.send("GET", "/health", door=door)["items"])


def dsn() -> str:
    """The exported DSN; else the one that .env and the forwarded port make."""
    if exported := os.environ.get("SOMABRAIN_POSTGRES_DSN"):
        return exported
    env = {**dotenv_values(ROOT / ".env"), **os.environ}
    user, name = env.get("POSTGRES_USER") or "somabrain", env.get("POSTGRES_DB") or "somabrain"
    port = env.get("SOMABRAIN_POSTGRES_LOCAL_PORT") or "55432"
    return f"postgresql://{quote(user)}:{quote(env.get('POSTGRES_PASSWORD') or '', safe='')}@127.0.0.1:{port}/{name}"


def unreachable(what: str, error: object) -> Any:
    return pytest.fail(f"{what} does not answer: {error}\nBring the stack up with `devenv up`.", pytrace=False)


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    api_url = os.environ.get("SOMA_API_URL", "http://127.0.0.1:9696")
    memory_url = os.environ.get("SOMABRAIN_MEMORY_HTTP_ENDPOINT", api_url)
    redis_url = os.environ.get("SOMABRAIN_REDIS_URL", "redis://127.0.0.1:6379/0")
    headers = {"X-Model-Confidence": "1"}
    if token := os.environ.get("SOMABRAIN_API_TOKEN"):
        headers["Authorization"] = f"Bearer {token}"
    with (
        httpx.Client(base_url=api_url, headers=headers, timeout=30) as api,
        httpx.Client(base_url=memory_url, headers=headers, timeout=30) as memory,
        Redis.from_url(redis_url, decode_responses=True, socket_timeout=10, socket_connect_timeout=10) as redis,
    ):
        for name, door in (("the API", api), ("the memory address", memory)):
            try:
                ready = door.get("/health")
            except httpx.HTTPError as error:
                unreachable(f"{name} at {door.base_url}", error)
            if ready.status_code != 200:
                unreachable(f"{name} at {door.base_url}", f"/health is {ready.status_code} {ready.text}")
        try:
            redis.ping()
        except RedisError as error:
            unreachable(f"Redis at {redis_url}", error)
        try:
            sql = psycopg.connect(dsn(), autocommit=True, connect_timeout=10)
        except psycopg.Error as error:
            unreachable("Postgres", error)
        with sql:
            yield Stack(api, memory, redis, sql)


@pytest.fixture(scope="session")
def run() -> str:
    """The tenant of this run, before which nothing was learned."""
    return os.environ.get("SOMABRAIN_DEFAULT_TENANT") or f"learning-{uuid4().hex[:12]}"


@pytest.fixture
def brain(stack: Stack, run: str) -> Brain:
    return Brain(stack, f"{run}-{uuid4().hex[:8]}")


@pytest.fixture
def other(stack: Stack, run: str) -> Brain:
    return Brain(stack, f"{run}-{uuid4().hex[:8]}")


def test_the_stack_says_that_it_is_ready(brain: Brain) -> None:
    health = brain.send("GET", "/health")
    assert health["ok"] is True
    assert health["ready"] is True
    assert health["alerts"] == []
    assert health["components"]["postgres"] is True
    assert health["components"]["redis"] is True
    assert health["namespace"] == f"somabrain_ns:{brain.tenant}"
    assert health["items"] == 0


def test_a_memory_is_found_by_the_words_of_its_task_and_of_its_content(brain: Brain) -> None:
    brain.remember("water the garden", content="the tomatoes need two litres")
    brain.remember("file the tax return", content="deadline at the end of July")
    assert brain.recall("garden")[0]["task"] == "water the garden"
    assert brain.recall("tomatoes")[0]["task"] == "water the garden"
    assert brain.recall("deadline July")[0]["task"] == "file the tax return"


def test_a_memory_comes_back_as_it_was_given(brain: Brain) -> None:
    given = {"task": "größe 日本語 👋", "content": "text", "quality_score": 0.25, "domains": ["a", "b"], "who": "me"}
    brain.remember(**cast(Any, given), timestamp=LONG_AGO)
    (found,) = brain.recall("größe")
    assert {name: found[name] for name in given} == given
    assert found["timestamp"] == LONG_AGO


def test_the_memory_address_and_the_api_share_one_memory(brain: Brain) -> None:
    door = brain.stack.memory
    assert brain.items(door) == 0
    brain.remember("told at the memory address", door)
    assert brain.items(door) == 1
    assert brain.recall("memory address")[0]["task"] == "told at the memory address"
    brain.remember("told at the api")
    assert brain.items(door) == 2
    assert brain.recall("api", door=door)[0]["task"] == "told at the api"


def test_an_evaluation_weighs_what_it_remembers(brain: Brain) -> None:
    for task in ("red apples", "green apples", "blue whales"):
        brain.remember(task)
    answer = brain.evaluate("apples")
    weights = answer["weights"]
    assert len(weights) == len(answer["memories"]) == 3
    assert sum(weights) == pytest.approx(1.0, abs=1e-6)
    assert all(w > 0 for w in weights)
    assert weights == sorted(weights, reverse=True)
    assert {memory["metadata"]["task"] for memory in answer["memories"][:2]} == {"red apples", "green apples"}
    assert sum(x * x for x in answer["residual_vector"]) == pytest.approx(1.0, abs=1e-6)
    assert answer["prompt"].endswith("apples")
    assert 1 <= len(answer["prompt"]) <= 4096


def test_without_memories_the_prompt_is_the_query(brain: Brain) -> None:
    answer = brain.evaluate("who am I")
    assert (answer["prompt"], answer["weights"], answer["residual_vector"]) == ("who am I", [], [])


def test_working_memory_grows_to_ten_and_stays_in_redis(brain: Brain) -> None:
    brain.remember("a first thought")
    for n in range(1, 13):
        window = brain.evaluate(f"thought {n}", session="long")["working_memory"]
        assert [entry["query"] for entry in window] == [f"thought {i}" for i in range(max(1, n - 9), n + 1)]
    key = f"somabrain:wm:{brain.tenant}:long"
    held = [json.loads(item)["query"] for item in brain.stack.redis.lrange(key, 0, -1)]
    assert held == [f"thought {i}" for i in range(12, 0, -1)]
    assert 0 < brain.stack.redis.ttl(key) <= int(os.environ.get("SOMABRAIN_WM_TTL_SECONDS", "60"))


def test_sessions_have_working_memories_of_their_own(brain: Brain) -> None:
    brain.evaluate("said in one", session="one")
    assert [entry["query"] for entry in brain.evaluate("said in two", session="two")["working_memory"]] == [
        "said in two"
    ]


def test_feedback_is_a_row_and_its_tokens_are_another(brain: Brain) -> None:
    session = f"rows-{uuid4().hex}"
    told = {"query": "  a ' query\n", "prompt": 'the "prompt"', "response_text": "größe 👋"}
    metadata = {"tokens": 12.5, "model": "a-model"}
    brain.feedback(0.9, session, **told, reward=0.4, metadata=metadata)
    columns = "query, prompt, response_text, utility, reward, metadata_json, now() - created_at < interval '1 minute'"
    ((query, prompt, text, utility, reward, kept, fresh),) = brain.stack.rows(
        f"SELECT {columns} FROM feedback_events WHERE session_id = %s",  # noqa: S608
        session,
    )
    assert {"query": query, "prompt": prompt, "response_text": text} == told
    assert (utility, reward, json.loads(kept), fresh) == (0.9, 0.4, metadata, True)
    used = brain.stack.rows("SELECT tenant_id, tokens, model FROM token_usage WHERE session_id = %s", session)
    assert used == [(brain.tenant, 12.5, "a-model")]


@pytest.mark.parametrize(
    ("metadata", "tokens"),
    [(None, []), ({}, []), ({"tokens": "12"}, []), ({"tokens": 0}, [0.0]), ({"tokens_used": 7}, [7.0])],
)
def test_tokens_are_counted_when_they_are_a_number(brain: Brain, metadata: Json | None, tokens: list[float]) -> None:
    session = f"tokens-{uuid4().hex}"
    brain.feedback(0.1, session, metadata=metadata)
    assert brain.stack.rows("SELECT tokens FROM token_usage WHERE session_id = %s", session) == [(t,) for t in tokens]


def test_a_refused_feedback_leaves_neither_row_nor_step(brain: Brain) -> None:
    session = f"refused-{uuid4().hex}"
    told = {"session_id": session, "query": "q", "prompt": "p", "response_text": "r" * 1025, "utility": 0.9}
    told["metadata"] = {"tokens": 1}
    answer = brain.stack.api.post("/context/feedback", json=told, headers={"X-Tenant-ID": brain.tenant})
    assert answer.status_code == 400
    assert brain.stack.rows("SELECT id FROM feedback_events WHERE session_id = %s", session) == []
    assert brain.stack.rows("SELECT id FROM token_usage WHERE session_id = %s", session) == []
    assert brain.weights() == close(START)
    assert brain.state()["history_len"] == 0


def test_one_step_moves_the_weights_by_the_promised_numbers(brain: Brain) -> None:
    assert brain.weights() == close(START)
    brain.feedback(0.9)
    assert brain.weights() == close(
        {"alpha": 1.0405, "gamma": 0.07975, "lambda_": 1.0405, "mu": 0.089875, "nu": 0.039875}
    )
    state = brain.state()
    assert state["history_len"] == 1
    assert state["learning_rate"] == pytest.approx(0.045, abs=1e-12)


@pytest.mark.parametrize("signals", [[-0.9], [0.3, -0.2, 0.7], [0.25] * 4, [-0.5, 0.5]])
def test_steps_follow_one_another_exactly(brain: Brain, signals: list[float]) -> None:
    for signal in signals:
        brain.feedback(signal)
    assert brain.weights() == close(after(signals))
    assert brain.state()["history_len"] == len(signals)


def test_a_reward_counts_instead_of_the_utility(brain: Brain) -> None:
    brain.feedback(0.9, reward=-0.3)
    assert brain.weights() == close(after([-0.3]))


@pytest.mark.parametrize("signal", [20.0, -20.0])
def test_weights_stop_at_their_bounds(brain: Brain, signal: float) -> None:
    signals = [signal] * 8
    for told in signals:
        brain.feedback(told)
    end = 5.0 if signal > 0 else 0.1
    assert brain.weights() == close(after(signals))
    assert brain.weights()["alpha"] == end


def test_the_run_learns_on_its_own_tenant(stack: Stack, run: str) -> None:
    brain = Brain(stack, run)
    before, history = brain.weights(), brain.state()["history_len"]
    brain.feedback(0.9)
    assert brain.weights() == close(learned(before, 0.9))
    assert brain.weights()["alpha"] > before["alpha"]
    assert brain.state()["history_len"] == history + 1


def test_redis_holds_a_copy_of_what_was_learned(brain: Brain) -> None:
    brain.feedback(0.9)
    state = brain.state()
    copy = brain.copy()
    assert copy["retrieval"] == state["retrieval"]
    assert copy["utility"] == state["utility"]
    assert copy["feedback_count"] == state["history_len"] == 1
    assert copy["learning_rate"] == state["learning_rate"]
    ttl = brain.stack.redis.ttl(f"adaptation:state:{brain.tenant}")
    assert WEEK_S - 600 < ttl <= WEEK_S


def test_feedback_changes_what_the_next_evaluation_prefers(brain: Brain) -> None:
    brain.remember("copper kettle", timestamp=LONG_AGO)
    brain.remember("wooden ladder", timestamp=LONG_AGO)

    def difference() -> tuple[float, float]:
        """How much likelier the better memory is, and that in units of alpha / tau: the difference of cosines."""
        state = brain.state()["retrieval"]
        better, worse = brain.evaluate("copper kettle")["weights"]
        ratio = log(better / worse)
        return ratio, ratio * state["tau"] / state["alpha"]

    ratio, cosines = difference()
    for _ in range(4):
        brain.feedback(1.0)
    sharper, same_cosines = difference()
    assert sharper > ratio > 0
    # Recency and links play no part here, so the softmax can be solved for the cosines: they have not moved.
    assert same_cosines == pytest.approx(cosines, rel=1e-6)


def test_different_memories_cool_the_temperature_down_to_its_floor(brain: Brain) -> None:
    brain.remember("an anchor")
    brain.remember("a balloon")
    taus = []
    for _ in range(8):
        brain.evaluate("anchor balloon")
        taus.append(brain.tau())
    assert taus == pytest.approx([0.65, 0.6, 0.55, 0.5, 0.45, 0.4, 0.4, 0.4], abs=1e-9)
    assert brain.copy()["retrieval"]["tau"] == taus[-1]


def test_repeated_memories_warm_the_temperature_up_to_its_ceiling(brain: Brain) -> None:
    for _ in range(3):
        brain.remember("the same again")
    taus = []
    for _ in range(7):
        brain.evaluate("same again")
        taus.append(brain.tau())
    assert taus == pytest.approx([0.8, 0.9, 1.0, 1.1, 1.2, 1.2, 1.2], abs=1e-9)


def test_without_memories_the_temperature_stays(brain: Brain) -> None:
    brain.evaluate("nothing to find")
    assert brain.tau() == pytest.approx(0.7, abs=1e-12)


def test_two_tenants_share_nothing(brain: Brain, other: Brain) -> None:
    brain.remember("a secret of the first tenant")
    brain.evaluate("secret", session="same")
    brain.feedback(0.9, session="same")
    assert other.recall("secret") == []
    assert other.items() == 0
    answer = other.evaluate("secret", session="same")
    assert answer["memories"] == []
    assert [entry["memory_ids"] for entry in answer["working_memory"]] == [[]]
    assert other.weights() == close(START)
    assert other.state()["history_len"] == 0


def test_feedbacks_at_the_same_time_are_steps_one_after_the_other(brain: Brain) -> None:
    n = 24
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: brain.feedback(0.5, "crowd"), range(n)))
    assert brain.weights() == close(after([0.5] * n))
    assert brain.state()["history_len"] == brain.copy()["feedback_count"] == n
    ((rows,),) = brain.stack.rows(
        "SELECT count(*) FROM feedback_events WHERE session_id = 'crowd' AND tenant_id = %s", brain.tenant
    )
    assert rows == n


def test_what_was_learned_outlives_connections_and_the_copy_in_redis(brain: Brain) -> None:
    brain.remember("kept in Postgres")
    brain.feedback(0.9)
    learned_before = brain.state()
    brain.stack.redis.delete(f"adaptation:state:{brain.tenant}")
    # The API's, whichever role it has.
    brain.stack.rows(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name = 'somabrain'"
    )
    assert brain.state() == learned_before
    assert brain.copy()["feedback_count"] == 1
    assert brain.recall("Postgres")[0]["task"] == "kept in Postgres"


def test_the_history_of_all_runs_explains_the_weights(stack: Stack) -> None:
    """One tenant lives through every run of this suite, and through whatever happens to the stack in between."""
    brain, session = Brain(stack, "learning-suite-durable"), "learning-suite-durable"
    with stack.sql.transaction():
        stack.rows("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", session)  # two suites take turns
        for _ in range(2):
            signals = [
                float(signal)
                for (signal,) in stack.rows(
                    "SELECT coalesce(reward, utility) FROM feedback_events"
                    " WHERE tenant_id = %s AND session_id = %s ORDER BY created_at",
                    brain.tenant,
                    session,
                )
            ]
            assert brain.state()["history_len"] == len(signals)
            assert brain.weights() == close(after(signals))
            brain.feedback(0.75 if len(signals) % 2 == 0 else -0.5, session)
