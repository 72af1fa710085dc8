"""Evaluate, feedback, reset and rollback (contract 4 and 6.3)."""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from math import exp
from typing import Any
from uuid import uuid4

import pytest
from somabrain import adaptation, settings
from somabrain.database import open_engine

from tests.service.live.brain import LONG_AGO, Brain, Json, invalid, refusal

START = {"alpha": 1.0, "beta": 0.2, "gamma": 0.1, "tau": 0.7}
START_UTILITY = {"lambda_": 1.0, "mu": 0.1, "nu": 0.05}


def weights(state: Json) -> Json:
    return {**state["retrieval"], **state["utility"]}


def test_an_evaluation_answers_in_one_shape(brain: Brain) -> None:
    brain.remember("a kettle", content="made of copper", timestamp=LONG_AGO)
    answer = brain.evaluate("which kettle?")
    assert set(answer) == {
        "query",
        "prompt",
        "tenant_id",
        "memories",
        "weights",
        "residual_vector",
        "working_memory",
        "constitution_checksum",
    }
    (memory,) = answer["memories"]
    assert set(memory) >= {"id", "score", "metadata"}
    assert (memory["metadata"]["task"], memory["metadata"]["timestamp"]) == ("a kettle", LONG_AGO)
    assert len(memory["id"]) <= 64
    assert answer["prompt"] == "[a kettle]\nmade of copper\n\nwhich kettle?"
    assert (answer["query"], answer["constitution_checksum"]) == ("which kettle?", None)
    (entry,) = answer["working_memory"]
    assert (entry["query"], entry["prompt"], entry["memory_ids"]) == (
        "which kettle?",
        answer["prompt"],
        [memory["id"]],
    )
    assert answer["weights"] == [1.0]


def test_no_more_than_twenty_memories_are_weighed(brain: Brain) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: brain.remember(f"apple number {n}", timestamp=LONG_AGO), range(23)))
    for top_k, shown in ((1, 1), (5, 5), (20, 20), (50, 20)):
        answer = brain.evaluate("apple", top_k=top_k)
        assert len(answer["memories"]) == len(answer["weights"]) == shown
        assert sum(answer["weights"]) == pytest.approx(1.0, abs=1e-6)
        assert all(w > 0 for w in answer["weights"])
        assert answer["weights"] == sorted(answer["weights"], reverse=True)
        assert sum(x * x for x in answer["residual_vector"]) == pytest.approx(1.0, abs=1e-6)
    assert len(brain.evaluate("apple")["memories"]) == 5


def test_a_newer_memory_weighs_more_by_the_promised_ratio(brain: Brain) -> None:
    brain.remember("the same words", timestamp=4e9)  # the future counts as now
    brain.remember("the same words", timestamp=LONG_AGO)
    newer, older = brain.evaluate("same words")["weights"]
    assert newer / older == pytest.approx(exp(0.1 * (1.0 - 0.0) / 0.7), rel=1e-6)


def test_an_evaluation_is_bounded_in_bytes_and_says_so(brain: Brain) -> None:
    for n in range(10):
        brain.remember(f"heavy {n}", note="a" * 250_000, timestamp=LONG_AGO + n)
    answer = brain.evaluate("heavy", top_k=10)
    assert answer["truncated"] is True
    assert [set(memory["metadata"]) == {"timestamp"} for memory in answer["memories"]] == [False] * 8 + [True] * 2
    assert sorted(m["metadata"]["timestamp"] for m in answer["memories"]) == [LONG_AGO + n for n in range(10)]
    assert sum(answer["weights"]) == pytest.approx(1)
    assert "truncated" not in brain.evaluate("heavy", top_k=8)


