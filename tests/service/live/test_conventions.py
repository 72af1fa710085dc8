"""What holds for every request: tenant, headers, guard, limits, errors (contract 1 and 8)."""

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import httpx
import pytest
from redis import Redis
from somabrain.limits import Limiter

from tests.service.live.brain import Brain, Json, Service, across, invalid, refusal

BODIES: dict[str, Json] = {
    "/remember": {"task": "a"},
    "/recall": {"query": "a"},
    "/context/evaluate": {"session_id": "s", "query": "a"},
    "/context/feedback": {"session_id": "s", "query": "q", "prompt": "p", "response_text": "r", "utility": 0.5},
    "/act": {"task": "a"},
    "/plan/suggest": {"task_key": "a"},
    "/link": {"from_key": "a", "to_key": "b"},
    "/neuromodulators": {"dopamine": 0.5},
}
GUARDED = ("/context/evaluate", "/context/feedback")
every_post = pytest.mark.parametrize("path", BODIES)


def test_the_body_names_the_tenant_else_the_header(brain: Brain, other: Brain) -> None:
    brain.fine("/remember", {"task": "for the other", "tenant_id": other.tenant})
    assert (brain.items(), other.items()) == (0, 1)
    assert brain.recall("other")["namespace"] == f"somabrain_ns:{brain.tenant}"
    found = brain.recall("other", tenant_id=other.tenant)
    assert found["namespace"] == f"somabrain_ns:{other.tenant}"
    assert [payload["task"] for payload in found["memory"]] == ["for the other"]
    assert "tenant_id" not in found["memory"][0]
    assert brain.evaluate("other")["tenant_id"] == brain.tenant
    assert len(brain.evaluate("other", tenant_id=other.tenant)["memories"]) == 1
    brain.feedback(tenant_id=other.tenant)
    assert (brain.state()["history_len"], other.state()["history_len"]) == (0, 1)
    assert brain.get(f"/context/adaptation/state?tenant_id={other.tenant}").json() == other.state()
    assert brain.get(f"/health?tenant_id={other.tenant}").json()["namespace"] == f"somabrain_ns:{other.tenant}"


@pytest.mark.parametrize(("path", "tenant"), across(BODIES, "", "a" * 129, "a\x00b", 5, []))
def test_a_tenant_that_is_none_is_refused(brain: Brain, path: str, tenant: Any) -> None:
    assert refusal(brain.post(path, {**BODIES[path], "tenant_id": tenant})) == (400, "invalid tenant")


def test_a_tenant_has_up_to_128_characters(service: Service) -> None:
    longest = Brain(service, (uuid4().hex * 4)[:128])
    longest.remember("long")
    longest.feedback()
    assert longest.tasks("long") == ["long"]
    assert longest.state()["history_len"] == 1
    assert refusal(longest.get("/context/adaptation/state?tenant_id=")) == (400, "invalid tenant")
    assert refusal(longest.get("/health?tenant_id=" + "a" * 129)) == (400, "invalid tenant")


@pytest.mark.parametrize("path", ["/remember", "/recall", "/health"])
def test_headers_come_back(brain: Brain, path: str) -> None:
    headers = {"X_Request_ID": "trace-1", "X_Deadline_MS": "25000", "X_Idempotency_Key": "once"}
    answer = (brain.get(path, **headers) if path == "/health" else brain.post(path, BODIES[path], **headers)).json()
    assert (answer["trace_id"], answer["idempotency_key"]) == ("trace-1", "once")
    assert str(answer["deadline_ms"]) == "25000"


def test_a_trace_without_a_name_gets_one(brain: Brain) -> None:
    one, another = brain.recall("a"), brain.recall("a")
    assert one["trace_id"]
    assert one["trace_id"] != another["trace_id"]
    assert (one["deadline_ms"], one["idempotency_key"]) == (None, None)


@pytest.mark.parametrize(("path", "confidence"), across(GUARDED, "0.999", "0", "-3", "high", "nan", "inf", ""))
def test_the_guard_refuses_before_it_looks_at_the_body(brain: Brain, path: str, confidence: str) -> None:
    answer = brain.post(path, b"{", X_Model_Confidence=confidence)
    assert refusal(answer) == (403, "Rejected by utility guard")


@pytest.mark.parametrize("path", GUARDED)
def test_no_confidence_is_none(brain: Brain, path: str) -> None:
    headers = {k: v for k, v in brain.service.api.headers.items() if k.lower() != "x-model-confidence"}
    answer = httpx.post(f"{brain.service.api.base_url}{path}", json=BODIES[path], headers=headers, trust_env=False)
    assert refusal(answer) == (403, "Rejected by utility guard")


@pytest.mark.parametrize("confidence", ["1", "1.0", "7e3"])
def test_the_guard_lets_the_sure_pass(brain: Brain, confidence: str) -> None:
    brain.fine("/context/evaluate", BODIES["/context/evaluate"], X_Model_Confidence=confidence)


