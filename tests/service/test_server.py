"""The service as a process of its own, with everything it needs gone: what it still answers, and how soon."""

import time
from collections.abc import Iterator

import httpx
import pytest

from tests.service.programs import served, silent_port
from tests.waiting import eventually

TOKEN = "a-token"  # noqa: S105
SURE = {"X-Model-Confidence": "1"}
KNOWN = {"Authorization": f"Bearer {TOKEN}"}
ADMIN_TOKEN = "the-admins-token"  # noqa: S105
ADMIN = {"Authorization": f"Bearer {ADMIN_TOKEN}"}


@pytest.fixture(scope="module")
def alone() -> Iterator[httpx.Client]:
    """A service that asks for a token, and finds neither Postgres nor Redis nor OPA."""
    with silent_port() as opa:
        settings = {
            "SOMABRAIN_OPA_URL": f"http://127.0.0.1:{opa}",
            "SOMA_OPA_FAIL_CLOSED": "1",
            "SOMABRAIN_API_TOKEN": TOKEN,
            "SOMABRAIN_MAX_BODY_BYTES": "1000",
        }
        with served(**settings) as client:
            yield client


def test_it_lives_but_is_not_ready_and_says_so_within_a_second(alone: httpx.Client) -> None:
    assert alone.get("/healthz").status_code == 200
    took_s = []
    for _ in range(3):
        begun = time.monotonic()
        answer = alone.get("/health")
        took_s.append(time.monotonic() - begun)
    assert answer.status_code == 503
    health = answer.json()
    assert (health["ok"], health["ready"], health["items"]) == (False, False, None)
    assert health["components"]["postgres"] is health["components"]["redis"] is health["components"]["opa"] is False
    assert health["alerts"] == ["postgres", "redis", "opa"]
    assert (health["opa_required"], health["opa_ok"]) == (True, False)
    assert min(took_s) < 1.0


@pytest.mark.parametrize(
    "request_line",
    [
        "POST /remember",
        "POST /recall",
        "GET /context/adaptation/state",
        "GET /neuromodulators",
        "POST /neuromodulators",
        "POST /act",
        "POST /plan/suggest",
        "POST /link",
        "GET /docs",
        "GET /nothing",
    ],
)
def test_every_other_route_wants_the_token(alone: httpx.Client, request_line: str) -> None:
    method, path = request_line.split()
    answer = alone.request(method, path)
    assert (answer.status_code, answer.json()) == (401, {"detail": "missing bearer token"})
    answer = alone.request(method, path, headers={"Authorization": "Bearer wrong"})
    assert (answer.status_code, answer.json()) == (403, {"detail": "invalid token"})


@pytest.mark.parametrize("path", ["/context/evaluate", "/context/feedback"])
def test_the_guard_comes_before_the_token_and_the_body(alone: httpx.Client, path: str) -> None:
    answer = alone.post(path, content=b"{", headers={"X-Model-Confidence": "0.99"})
    assert (answer.status_code, answer.json()) == (403, {"detail": "Rejected by utility guard"})
    assert alone.post(path, content=b"{", headers=SURE).status_code == 401


def test_the_token_comes_before_the_size_and_the_size_before_the_policy(alone: httpx.Client) -> None:
    assert alone.post("/remember", content=b"x" * 1001).status_code == 401
    answer = alone.post("/remember", content=b"x" * 1001, headers=KNOWN)
    assert (answer.status_code, answer.json()) == (413, {"detail": "the body is over 1000 bytes"})
    answer = alone.post("/remember", content=iter([b"x" * 600] * 2), headers=KNOWN)
    assert answer.status_code == 413


@pytest.mark.parametrize(
    "path", ["/remember", "/recall", "/neuromodulators", "/act", "/plan/suggest", "/link", "/nothing"]
)
def test_without_the_policy_nothing_passes(alone: httpx.Client, path: str) -> None:
    answer = alone.post(path, json={"task": "a"}, headers=KNOWN)
    assert (answer.status_code, answer.json()) == (403, {"detail": "OPA policy unavailable"})