def test_a_feedback_with_a_used_key_changes_nothing(brain: Brain, other: Brain) -> None:
    told = brain.told(metadata={"tokens": 5})
    for utility in (0.9, -0.9):
        answer = brain.fine("/context/feedback", {**told, "utility": utility}, X_Idempotency_Key="k")
        assert answer == {"accepted": True, "adaptation_applied": True}
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda _: brain.fine("/context/feedback", told, X_Idempotency_Key="another"), range(6)))
    other.fine("/context/feedback", told, X_Idempotency_Key="k")
    assert (brain.state()["history_len"], other.state()["history_len"]) == (2, 1)
    for table in ("feedback_events", "token_usage"):
        assert brain.service.rows(f"SELECT count(*) FROM {table} WHERE tenant_id = %s", brain.tenant) == [(2,)]  # noqa: S608
    for _ in range(2):
        brain.fine("/context/feedback", told, X_Idempotency_Key="")
    assert brain.state()["history_len"] == 4


def test_a_query_has_an_end_and_is_never_shortened(brain: Brain) -> None:
    brain.remember("long", content="word " * 3000)
    longest = "long " * 819 + "q"
    assert len(longest) == 4096
    for query in ("q", longest[:4000], longest):
        prompt = brain.evaluate(query)["prompt"]
        assert 1 <= len(prompt) <= 4096
        assert prompt.endswith(query)
    status, detail = refusal(brain.post("/context/evaluate", {"session_id": "s", "query": longest + "q"}))
    assert (status, "4096" in detail) == (400, True)


def test_a_prompt_that_evaluate_returned_is_accepted(brain: Brain) -> None:
    for n in range(5):
        brain.remember(f"größe {n} 👋", content="日本語 👋 " * 2000)
    query = "größe 👋 " * 300
    brain.feedback(query=query, prompt=brain.evaluate(query)["prompt"])


def test_a_large_answer_leaves_the_embeddings_out_first(brain: Brain) -> None:
    for n in range(4):
        brain.remember(f"big {n}", content="x" * 40_000)
    memories = brain.evaluate("big", top_k=2)["memories"]
    assert all(len(memory["embedding"]) == 256 for memory in memories)
    memories = brain.evaluate("big", top_k=4)["memories"]
    assert all("embedding" not in memory for memory in memories)
    assert all(len(memory["metadata"]["content"]) == 40_000 for memory in memories)


def test_a_session_has_a_name_of_up_to_128_characters(brain: Brain) -> None:
    session = "s" * 128
    assert len(brain.evaluate("q", session)["working_memory"]) == 1
    brain.feedback(session_id=session)
    for path in ("/context/evaluate", "/context/feedback"):
        status, detail = refusal(brain.post(path, brain.told(session_id=session + "s")))
        assert (status, detail.startswith("input field exceeds 128 characters")) == (400, True)
    rows = brain.service.rows("SELECT id FROM feedback_events WHERE tenant_id = %s", brain.tenant)
    assert [len(row_id) <= 64 for (row_id,) in rows] == [True]


def test_working_memories_of_tenants_with_colons_stay_apart(brain: Brain) -> None:
    one, other = Brain(brain.service, f"{brain.tenant}:a"), brain
    one.evaluate("said by one", "b")
    assert [entry["query"] for entry in other.evaluate("said by the other", "a:b")["working_memory"]] == [
        "said by the other"
    ]


@pytest.mark.parametrize(("field", "limit"), [("query", 4096), ("prompt", 4096), ("response_text", 1024)])
def test_a_field_has_an_end(brain: Brain, field: str, limit: int) -> None:
    brain.feedback(**{field: "ß" * limit})
    status, detail = refusal(brain.post("/context/feedback", brain.told(**{field: "a" * (limit + 1)})))
    assert status == 400
    assert detail.startswith(f"input field exceeds {limit} characters")
    assert brain.state()["history_len"] == 1


def test_metadata_has_an_end(brain: Brain) -> None:
    brain.feedback(metadata={"note": "a" * 8000})
    assert refusal(brain.post("/context/feedback", brain.told(metadata={"note": "a" * 8192}))) == (
        400,
        "metadata exceeds 8 KB",
    )
    assert refusal(brain.post("/context/feedback", brain.told(metadata={"note": "ß" * 4200})))[0] == 400
    assert brain.state()["history_len"] == 1