def test_other_routes_have_no_guard(brain: Brain) -> None:
    brain.fine("/remember", BODIES["/remember"], X_Model_Confidence="0")
    brain.fine("/recall", BODIES["/recall"], X_Model_Confidence="0")
    assert brain.get("/context/adaptation/state", X_Model_Confidence="0").status_code == 200


@pytest.mark.parametrize(
    ("path", "body"),
    across(
        BODIES,
        b'{"query": NaN}',
        b"",
        b"{",
        b'{"query": Infinity}',
        b"{'query': 1}",
        b'{"query": "\xff"}',
        b'{"query": "\\ud800"}',
        b"[" * 10_000,
    ),
)
def test_what_is_not_json_is_a_validation_error(brain: Brain, path: str, body: bytes) -> None:
    assert invalid(brain.post(path, body)), brain.post(path, body).text


@pytest.mark.parametrize(("path", "body"), across([p for p in BODIES if p != "/remember"], [], "text", 5, True))
def test_a_body_is_an_object(brain: Brain, path: str, body: Any) -> None:
    assert invalid(brain.post(path, body))


@pytest.mark.parametrize(
    ("path", "wrong"),
    [
        ("/recall", {"query": 5}),
        ("/recall", {"query": "a\x00"}),
        ("/recall", {"universe": 5}),
        ("/context/evaluate", {"session_id": 5}),
        ("/context/evaluate", {"session_id": None}),
        ("/context/evaluate", {"query": ["a"]}),
        ("/context/feedback", {"utility": "0.5"}),
        ("/context/feedback", {"utility": True}),
        ("/context/feedback", {"utility": None}),
        ("/context/feedback", {"reward": "much"}),
        ("/context/feedback", {"metadata": []}),
        ("/context/feedback", {"response_text": None}),
        ("/context/feedback", {"prompt": "a\x00"}),
        ("/act", {"task": 5}),
        ("/act", {"task": None}),
        ("/act", {"task": "a\x00"}),
        ("/act", {"top_k": 0}),
        ("/act", {"top_k": 101}),
        ("/act", {"top_k": 1.5}),
        ("/act", {"universe": []}),
        ("/act", {"universe": "a\x00"}),
        ("/plan/suggest", {"task_key": 5}),
        ("/plan/suggest", {"task_key": "a\x00"}),
        ("/plan/suggest", {"max_steps": 0}),
        ("/plan/suggest", {"max_steps": 101}),
        ("/plan/suggest", {"max_steps": "5"}),
        ("/plan/suggest", {"rel_types": "related"}),
        ("/plan/suggest", {"rel_types": [5]}),
        ("/plan/suggest", {"rel_types": [""]}),
        ("/plan/suggest", {"rel_types": ["a\x00"]}),
        ("/plan/suggest", {"rel_types": ["a" * 65]}),
        ("/plan/suggest", {"rel_types": ["a"] * 65}),
        ("/link", {"from_key": 5}),
        ("/link", {"to_key": "a\x00"}),
        ("/link", {"from_coord": [1, 2, 3]}),
        ("/link", {"to_coord": "1,2," + "3" * 128}),
        ("/link", {"type": ""}),
        ("/link", {"type": " "}),
        ("/link", {"type": "a" * 65}),
        ("/link", {"type": "a\x00"}),
        ("/link", {"type": None}),
        ("/link", {"weight": 0}),
        ("/link", {"weight": -1}),
        ("/link", {"weight": 1e7}),
        ("/link", {"weight": "1"}),
        ("/link", {"weight": True}),
        ("/link", {"weight": 10**400}),
        ("/link", {"universe": 5}),
    ],
)
def test_a_field_of_a_wrong_type_is_a_validation_error(brain: Brain, path: str, wrong: dict[str, Any]) -> None:
    assert invalid(brain.post(path, {**BODIES[path], **wrong}))


@pytest.mark.parametrize("path", GUARDED)
@pytest.mark.parametrize("missing", ["session_id", "query"])
def test_a_missing_field_is_a_validation_error(brain: Brain, path: str, missing: str) -> None:
    assert invalid(brain.post(path, {k: v for k, v in BODIES[path].items() if k != missing}))


@pytest.mark.parametrize(
    ("fields", "number"),
    across(
        [b'"utility":%s', b'"reward":%s,"utility":1', b'"metadata":{"n":%s},"utility":1'],
        b"1e999", b"NaN", b"Infinity", b"-Infinity", b"-1e999",
    ),
)  # fmt: skip
def test_numbers_are_finite(brain: Brain, fields: bytes, number: bytes) -> None:
    body = b'{"session_id":"s","query":"q","prompt":"p","response_text":"r",' + fields % number + b"}"
    assert invalid(brain.post("/context/feedback", body))
    assert brain.state()["history_len"] == 0