def test_a_tenant_that_is_none_is_refused_before_the_policy_is_asked(alone: httpx.Client) -> None:
    answer = alone.post("/recall", json={"tenant_id": ""}, headers=KNOWN)
    assert (answer.status_code, answer.json()) == (400, {"detail": "invalid tenant"})


@pytest.mark.parametrize("off", ["", "1"])
def test_where_an_admin_token_is_configured_only_its_bearer_sets_neuromodulators(off: str) -> None:
    """503 is the word of a service without Postgres: the request came that far."""
    with served(SOMABRAIN_API_TOKEN=TOKEN, SOMABRAIN_ADMIN_TOKEN=ADMIN_TOKEN, SOMABRAIN_DISABLE_AUTH=off) as client:

        def told(headers: dict[str, str]) -> tuple[int, str]:
            answer = client.post("/neuromodulators", json={"dopamine": 0.8}, headers=headers)
            return answer.status_code, answer.json()["detail"]

        assert told({}) == (401, "missing bearer token")
        assert told(KNOWN) == told({"Authorization": "Bearer wrong"}) == (403, "invalid token")
        assert told(ADMIN)[0] == 503
        for known in (KNOWN, ADMIN):  # to read needs no admin, and an admin may do what others may
            assert client.get("/neuromodulators", headers=known).status_code == 503
            assert client.post("/plan/suggest", json={"task_key": "a"}, headers=known).status_code == 503


def test_without_an_admin_token_the_token_is_enough_to_set_neuromodulators() -> None:
    with served(SOMABRAIN_API_TOKEN=TOKEN) as client:
        assert client.post("/neuromodulators", json={}, headers=ADMIN).status_code == 403
        answer = client.post("/neuromodulators", json={}, headers=KNOWN)
        assert (answer.status_code, "postgres unavailable" in answer.json()["detail"]) == (503, True)


def test_where_an_admin_token_is_configured_only_its_bearer_deletes_a_tenant() -> None:
    with served(SOMABRAIN_API_TOKEN=TOKEN, SOMABRAIN_ADMIN_TOKEN=ADMIN_TOKEN) as client:

        def told(headers: dict[str, str]) -> tuple[int, str]:
            answer = client.delete("/tenant", headers={"X-Tenant-ID": "a", **headers})
            return answer.status_code, answer.json()["detail"]

        assert told({}) == (401, "missing bearer token")
        assert told(KNOWN) == (403, "invalid token")
        assert told(ADMIN)[0] == 503


def counted(client: httpx.Client, series: str) -> float:
    answer = client.get("/metrics")
    assert answer.status_code == 200
    return sum(float(line.rsplit(" ", 1)[1]) for line in answer.text.splitlines() if line.startswith(series))


def test_metrics_are_answered_without_token_and_without_anything_else(alone: httpx.Client) -> None:
    requests = 'somabrain_http_requests_total{method="GET",path="/context/adaptation/state",status="401"}'
    before, denied = counted(alone, requests), counted(alone, "somabrain_opa_deny_total")
    alone.get("/context/adaptation/state")
    assert counted(alone, requests) == before + 1
    assert alone.get("/context/adaptation/state", headers=KNOWN).status_code == 403
    assert counted(alone, "somabrain_opa_deny_total") == denied + 1
    assert "somabrain_learning_retrieval_alpha{" not in alone.get("/metrics").text


def test_every_worker_tells_the_sum_of_all() -> None:
    series = 'somabrain_http_requests_total{method="GET",path="other",status="404"}'
    with served(SOMABRAIN_WORKERS="2", SOMABRAIN_DISABLE_AUTH="1") as client:

        def told() -> float:
            with httpx.Client(base_url=client.base_url, trust_env=False) as fresh:
                return counted(fresh, series)

        for n in range(1, 21):
            # A connection of its own each time, so that both workers get some.
            assert httpx.get(f"{client.base_url}/nothing", trust_env=False).status_code == 404
            # A request is counted once its answer was sent.
            eventually(lambda: told() >= n, 10)  # noqa: B023
            assert told() == n
        assert counted(client, "somabrain_utility_value") == 0.0


