"""The service keeps its word while its pods and its stores come and go."""

import json
import time
from collections.abc import Iterator

import pytest

from tests.cluster.environment import Environment
from tests.cluster.service import (
    NAMESPACE,
    WORKLOADS,
    Run,
    answers,
    ask,
    counted,
    kubectl,
    only,
    pods,
    ready,
    scale,
    settle,
    until,
)

UNREADY_S = 8.0  # three probes and what the kubelet takes to tell
FEEDBACKS = 'somabrain_http_requests_total{method="POST",path="/context/feedback",status="200"}'


@pytest.fixture
def restored(stack: Environment) -> Iterator[Environment]:
    """The stack, and afterwards as it was: one pod of each, ready."""
    try:
        yield stack
    finally:
        for workload in WORKLOADS:
            scale(stack, workload, 1)
        settle(stack, *WORKLOADS)
        until(lambda: len(pods(stack)) == 1 and answers(stack), "one ready API pod")
        until(lambda: stack.run("status").returncode == 0, "a stack that is ready")


def test_feedbacks_through_two_pods_are_steps_one_after_the_other(restored: Environment) -> None:
    scale(restored, "deployment/somabrain", 2)
    settle(restored, "deployment/somabrain")
    names = [str(pod["metadata"]["name"]) for pod in pods(restored)]
    assert len(names) == 2
    before = [counted(restored, name, FEEDBACKS) for name in names]
    run = Run(restored)
    run.give_all(200, threads=20)
    served = [counted(restored, name, FEEDBACKS) - was for name, was in zip(names, before, strict=True)]
    assert run.refused == []
    assert sum(served) == 200
    assert min(served) > 0, f"one pod served them all: {served}"
    kept = run.kept()
    assert kept.state["history_len"] == 200
    assert kept.sessions == sorted(run.acknowledged)
    assert kept.is_whole(), kept
    gauge = f'somabrain_learning_retrieval_alpha{{tenant_id="{run.tenant}"}}'
    alpha = [kept.state["retrieval"]["alpha"]] * 2
    until(lambda: [counted(restored, name, gauge) for name in names] == alpha, "both pods tell the weights")


def test_no_acknowledged_feedback_is_lost_with_its_pod(restored: Environment) -> None:
    before = only(restored)
    run = Run(restored)

    def kill() -> None:
        kubectl(restored, "delete", "pod", before["metadata"]["name"], "--grace-period=0", "--force", "--wait=false")

    run.disturbed(600, 50, kill)
    until(lambda: run.give(600), "the new pod takes feedbacks")
    kept = run.kept()
    assert set(run.acknowledged) <= set(kept.sessions)
    assert kept.is_whole(), kept
    assert before["metadata"]["uid"] not in {pod["metadata"]["uid"] for pod in pods(restored)}


def restarts(env: Environment, app: str) -> int:
    pod = only(env, app)
    return sum(int(status["restartCount"]) for status in pod["status"]["containerStatuses"])


def test_a_crash_of_postgres_leaves_nothing_half_written(restored: Environment) -> None:
    api, crashes = restarts(restored, "somabrain"), restarts(restored, "postgres")
    run = Run(restored)

    def crash() -> None:
        # Postgres' first process ends at once and leaves what it did to the recovery, as after a loss of power. A
        # moment later, so that kubectl's own way into the container is not cut.
        script = "{ sleep 0.3; kill -QUIT 1; } >/dev/null 2>&1 &"
        kubectl(restored, "exec", "postgres-0", "-c", "postgres", "--", "sh", "-c", script)

    run.disturbed(600, 50, crash)
    until(lambda: run.give(600), "feedbacks are taken again")
    kept = run.kept()
    assert set(run.acknowledged) <= set(kept.sessions)
    assert kept.is_whole(), kept
    until(lambda: restarts(restored, "postgres") == crashes + 1, "its restart is counted")
    assert restarts(restored, "somabrain") == api


@pytest.mark.parametrize(
    ("workload", "alert", "serves"),
    [
        ("statefulset/postgres", "postgres", False),
        ("deployment/sb-redis", "redis", True),
        ("deployment/sb-opa", "opa", True),
    ],
)
def test_health_tells_which_store_is_gone_and_when_it_is_back(
    restored: Environment, workload: str, alert: str, serves: bool
) -> None:
    pod = only(restored)
    name, uid = str(pod["metadata"]["name"]), pod["metadata"]["uid"]
    restarted = restarts(restored, "somabrain")

    def alerts() -> list[str]:
        told = ask(restored, name, "/health", "/healthz", "/metrics")
        assert (told["/healthz"]["status"], told["/metrics"]["status"]) == (200, 200)
        document = json.loads(told["/health"]["text"])
        assert told["/health"]["status"] == (200 if document["ok"] else 503)
        # For a second Postgres is taken to be as it was last seen, while it no longer says how many memories there are.
        assert document["ok"] is document["ready"] is (set(document["alerts"]) <= {"items"})
        return list(document["alerts"])

    def is_ready() -> bool:
        (living,) = restored.objects("-n", NAMESPACE, "pods", f"--field-selector=metadata.name={name}")
        return ready(living)

    assert alerts() == []
    scale(restored, workload, 0)
    until(lambda: alerts() == [alert], f"/health names {alert}")
    took_s = [ask(restored, name, "/health")["/health"]["took_s"] for _ in range(3)]
    assert min(took_s) < 1.0
    if serves:
        time.sleep(UNREADY_S)
        assert is_ready()
    else:
        until(lambda: not is_ready(), "a pod that is not ready")
    scale(restored, workload, 1)
    settle(restored, workload)
    until(lambda: alerts() == [], f"/health no longer names {alert}")
    until(is_ready, "a pod that is ready again")
    after = only(restored)
    assert (after["metadata"]["uid"], restarts(restored, "somabrain")) == (uid, restarted)
