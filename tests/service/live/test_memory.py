"""What is remembered and how it is found again (contract 3)."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.service.live.brain import LONG_AGO, Brain, refusal


def test_a_payload_may_stand_at_the_top(brain: Brain) -> None:
    brain.fine("/remember", {"task": "at the top", "who": "me", "importance": 3})
    (found,) = brain.recall("top")["memory"]
    assert (found["task"], found["who"], found["importance"]) == ("at the top", "me", 3)


def test_what_is_not_said_has_its_default(brain: Brain) -> None:
    before = time.time()
    brain.remember("plain")
    (found,) = brain.recall("plain")["memory"]
    assert (found["importance"], found["memory_type"]) == (1.0, "episodic")
    assert before - 60 < found["timestamp"] < time.time() + 60


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        (LONG_AGO, LONG_AGO),
        (str(LONG_AGO), LONG_AGO),
        ("2001-09-09T01:46:40Z", LONG_AGO),
        ("2001-09-09T03:46:40+02:00", LONG_AGO),
        ("2001-09-09T01:46:40.5", LONG_AGO + 0.5),
        (-1.5, -1.5),
    ],
)
def test_a_timestamp_is_stored_as_epoch_seconds(brain: Brain, given: Any, stored: float) -> None:
    brain.remember("dated", timestamp=given)
    (found,) = brain.recall("dated")["memory"]
    assert found["timestamp"] == stored


@pytest.mark.parametrize("timestamp", ["soon", "nan", "", True, [], {}])
def test_a_timestamp_that_is_none_is_refused(brain: Brain, timestamp: Any) -> None:
    status, detail = refusal(brain.post("/remember", {"task": "a", "timestamp": timestamp}))
    assert status == 400
    assert "timestamp" in detail
    assert brain.items() == 0


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ([], "Invalid payload"),
        ([{"task": "a"}], "Invalid payload"),
        ({"payload": []}, "Invalid payload"),
        ({"payload": {"task": 5}}, "Invalid payload"),
        ({"payload": {"task": "a", "importance": "high"}}, "Invalid payload"),
        ({"payload": {"task": "a" * 10_001}}, "Invalid input"),
        ({"coord": "1,2", "payload": {"task": "a"}}, "Invalid input"),
        ({"coord": "1,2,nan", "payload": {"task": "a"}}, "Invalid input"),
        ({"coord": "1,2,1000001", "payload": {"task": "a"}}, "Invalid input"),
        ({"payload": {"task": "!?"}}, "empty text"),
        ({"payload": {"who": "me"}}, "empty text"),
        ({}, "empty text"),
    ],
)
def test_a_memory_that_is_none_is_refused_and_not_stored(brain: Brain, body: Any, says: str) -> None:
    status, detail = refusal(brain.post("/remember", body))
    assert status == 400
    assert detail.startswith(says)
    assert brain.items() == 0


def test_each_memory_has_a_place(brain: Brain) -> None:
    brain.remember("one")
    brain.remember("one")
    brain.fine("/remember", {"coord": "1,-2.5,1e6", "payload": {"task": "one"}})
    places = [payload["coordinate"] for payload in brain.recall("one", top_k=10)["memory"]]
    assert places[0] == [1.0, -2.5, 1e6]
    assert places[1] != places[2]
    assert all(-1 <= c <= 1 for place in places[1:] for c in place)


def test_first_comes_what_has_the_very_task_and_of_these_the_newest(brain: Brain) -> None:
    for n in range(3):
        brain.remember("Feed the cat", content=f"and the dog, and the fish, {n}", timestamp=LONG_AGO + n)
    brain.remember("feed the cat feed the cat", timestamp=LONG_AGO + 9)
    found = brain.recall("  feed THE cat\n", top_k=4)["memory"]
    assert [payload.get("content", "")[-1:] for payload in found] == ["2", "1", "0", ""]


def test_then_comes_what_is_more_similar_and_of_equals_the_newest(brain: Brain) -> None:
    order = [2, 0, 3, 1]
    for n in order:
        brain.remember("copper kettle", importance=n, timestamp=LONG_AGO + n)
    brain.remember("wooden ladder", timestamp=LONG_AGO + 10)
    found = brain.recall("kettle of copper", top_k=5)["memory"]
    assert [payload["importance"] for payload in found[:4]] == [3, 2, 1, 0]
    assert found[4]["task"] == "wooden ladder"


def test_a_recall_is_bounded_in_bytes_and_says_so(brain: Brain) -> None:
    for n in range(12):
        brain.remember(f"heavy {n}", note="a" * 250_000, timestamp=LONG_AGO + n)
    found = brain.recall(None, top_k=12)
    assert [payload["task"] for payload in found["memory"]] == [f"heavy {n}" for n in range(11, 3, -1)]
    assert (len(found["wm"]), found["results"], found["truncated"]) == (8, found["memory"], True)
    assert found["reality"]["sources"] == 8
    assert "truncated" not in brain.recall(None, top_k=8)
    step = brain.act("heavy", top_k=12)
    assert (step["memory_hits"], step["wm_hits"]) == (12, 12)


def test_without_a_query_simply_the_newest(brain: Brain) -> None:
    for n in (1, 4, 2, 3):
        brain.remember(f"memory {n}", timestamp=LONG_AGO + n)
    assert brain.tasks(None) == ["memory 4", "memory 3", "memory 2"]
    assert [payload["task"] for payload in brain.fine("/recall", {"top_k": 2})["memory"]] == ["memory 4", "memory 3"]


def test_a_universe_restricts_what_is_found(brain: Brain) -> None:
    brain.remember("a door")
    brain.remember("a door", universe="dream")
    assert [p["universe"] for p in brain.recall("door")["memory"]] == ["real"]
    assert [p["universe"] for p in brain.recall("door", universe="dream")["memory"]] == ["dream"]
    by_header = brain.fine("/recall", {"query": "door"}, X_Universe="dream")
    assert [p["universe"] for p in by_header["memory"]] == ["dream"]
    assert [w["payload"]["universe"] for w in by_header["wm"]] == ["dream"]
    assert brain.fine("/recall", {"query": "door", "universe": "real"}, X_Universe="dream")["memory"] != []
    assert brain.recall("door", universe="nowhere")["memory"] == []


def test_working_memory_ranks_the_newest_64(brain: Brain) -> None:
    def tell(n: int) -> None:
        brain.remember("an old coin" if n < 2 else f"item {n} of many", timestamp=LONG_AGO + n)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(tell, range(66)))
    found = brain.recall("old coin", top_k=3)
    assert [payload["task"] for payload in found["memory"][:2]] == ["an old coin"] * 2
    assert len(found["wm"]) == 3
    assert "an old coin" not in {scored["payload"]["task"] for scored in found["wm"]}
    scores = [scored["score"] for scored in found["wm"]]
    assert scores == sorted(scores, reverse=True)
    assert all(-1 <= score <= 1 for score in scores)


def test_a_recall_answers_in_one_shape(brain: Brain) -> None:
    brain.remember("only one")
    found = brain.recall("one", top_k=100)
    assert found["results"] == found["memory"]
    assert found["wm"][0]["payload"] == found["memory"][0]
    assert set(found) >= {"wm", "memory", "results", "namespace", "trace_id", "deadline_ms", "idempotency_key"}


@pytest.mark.parametrize(
    ("least", "reality"),
    [
        (None, {"ok": True, "sources": 2, "confidence": 1.0}),
        ("2", {"ok": True, "sources": 2, "confidence": 0.5}),
        ("3", {"ok": False, "sources": 2, "confidence": 1 / 3}),
        ("0", {"ok": True, "sources": 2, "confidence": 1.0}),
        ("many", {"ok": True, "sources": 2, "confidence": 1.0}),
    ],
)
def test_reality_counts_sources(brain: Brain, least: str | None, reality: dict[str, Any]) -> None:
    brain.remember("one fact")
    brain.remember("another fact")
    found = brain.fine("/recall", {"query": "fact"}, **({} if least is None else {"X_Min_Sources": least}))
    assert found["reality"] == pytest.approx(reality)


def test_a_query_without_a_letter_is_refused(brain: Brain) -> None:
    assert refusal(brain.post("/recall", {"query": "?!"})) == (400, "empty text")
    assert refusal(brain.post("/context/evaluate", {"session_id": "s", "query": ""})) == (400, "empty text")


def test_what_was_told_is_found_at_once(brain: Brain) -> None:
    for n in range(5):
        brain.remember(f"word{n} number{n}")
        assert brain.tasks(f"number{n}")[0] == f"word{n} number{n}"