@pytest.mark.parametrize(
    ("metadata", "tokens"),
    [
        ({"tokens": 3}, [3.0]),
        ({"tokens": True, "tokens_used": 4}, [4.0]),
        ({"tokens": None, "tokens_used": 0}, [0.0]),
        ({"tokens": 1, "tokens_used": 2}, [1.0]),
        ({"tokens": [1]}, []),
    ],
)
def test_tokens_are_a_row_when_they_are_a_number(brain: Brain, metadata: Json, tokens: list[float]) -> None:
    brain.feedback(metadata=metadata)
    rows = brain.service.rows("SELECT tokens FROM token_usage WHERE tenant_id = %s", brain.tenant)
    assert rows == [(count,) for count in tokens]


def test_feedbacks_of_a_session_never_go_back_in_time(brain: Brain) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: brain.feedback(utility=n / 10), range(8)))
    rows = brain.service.rows(
        "SELECT e.created_at, s.position FROM feedback_events e JOIN ("
        "  SELECT position, lead(alpha) OVER (ORDER BY position) AS after, alpha FROM adaptation_snapshots"
        "  WHERE tenant_id = %s) s ON abs(coalesce(s.after, %s) - s.alpha - 0.045 * e.utility) < 1e-9"
        " WHERE e.tenant_id = %s ORDER BY s.position",
        brain.tenant,
        brain.state()["retrieval"]["alpha"],
        brain.tenant,
    )
    assert [position for _, position in rows] == list(range(8))
    moments = [moment for moment, _ in rows]
    assert moments == sorted(moments)


def test_the_state_answers_in_one_shape(brain: Brain) -> None:
    state = brain.state()
    assert (state["retrieval"], state["utility"]) == (START, START_UTILITY)
    assert (state["history_len"], state["learning_rate"]) == (0, 0.05)
    assert state["gains"] == {"alpha": 1.0, "gamma": -0.5, "lambda_": 1.0, "mu": -0.25, "nu": -0.25}
    assert state["constraints"] == {
        "alpha_min": 0.1,
        "alpha_max": 5.0,
        "gamma_min": 0.0,
        "gamma_max": 1.0,
        "lambda_min": 0.1,
        "lambda_max": 5.0,
        "mu_min": 0.01,
        "mu_max": 5.0,
        "nu_min": 0.01,
        "nu_max": 5.0,
    }


def test_unknown_fields_of_the_copy_are_ignored(brain: Brain) -> None:
    brain.feedback()
    key = f"adaptation:state:{brain.tenant}"
    text = brain.service.redis.get(key)
    assert isinstance(text, str)
    brain.service.redis.set(key, json.dumps({**json.loads(text), "colour": "blue"}))
    state = brain.state()
    brain.feedback()
    assert state["history_len"] + 1 == brain.state()["history_len"] == 2


def test_a_reset_puts_everything_back_to_the_start(brain: Brain, other: Brain) -> None:
    before = brain.state()
    for one in (brain, other):
        one.feedback(utility=0.9)
    assert brain.fine("/context/adaptation/reset", {}) == {"ok": True, "tenant_id": brain.tenant}
    assert brain.state() == before
    assert other.state()["history_len"] == 1
    copy = brain.service.redis.get(f"adaptation:state:{brain.tenant}")
    assert isinstance(copy, str)
    assert (json.loads(copy)["retrieval"], json.loads(copy)["feedback_count"]) == (START, 0)


def test_a_reset_may_keep_the_history(brain: Brain) -> None:
    brain.feedback()
    brain.fine("/context/adaptation/reset", {"reset_history": False})
    state = brain.state()
    assert (state["history_len"], state["retrieval"], state["utility"]) == (1, START, START_UTILITY)


