"""What is refused is refused with a sentence, at exactly its limit, and leaves nothing behind."""

from typing import Any

import pytest

from tests.service.live.brain import LONG_AGO, Brain, Json, across, invalid, refusal

TOLD: Json = {"session_id": "s", "query": "q", "prompt": "p", "response_text": "r", "utility": 0.5}
RESET = "/context/adaptation/reset"


def untouched(brain: Brain) -> bool:
    """Nothing is stored of the tenant, and its weights stand at the start."""
    state = brain.state()
    start = (state["history_len"], state["retrieval"]["alpha"], state["utility"]["lambda_"]) == (0, 1.0, 1.0)
    rows = brain.service.rows("SELECT id FROM feedback_events WHERE tenant_id = %s", brain.tenant)
    return start and rows == [] and brain.items() == 0


@pytest.mark.parametrize(
    ("body", "number"),
    across(
        [
            b'{"task":"a","importance":%s}',
            b'{"payload":{"task":"a","quality_score":%s}}',
            b'{"task":"a","timestamp":%s}',
            b'{"task":"a","note":{"deep":[%s]}}',
        ],
        b"1e999", b"NaN", b"Infinity", b"-Infinity",
    ),
)  # fmt: skip
def test_a_memory_holds_finite_numbers_only(brain: Brain, body: bytes, number: bytes) -> None:
    assert brain.post("/remember", body % number).status_code in (400, 422)
    assert untouched(brain)


@pytest.mark.parametrize("coord", ["1,2", "1,-1000000.1,3", [1, 2, 3]])
def test_a_place_that_is_none_is_refused(brain: Brain, coord: Any) -> None:
    status, detail = refusal(brain.post("/remember", {"coord": coord, "payload": {"task": "a"}}))
    assert (status, detail.startswith("Invalid input: coord")) == (400, True)
    assert untouched(brain)


@pytest.mark.parametrize("fields", [{"content": 5}, {"importance": True}, {"task": "a\x00b"}])
def test_a_payload_of_wrong_types_is_refused(brain: Brain, fields: Json) -> None:
    for body in ({"task": "a", **fields}, {"payload": {"task": "a", **fields}}):
        status, detail = refusal(brain.post("/remember", body))
        assert (status, detail.startswith("Invalid payload")) == (400, True)
    assert untouched(brain)


@pytest.mark.parametrize("body", [5, "text", True, None])
def test_a_memory_is_an_object(brain: Brain, body: Any) -> None:
    assert brain.post("/remember", body).status_code in (400, 422)
    assert untouched(brain)


def test_the_longest_task_and_the_farthest_place_are_stored(brain: Brain) -> None:
    brain.fine("/remember", {"coord": "-1e6,1000000,0", "payload": {"task": "a" * 10_000, "timestamp": LONG_AGO}})
    (found,) = brain.recall(None)["memory"]
    assert (len(found["task"]), found["coordinate"]) == (10_000, [-1e6, 1e6, 0.0])


@pytest.mark.parametrize("top_k", [0, -1, 51, 1.5, "3", True, [], {}])
def test_an_evaluation_asks_for_1_to_50_memories(brain: Brain, top_k: Any) -> None:
    assert invalid(brain.post("/context/evaluate", {"session_id": "s", "query": "q", "top_k": top_k}))
    for fine in (1, 50):
        brain.evaluate("q", top_k=fine)


@pytest.mark.parametrize("top_k", [0, -1, 101, 1.5, "3", True, [], {}])
def test_a_recall_asks_for_1_to_100_memories(brain: Brain, top_k: Any) -> None:
    assert invalid(brain.post("/recall", {"query": "q", "top_k": top_k}))
    for fine in (1, 100):
        brain.recall("q", top_k=fine)


@pytest.mark.parametrize(
    ("payload", "says"),
    [
        ({"content": "a" * 65_537}, "Invalid input: content is over 65536 bytes"),
        ({"who": ["a" * 8192]}, "Invalid input: who is over 8192 bytes"),
        ({"note": "a" * 262_144}, "Invalid input: payload is over 262144 bytes"),
    ],
)
def test_a_memory_that_is_too_large_is_refused(brain: Brain, payload: Json, says: str) -> None:
    for body in ({"payload": {"task": "a", **payload}}, {"task": "a", **payload}):
        assert refusal(brain.post("/remember", body)) == (400, says)
    assert untouched(brain)