@every_post
def test_a_body_beyond_the_limit_is_refused_unread(brain: Brain, path: str) -> None:
    status, detail = refusal(brain.post(path, b'{"task":"' + b"a" * 10_000_000 + b'"}'))
    assert status == 413
    assert "bytes" in detail


def test_an_unknown_route_is_not_found(brain: Brain) -> None:
    assert refusal(brain.get("/nothing/here")) == (404, "Not Found")
    assert refusal(brain.post("/nothing/here", {})) == (404, "Not Found")
    assert refusal(brain.get("/recall")) == (405, "Method Not Allowed")


def test_the_policy_is_asked_where_there_is_one(brain: Brain) -> None:
    """The policy of the stack knows GET, POST and DELETE only; the routes themselves answer 405 to any other."""
    answer = brain.service.api.put("/recall", json={"query": "a"}, headers={"X-Tenant-ID": brain.tenant})
    denied, unknown = (403, "OPA policy denied request"), (405, "Method Not Allowed")
    assert refusal(answer) == (denied if brain.service.asks_opa else unknown)


def test_a_bucket_is_one_for_all_processes(brain: Brain) -> None:
    url = os.environ["SOMABRAIN_REDIS_URL"]
    limiters = [Limiter(Redis.from_url(url), per_s=0.001, burst=5) for _ in range(2)]
    admitted = [not limiter.wait_s(brain.tenant) for _ in range(4) for limiter in limiters]
    assert admitted == [True] * 5 + [False] * 3


def test_too_many_requests_of_a_tenant_are_refused_until_its_bucket_fills(brain: Brain, other: Brain) -> None:
    redis, key = brain.service.redis, f"somabrain:rate:{brain.tenant}"
    brain.remember("before")
    redis.set(key, redis.time()[0] + 60, px=60_000)  # as if it had been emptied over and over
    for path in ("/remember", "/recall"):
        assert refusal(brain.post(path, BODIES[path])) == (429, "rate limit exceeded")
    brain.evaluate("others are not limited")
    other.remember("another tenant has a bucket of its own")
    redis.delete(key)
    assert brain.items() == 1
    brain.remember("after")


@pytest.mark.parametrize("path", [*(path for path in BODIES if path not in ("/remember", "/recall")), "state"])
def test_the_other_routes_have_a_bucket_of_their_own(brain: Brain, other: Brain, path: str) -> None:
    def ask(tenant: Brain) -> httpx.Response:
        return tenant.get("/context/adaptation/state") if path == "state" else tenant.post(path, BODIES[path])

    redis = brain.service.redis
    redis.set(f"somabrain:work-rate:{brain.tenant}", redis.time()[0] + 60, px=60_000)
    answer = ask(brain)
    assert refusal(answer) == (429, "rate limit exceeded")
    assert 50 <= int(answer.headers["Retry-After"]) <= 60
    brain.remember("has the other bucket")
    brain.recall("has the other bucket")
    assert ask(other).status_code == 200


def test_a_tenant_has_its_writes_of_a_day(brain: Brain, other: Brain) -> None:
    brain.remember("the first")
    brain.service.sql.execute("UPDATE tenants SET writes = 9999 WHERE tenant_id = %s", (brain.tenant,))
    brain.remember("the last")
    for _ in range(2):
        assert refusal(brain.post("/remember", {"task": "one more"})) == (429, "daily write quota exceeded")
    assert brain.items() == 2
    assert sorted(brain.tasks(None)) == ["the first", "the last"]
    other.remember("another tenant has its own")
    brain.service.sql.execute("UPDATE tenants SET writes_on = writes_on - 1 WHERE tenant_id = %s", (brain.tenant,))
    brain.remember("the next day")
    assert brain.items() == 3


def test_an_idempotency_key_of_a_tenant_stores_once(brain: Brain, other: Brain) -> None:
    for task in ("first", "second"):
        answer = brain.fine("/remember", {"task": task}, X_Idempotency_Key="k")
        assert (answer["ok"], answer["idempotency_key"]) == (True, "k")
    brain.fine("/remember", {"task": "third"}, X_Idempotency_Key="another")
    other.fine("/remember", {"task": "fourth"}, X_Idempotency_Key="k")
    assert sorted(brain.tasks(None)) == ["first", "third"]
    assert other.tasks(None) == ["fourth"]
    assert (brain.items(), other.items()) == (2, 1)


def test_an_idempotency_key_holds_among_requests_at_the_same_time(brain: Brain) -> None:
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda i: brain.post("/remember", {"task": f"{i}"}, X_Idempotency_Key="k"), range(6)))
    assert [answer.status_code for answer in answers] == [200] * 6
    assert brain.items() == len(brain.tasks(None)) == 1


def test_an_empty_idempotency_key_is_none(brain: Brain) -> None:
    for task in ("first", "second"):
        assert brain.fine("/remember", {"task": task}, X_Idempotency_Key="")["idempotency_key"] is None
    assert brain.items() == 2
