"""The stack's service as the scenarios see it: its pods from within, a run of feedbacks, and what was kept of it."""

import json
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx
import psycopg
from somabrain import learning
from somabrain.learning import DEFAULT_RULES, Weights

from tests.cluster.environment import Environment
from tests.waiting import eventually

NAMESPACE = "somabrain-prod"
WORKLOADS = ("statefulset/postgres", "deployment/sb-redis", "deployment/sb-opa", "deployment/somabrain")
UTILITY = 0.05
ANSWER_S = 90  # a forward may hold a new connection for 30 s, and a store may be starting
RECOVERED_WITHIN_S = 180.0
# Asked within the pod: the way from outside is closed while the pod is not ready.
ASK = """
import json, sys, time, urllib.error, urllib.request
told = {}
for path in sys.argv[1:]:
    begun = time.monotonic()
    try:
        answer = urllib.request.urlopen("http://127.0.0.1:9696" + path, timeout=20)
    except urllib.error.HTTPError as error:
        answer = error
    text = answer.read().decode()
    told[path] = {"status": answer.status, "text": text, "took_s": time.monotonic() - begun}
print(json.dumps(told))
"""
Json = dict[str, Any]


def until(holds: Callable[[], bool], what: str, within_s: float = RECOVERED_WITHIN_S) -> None:
    eventually(holds, within_s, what)


def kubectl(env: Environment, *args: str) -> str:
    return env.kubectl("-n", NAMESPACE, *args)


def pods(env: Environment, app: str = "somabrain") -> list[Mapping[str, Any]]:
    """The pods that are not on their way out."""
    found = env.objects("-n", NAMESPACE, "pods", "-l", f"app={app}")
    return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]


def only(env: Environment, app: str = "somabrain") -> Mapping[str, Any]:
    """The one pod of an app, once those of before are on their way out."""
    until(lambda: len(pods(env, app)) == 1, f"one pod of {app}")
    return pods(env, app)[0]


def ready(pod: Mapping[str, Any]) -> bool:
    conditions = pod.get("status", {}).get("conditions", ())
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def ask(env: Environment, pod: str, *paths: str) -> dict[str, Json]:
    said = kubectl(env, "exec", pod, "-c", "somabrain", "--", "python3", "-c", ASK, *paths)
    return dict(json.loads(said))


def counted(env: Environment, pod: str, series: str) -> float:
    """The value of a series that a pod tells; 0 where it tells none."""
    lines = ask(env, pod, "/metrics")["/metrics"]["text"].splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(f"{series} "))


def scale(env: Environment, workload: str, replicas: int) -> None:
    kubectl(env, "scale", workload, f"--replicas={replicas}")


def settle(env: Environment, *workloads: str) -> None:
    for workload in workloads:
        kubectl(env, "rollout", "status", workload, f"--timeout={RECOVERED_WITHIN_S:g}s")


def answers(env: Environment) -> bool:
    """Whether the service answers through the forward, and is ready."""
    try:
        return bool(httpx.get(f"{env_url(env)}/health", timeout=ANSWER_S, trust_env=False).json()["ok"])
    except (httpx.HTTPError, ValueError):
        return False


def env_url(env: Environment) -> str:
    return f"http://127.0.0.1:{env.ports['api']}"


@dataclass
class Run:
    """Feedbacks of one tenant, each with a session of its own, and which of them were acknowledged."""

    env: Environment
    tenant: str = field(default_factory=lambda: f"scenario-{uuid4().hex}")
    acknowledged: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)  # with what was answered instead
    lock: threading.Lock = field(default_factory=threading.Lock)

    def give(self, number: int) -> bool:
        """Give one feedback over a connection of its own."""
        session = f"{self.tenant}-{number}"
        told = {"session_id": session, "query": "q", "prompt": "p", "response_text": "r", "utility": UTILITY}
        headers = {"X-Tenant-ID": self.tenant, "X-Model-Confidence": "1"}
        try:
            answer = httpx.post(
                f"{env_url(self.env)}/context/feedback",
                json={**told, "metadata": {"tokens": 1}}, headers=headers, timeout=ANSWER_S, trust_env=False,
            )  # fmt: skip
        except httpx.HTTPError as error:
            self.refused.append(repr(error))
            return False
        with self.lock:
            if answer.status_code == 200:
                self.acknowledged.append(session)
            else:
                self.refused.append(answer.text)
        return answer.status_code == 200

    def give_all(self, count: int, threads: int = 8) -> None:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(self.give, range(count)))

    def disturbed(self, count: int, after: int, disturb: Callable[[], None]) -> None:
        """Give so many feedbacks, and disturb the service once so many were acknowledged; the run must not be over."""
        with ThreadPoolExecutor(8) as pool:
            given = [pool.submit(self.give, number) for number in range(count)]
            until(lambda: len(self.acknowledged) >= after, f"{after} feedbacks acknowledged")
            disturb()
            assert not all(one.done() for one in given), "the run was over before the service was disturbed"

    def kept(self) -> "Kept":
        return Kept.of(self.env, self.tenant)


@dataclass(frozen=True)
class Kept:
    """What Postgres and the service say of a tenant."""

    sessions: list[str]
    token_sessions: list[str]
    state: Json

    @classmethod
    def of(cls, env: Environment, tenant: str) -> "Kept":
        dsn = json.loads(env.fine("env", "--format", "json"))["SOMABRAIN_POSTGRES_DSN"]
        with psycopg.connect(dsn, connect_timeout=ANSWER_S) as sql:
            events, tokens = (
                [row[0] for row in sql.execute(f"SELECT session_id FROM {table} WHERE tenant_id = %s", (tenant,))]  # noqa: S608
                for table in ("feedback_events", "token_usage")
            )
        state = httpx.get(
            f"{env_url(env)}/context/adaptation/state",
            params={"tenant_id": tenant}, timeout=ANSWER_S, trust_env=False,
        )  # fmt: skip
        assert state.status_code == 200, state.text
        return cls(sorted(events), sorted(tokens), state.json())

    def is_whole(self) -> bool:
        """Rows, token rows and steps are the same feedbacks, and the weights are those of as many steps."""
        steps = int(self.state["history_len"])
        weights = Weights()
        for _ in range(steps):
            weights = learning.step(weights, DEFAULT_RULES, learning.rate(learning.BASE_RATE, 0.4), UTILITY)
        return (
            len(self.sessions) == steps
            and self.sessions == self.token_sessions
            and len(set(self.sessions)) == steps
            and self.state["retrieval"] == weights.retrieval()
            and self.state["utility"] == weights.utility()
        )