@pytest.fixture(scope="module")
def storeless() -> Iterator[httpx.Client]:
    """A sandbox of two tenants, open to all, without its stores, whose policy is asked but not needed."""
    with silent_port() as opa:
        settings = {
            "SOMABRAIN_OPA_URL": f"http://127.0.0.1:{opa}",
            "SOMABRAIN_DISABLE_AUTH": "Yes",
            "SOMABRAIN_SANDBOX_TENANTS": "one, two",
        }
        with served(**settings) as client:
            yield client


FEEDBACK = {"session_id": "s", "query": "q", "prompt": "p", "response_text": "r", "utility": 0.5}


@pytest.mark.parametrize(
    ("path", "body", "status", "says"),
    [
        ("/remember", {"task": "a"}, 503, "memory backend unavailable"),
        ("/recall", {"query": "a"}, 503, "memory backend unavailable"),
        ("/context/evaluate", {"session_id": "s", "query": "a"}, 500, "context build failed: "),
        ("/context/feedback", FEEDBACK, 500, "feedback persist failed: "),
    ],
)
def test_without_postgres_nothing_is_pretended(
    storeless: httpx.Client, path: str, body: dict[str, str], status: int, says: str
) -> None:
    """OPA, which is not needed, does not answer either: the requests reach their routes all the same."""
    answer = storeless.post(path, json=body, headers={**SURE, "X-Tenant-ID": "one"})
    assert answer.status_code == status
    assert answer.json()["detail"].startswith(says)
    assert storeless.get("/context/adaptation/state?tenant_id=two").status_code == 503


@pytest.mark.parametrize("path", ["/context/evaluate", "/context/feedback"])
def test_a_sandbox_serves_its_own_tenants_on_the_context_routes(storeless: httpx.Client, path: str) -> None:
    for tenant in ("three", "sandbox", "one, two"):
        answer = storeless.post(path, json=FEEDBACK, headers={**SURE, "X-Tenant-ID": tenant})
        assert (answer.status_code, answer.json()) == (400, {"detail": "unknown tenant"})
        state = storeless.get("/context/adaptation/state", params={"tenant_id": tenant})
        assert (state.status_code, state.json()) == (400, {"detail": "unknown tenant"})
        assert storeless.post("/recall", json={"tenant_id": tenant}).status_code == 503


def test_a_reset_is_for_mode_dev_only(storeless: httpx.Client) -> None:
    answer = storeless.post("/context/adaptation/reset", json={"tenant_id": "one"})
    assert answer.status_code == 403
    assert "dev" in answer.json()["detail"]


def test_without_an_admin_token_nobody_deletes_a_tenant() -> None:
    with served(SOMABRAIN_API_TOKEN=TOKEN) as client:
        answer = client.delete("/tenant", params={"tenant_id": "acme"}, headers=KNOWN)
        assert (answer.status_code, answer.json()["detail"]) == (
            403,
            "no admin token is configured: set SOMABRAIN_ADMIN_TOKEN",
        )


def test_metrics_want_the_token_where_they_are_not_open() -> None:
    with served(SOMABRAIN_API_TOKEN=TOKEN, SOMABRAIN_METRICS_OPEN="0") as client:
        assert client.get("/metrics").status_code == 401
        assert client.get("/metrics", headers={"Authorization": "Bearer other"}).status_code == 403
        assert "somabrain_http_requests_total" in client.get("/metrics", headers=KNOWN).text
        assert client.get("/healthz").status_code == 200
    with served(SOMABRAIN_METRICS_OPEN="0", SOMABRAIN_DISABLE_AUTH="1") as client:
        assert client.get("/metrics").status_code == 200
