"""The service as a process of its own, with everything it needs gone: what it still answers, and how soon."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import httpx
import pytest

from tests.service.programs import environment, silent_port

START_S = 30
TOKEN = "a-token"  # noqa: S105
SURE = {"X-Model-Confidence": "1"}
KNOWN = {"Authorization": f"Bearer {TOKEN}"}
ADMIN_TOKEN = "the-admins-token"  # noqa: S105
ADMIN = {"Authorization": f"Bearer {ADMIN_TOKEN}"}


@pytest.fixture(scope="module")
def alone() -> Iterator[httpx.Client]:
    """A service that asks for a token, and finds neither Postgres nor Redis nor OPA."""
    with silent_port() as opa, serving(SOMABRAIN_OPA_URL=f"http://127.0.0.1:{opa}", SOMA_OPA_FAIL_CLOSED="1") as client:
        yield client


@contextmanager
def serving(**settings: str) -> Iterator[httpx.Client]:
    """A service of its own, with a token and these settings, which finds neither Postgres nor Redis."""
    with ExitStack() as held:
        postgres, redis = (held.enter_context(silent_port()) for _ in range(2))
        with silent_port() as free:
            port = free
        env = environment(
            SOMABRAIN_HOST="127.0.0.1",
            SOMABRAIN_PORT=str(port),
            SOMABRAIN_POSTGRES_DSN=f"postgresql://a:b@127.0.0.1:{postgres}/c",
            SOMABRAIN_REDIS_URL=f"redis://127.0.0.1:{redis}/0",
            SOMABRAIN_API_TOKEN=TOKEN,
            SOMABRAIN_MAX_BODY_BYTES="1000",
            **settings,
        )
        process = subprocess.Popen([sys.executable, "-m", "somabrain"], env=env, stderr=subprocess.PIPE, text=True)
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10, trust_env=False) as client:
                await_life(client, process)
                yield client
        finally:
            process.terminate()
            process.communicate(timeout=START_S)


def await_life(client: httpx.Client, process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + START_S
    while True:
        try:
            assert client.get("/healthz").json() == {"ok": True}
        except httpx.TransportError:
            if process.poll() is not None or time.monotonic() > end:
                process.terminate()
                pytest.fail(f"the service does not serve: {process.communicate(timeout=START_S)[1]}", pytrace=False)
            time.sleep(0.1)
        else:
            return


def test_it_lives_but_is_not_ready_and_says_so_within_a_second(alone: httpx.Client) -> None:
    assert alone.get("/healthz").status_code == 200
    begun = time.monotonic()
    answer = alone.get("/health")
    took_s = time.monotonic() - begun
    assert answer.status_code == 503
    health = answer.json()
    assert (health["ok"], health["ready"], health["items"]) == (False, False, None)
    assert health["components"]["postgres"] is health["components"]["redis"] is health["components"]["opa"] is False
    assert health["alerts"] == ["postgres", "redis", "opa"]
    assert (health["opa_required"], health["opa_ok"]) == (True, False)
    assert took_s < 1.0


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
    with serving(SOMABRAIN_ADMIN_TOKEN=ADMIN_TOKEN, SOMABRAIN_DISABLE_AUTH=off) as client:

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
    with serving() as client:
        assert client.post("/neuromodulators", json={}, headers=ADMIN).status_code == 403
        answer = client.post("/neuromodulators", json={}, headers=KNOWN)
        assert (answer.status_code, "postgres unavailable" in answer.json()["detail"]) == (503, True)
