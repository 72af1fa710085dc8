"""What the kubelet calls ready is believed once it has lasted."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from devenv.kube import pod_state, steadiness, verdict
from devenv.kube.objects import Object
from devenv.kube.readiness import Level, Readiness

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
READY = {"type": "Ready", "status": "True"}
PROBE = {"readinessProbe": {"tcpSocket": {"port": 1}}}


def before(seconds: float) -> str:
    return f"{NOW - timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%SZ}"


def condition(type_: str, since: str) -> dict[str, str]:
    return {"type": type_, "status": "True", "lastTransitionTime": since}


def made(*conditions: dict[str, str], spec: Any = None, **status: Any) -> Object:
    """Return a pod of one container, whose status is given."""
    status = {"phase": "Running", "conditions": [READY, *conditions], "containerStatuses": [{"name": "c", **status}]}
    spec = {"containers": [{"name": "c", **(spec or {})}]}
    return Object.parse(
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": spec, "status": status}, "shop"
    )


def running(since: float, **more: Any) -> dict[str, Any]:
    return {"state": {"running": {"startedAt": before(since)}}, **more}


def fell(begun: float, ended: float) -> dict[str, Any]:
    """Return the status of a container that has run before, and fell over."""
    last = {"exitCode": 1, "reason": "Error", "startedAt": before(begun), "finishedAt": before(ended)}
    return {"restartCount": 4, "lastState": {"terminated": last}}


@pytest.mark.parametrize(
    ("spec", "since", "said"),
    [
        ({}, 0, True), ({}, 3, True), ({}, 4, False), (PROBE, 0, False), ({"startupProbe": {}}, 0, True),
        ({"startupProbe": {"exec": {"command": ["true"]}}}, 0, False), ({"livenessProbe": {"exec": {}}}, 0, True),
        ({}, -2, True), ({}, -300, False),  # the node's clock goes before
    ],
)  # fmt: skip
def test_a_container_that_nothing_probes_is_believed_once_it_has_run_for_three_whole_seconds(
    spec: Any, since: float, said: bool
) -> None:
    pod = made(spec=spec, **running(since))
    found = verdict.believed(Readiness(Level.READY, "pod/p"), pod, (), NOW)
    assert found.level is (Level.PENDING if said else Level.READY)
    assert ("container c: has just begun, and nothing probes it" in found.why) is said


def test_what_fell_over_more_often_than_by_chance_is_not_ready_until_it_has_run_for_longer() -> None:
    pod = made(spec=PROBE, **running(5, **fell(9, 6)))
    deployment = Object.parse({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}}, "shop")
    found = verdict.believed(Readiness(Level.READY, "deployment/d"), deployment, [pod], NOW)
    assert found.level is Level.PENDING
    assert found.why == "pod p, container c: runs again after 4 restarts, last exit code 1"
    assert found.culprit == pod.id
    later = NOW + timedelta(seconds=5)
    assert verdict.believed(Readiness(Level.READY, "deployment/d"), deployment, [pod], later).level is Level.READY


def test_what_ended_with_its_node_did_not_crash() -> None:
    """Containers that were told to end before their node was stopped end as they like: with 0, 143 or 1."""
    made_room = condition(pod_state.SANDBOX, before(7))
    assert steadiness.unsteady(made(made_room, **running(5, **fell(20, 8))), NOW) == ""
    assert steadiness.unsteady(made(made_room, **running(2, **fell(6, 3))), NOW) == "c"


def test_after_a_restart_of_the_node_a_loop_takes_its_time_as_after_the_first_start() -> None:
    waits = {"state": {"waiting": {"reason": "CrashLoopBackOff"}}, **fell(9, 6)}
    initialized = condition("Initialized", before(3600))
    level = pod_state.pod("pod/p", made(initialized, condition(pod_state.SANDBOX, before(10)), **waits)).level
    assert level is not Level.FAILED
    level = pod_state.pod("pod/p", made(initialized, condition(pod_state.SANDBOX, before(36)), **waits)).level
    assert level is Level.FAILED


@pytest.mark.parametrize("level", [Level.PENDING, Level.ABSENT, Level.FAILED])
def test_what_is_not_ready_is_left_as_it_was_told(level: Level) -> None:
    found = Readiness(level, "pod/p", "because")
    assert verdict.believed(found, made(**running(0)), (), NOW) is found