def test_a_reset_may_give_a_tenant_rules_of_its_own(brain: Brain) -> None:
    wanted = {
        "base_lr": 0.1,
        "retrieval_defaults": {"alpha": 2.0, "tau": 0.5},
        "utility_defaults": {"mu": 0.3},
        "gains": {"alpha": 2.0},
        "constraints": {"alpha_max": 2.1, "mu_min": 0.25},
    }
    brain.fine("/context/adaptation/reset", wanted)
    state = brain.state()
    assert (state["retrieval"]["alpha"], state["retrieval"]["tau"], state["utility"]["mu"]) == (2.0, 0.5, 0.3)
    assert (state["learning_rate"], state["gains"]["alpha"], state["constraints"]["alpha_max"]) == (0.1, 2.0, 2.1)
    brain.feedback(utility=0.5)
    state = brain.state()
    assert state["learning_rate"] == pytest.approx(0.09)
    assert state["retrieval"]["alpha"] == pytest.approx(2.09)
    assert state["utility"]["mu"] == pytest.approx(0.3 - 0.09 * 0.25 * 0.5)
    brain.feedback(utility=9)
    assert (brain.state()["retrieval"]["alpha"], brain.state()["utility"]["mu"]) == (2.1, 0.25)
    brain.fine("/context/adaptation/reset", {})
    assert brain.state()["constraints"]["alpha_max"] == 5.0


@pytest.mark.parametrize(
    "body",
    [
        {"base_lr": "fast"},
        {"base_lr": -1},
        {"gains": {"beta": 1}},
        {"gains": {"alpha": None}},
        {"constraints": []},
        {"retrieval_defaults": {"alpha": "1"}},
        {"reset_history": "yes"},
    ],
)
def test_a_reset_of_wrong_types_changes_nothing(brain: Brain, body: Any) -> None:
    brain.feedback()
    assert invalid(brain.post("/context/adaptation/reset", body))
    assert brain.state()["history_len"] == 1


def test_a_reset_whose_bounds_cross_changes_nothing(brain: Brain) -> None:
    brain.feedback()
    assert refusal(brain.post("/context/adaptation/reset", {"constraints": {"alpha_min": 6}}))[0] == 400
    assert brain.state()["history_len"] == 1


def test_a_rollback_restores_what_was_before_step_by_step(brain: Brain) -> None:
    chosen = settings.load(os.environ)
    engine, redis = open_engine(chosen, 1), brain.service.redis
    brain.remember("one")
    brain.remember("two")
    states = [brain.state()]
    for utility in (0.9, -0.4, 20.0):
        brain.feedback(utility=utility)
        states.append(brain.state())
    try:
        while len(states) > 1:
            states.pop()
            assert adaptation.rollback(engine, redis, brain.tenant, chosen.rules) is True
            assert brain.state() == states[-1]
            text = redis.get(f"adaptation:state:{brain.tenant}")
            assert isinstance(text, str)
            assert json.loads(text)["feedback_count"] == states[-1]["history_len"]
        assert adaptation.rollback(engine, redis, brain.tenant, chosen.rules) is False
        assert brain.state() == states[0]
    finally:
        engine.dispose()
    brain.feedback(utility=0.9)
    assert brain.state()["history_len"] == 1


def test_a_rollback_restores_the_temperature_too(brain: Brain) -> None:
    chosen = settings.load(os.environ)
    engine = open_engine(chosen, 1)
    for task in ("an anchor", "a balloon"):
        brain.remember(task)
    brain.evaluate("anchor")
    before = weights(brain.state())
    brain.feedback()
    brain.evaluate("anchor")
    assert brain.state()["retrieval"]["tau"] < before["tau"]
    try:
        assert adaptation.rollback(engine, brain.service.redis, brain.tenant, chosen.rules) is True
    finally:
        engine.dispose()
    assert weights(brain.state()) == before


def test_a_feedback_that_cannot_be_kept_leaves_no_trace(brain: Brain) -> None:
    """A row that cannot be written, here by a rule of the database itself, takes the step with it."""
    name = f"refuse_{uuid4().hex}"
    sql = brain.service.sql
    sql.execute(f"ALTER TABLE token_usage ADD CONSTRAINT {name} CHECK (tenant_id <> '{brain.tenant}') NOT VALID")
    try:
        status, detail = refusal(brain.post("/context/feedback", brain.told(metadata={"tokens": 1})))
    finally:
        sql.execute(f"ALTER TABLE token_usage DROP CONSTRAINT {name}")
    assert status == 500
    assert detail.startswith("feedback persist failed: ")
    assert brain.state()["history_len"] == 0
    assert brain.service.rows("SELECT id FROM feedback_events WHERE tenant_id = %s", brain.tenant) == []