def test_the_largest_content_is_stored_and_found(brain: Brain) -> None:
    brain.remember("a", content="a" * 65_536)
    assert len(brain.recall("a")["memory"][0]["content"]) == 65_536


def test_a_query_of_a_recall_has_an_end(brain: Brain) -> None:
    assert brain.tasks("a" * 10_000) == []
    assert refusal(brain.post("/recall", {"query": "a" * 10_001})) == (
        400,
        "Invalid input: query is over 10000 characters",
    )


def test_metadata_ends_after_exactly_8192_bytes(brain: Brain) -> None:
    frame = len('{"note":""}')
    assert refusal(brain.post("/context/feedback", brain.told(metadata={"note": "a" * (8193 - frame)}))) == (
        400,
        "metadata exceeds 8 KB",
    )
    assert untouched(brain)
    brain.feedback(metadata={"note": "a" * (8192 - frame)})


@pytest.mark.parametrize("number", [1e308, -1e308, 5e-324])
def test_any_finite_number_is_a_utility(brain: Brain, number: float) -> None:
    brain.feedback(utility=number)
    state = brain.state()
    assert 0.1 <= state["retrieval"]["alpha"] <= 5.0
    assert state["history_len"] == 1


@pytest.mark.parametrize("path", ["/context/evaluate", "/context/feedback"])
def test_a_session_has_a_name(brain: Brain, path: str) -> None:
    assert invalid(brain.post(path, {**TOLD, "session_id": ""}))
    assert untouched(brain)


@pytest.mark.parametrize(
    ("path", "name"),
    across(["/recall", "/context/evaluate", "/context/feedback", RESET, "/remember"], "", "a" * 129),
)
def test_a_header_that_names_no_tenant_is_refused(brain: Brain, path: str, name: str) -> None:
    assert refusal(brain.post(path, {**TOLD, "task": "a"}, X_Tenant_ID=name)) == (400, "invalid tenant")


@pytest.mark.parametrize("body", [b"{", b"[]", b'"text"', b'{"base_lr":NaN}', b'{"base_lr":1e999}', b"[" * 10_000])
def test_a_reset_that_is_none_changes_nothing(brain: Brain, body: bytes) -> None:
    brain.feedback()
    assert invalid(brain.post(RESET, body))
    assert brain.state()["history_len"] == 1


def test_a_reset_of_ten_megabytes_is_refused(brain: Brain) -> None:
    assert refusal(brain.post(RESET, b'{"x":"' + b"a" * 10_000_000 + b'"}'))[0] == 413


@pytest.mark.parametrize("path", ["/remember", "/recall", "/context/evaluate", "/context/feedback"])
def test_ten_megabytes_without_a_length_are_refused(brain: Brain, path: str) -> None:
    def parts() -> Any:
        yield b'{"task":"'
        for _ in range(100):
            yield b"a" * 100_000
        yield b'"}'

    answer = brain.service.api.post(path, content=parts(), headers={"X-Tenant-ID": brain.tenant})
    assert refusal(answer)[0] == 413
    assert untouched(brain)


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/xml", "nonsense"])
def test_a_body_of_another_kind_is_no_server_error(brain: Brain, kind: str) -> None:
    for path in ("/remember", "/recall", "/context/evaluate", "/context/feedback"):
        answer = brain.post(path, b"task=a&query=b", Content_Type=kind)
        assert answer.status_code in (400, 422), f"{path}: {answer.status_code} {answer.text}"
    assert untouched(brain)


@pytest.mark.parametrize("path", ["/", "/remember/all", "/context", "/context/evaluate/x", "/%00", "/..%2f", "/\u00fc"])
def test_an_unknown_route_is_not_found_whatever_is_sent(brain: Brain, path: str) -> None:
    for answer in (brain.get(path), brain.post(path, {"task": "a"}), brain.post(path, b"{")):
        assert refusal(answer) == (404, "Not Found")
    assert untouched(brain)
