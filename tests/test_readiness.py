"""Readiness over objects that scripts/record.py took from a cluster, and over all small combinations of them."""

import copy
import json
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from devenv.kube import verdict
from devenv.kube.api import culprit
from devenv.kube.objects import Object
from devenv.kube.pod_state import CRASHES_THAT_ARE_A_LOOP
from devenv.kube.readiness import Level, Patience, Readiness

RECORDED = Path(__file__).parent / "recorded"


def recorded(name: str) -> dict[str, Any]:
    return dict(json.loads((RECORDED / f"{name}.json").read_text()))


def level_of(seen: dict[str, Any]) -> Readiness:
    pods, sets = ([Object.parse(o, "") for o in seen[kind]] for kind in ("pods", "sets"))
    return verdict.of("x", Object.parse(seen["object"], ""), pods, sets)


@pytest.mark.parametrize(
    ("name", "level", "why"),
    [
        ("deployment-ready", Level.READY, ""),
        ("deployment-not-ready", Level.PENDING, "container c: not ready"),
        ("deployment-crash-loop", Level.FAILED, "crash loop, 3 restarts, last exit code 3"),
        ("deployment-no-node", Level.FAILED, "fits on no node"),
        ("deployment-too-big", Level.FAILED, "Insufficient memory"),
        ("deployment-no-image", Level.FAILED, "ImagePullBackOff"),
        ("deployment-no-secret", Level.FAILED, 'CreateContainerConfigError: secret "nowhere" not found'),
        ("statefulset-ready", Level.READY, ""),
        ("daemonset-ready", Level.READY, ""),
        ("job-complete", Level.READY, ""),
        ("job-running", Level.PENDING, "not complete"),
        ("job-failed", Level.FAILED, "BackoffLimitExceeded"),
    ],
)
def test_each_recorded_state_is_told(name: str, level: Level, why: str) -> None:
    seen = level_of(recorded(name))
    assert seen.level is level
    assert why in seen.why


def test_every_recording_is_tested() -> None:
    assert {p.stem for p in RECORDED.glob("*.json")} == {
        *(
            "deployment-" + n
            for n in ("ready", "not-ready", "crash-loop", "no-node", "too-big", "no-image", "no-secret")
        ),
        *("statefulset-ready", "daemonset-ready", "job-complete", "job-running", "job-failed"),
    }


@pytest.mark.parametrize("name", ["deployment-crash-loop", "deployment-no-image", "job-failed"])
def test_a_failure_names_the_pod_whose_log_tells_more(name: str) -> None:
    seen = recorded(name)
    culprit = level_of(seen).culprit
    assert culprit
    assert (culprit.namespace, culprit.name) in {("recording", p["metadata"]["name"]) for p in seen["pods"]}


def test_the_log_of_a_crashed_container_is_that_of_its_last_run() -> None:
    (pod,) = recorded("deployment-crash-loop")["pods"]
    assert culprit(pod) == ("c", True)
    (pod,) = recorded("job-failed")["pods"]
    assert culprit(pod) == ("c", False)


def test_nothing_there_is_absent_and_never_ready() -> None:
    assert verdict.of("x", None).level is Level.ABSENT
    empty = recorded("deployment-ready") | {"pods": [], "sets": []}
    empty["object"] = copy.deepcopy(empty["object"]) | {"status": {}}
    assert level_of(empty).level is Level.PENDING


def test_a_change_that_its_controller_has_not_seen_is_not_ready() -> None:
    seen = recorded("deployment-ready")
    seen["object"]["metadata"]["generation"] += 1
    assert level_of(seen).level is Level.PENDING


def test_pods_of_an_older_revision_do_not_fail_a_workload() -> None:
    """A broken pod whose ReplicaSet was replaced is on its way out."""
    fine, broken = recorded("deployment-ready"), recorded("deployment-crash-loop")
    (old,) = broken["sets"]
    old["metadata"]["ownerReferences"] = fine["sets"][0]["metadata"]["ownerReferences"]
    old["metadata"]["annotations"]["deployment.kubernetes.io/revision"] = "0"
    mixed = {"object": fine["object"], "pods": fine["pods"] + broken["pods"], "sets": fine["sets"] + [old]}
    assert level_of(mixed).level is Level.READY
    old["metadata"]["annotations"]["deployment.kubernetes.io/revision"] = "2"
    assert level_of(mixed).level is Level.FAILED


def test_a_status_from_before_a_restart_is_not_believed() -> None:
    seen = recorded("deployment-ready")
    for condition in seen["pods"][0]["status"]["conditions"]:
        if condition["type"] == "Ready":
            condition["status"] = "False"
    assert level_of(seen).level is Level.PENDING


def test_a_workload_of_no_pods_is_ready_without_any() -> None:
    seen = recorded("deployment-ready")
    seen["object"]["spec"]["replicas"] = 0
    seen["object"]["status"] = {"observedGeneration": seen["object"]["metadata"]["generation"]}
    assert level_of(seen | {"pods": []}).level is Level.READY


def test_a_loop_is_told_in_the_moment_of_a_crash_too() -> None:
    seen = recorded("deployment-crash-loop")
    (container,) = seen["pods"][0]["status"]["containerStatuses"]
    container["state"] = container.pop("lastState")
    assert level_of(seen).level is Level.FAILED
    assert level_of(seen).why.endswith("crash loop, 3 restarts, last exit code 3")
    container["state"]["terminated"]["exitCode"] = 0
    assert level_of(seen).level is Level.PENDING


def test_a_container_that_ended_with_its_node_has_not_crashed() -> None:
    """Each start of the node counts as a restart: after three of them a fine workload is not told to be in a loop."""
    for waits in (True, False):
        seen = recorded("deployment-crash-loop")
        (container,) = seen["pods"][0]["status"]["containerStatuses"]
        container["lastState"]["terminated"] |= {"exitCode": 255, "reason": "Unknown"}
        if not waits:
            container["state"] = container.pop("lastState")
        assert level_of(seen).level is Level.PENDING


def test_a_crash_after_a_long_run_is_no_loop_however_often_it_crashed_before() -> None:
    for minutes, level in ((9, Level.FAILED), (10, Level.PENDING)):
        seen = recorded("deployment-crash-loop")
        (container,) = seen["pods"][0]["status"]["containerStatuses"]
        container["state"] = container.pop("lastState")
        container["state"]["terminated"] |= {
            "startedAt": f"2026-11-24T00:{11 - minutes:02}:37Z",
            "finishedAt": "2026-11-24T00:11:37Z",
        }
        assert level_of(seen).level is level


def test_one_crash_is_no_loop() -> None:
    for restarts in range(5):
        seen = recorded("deployment-crash-loop")
        seen["pods"][0]["status"]["containerStatuses"][0]["restartCount"] = restarts
        assert (level_of(seen).level is Level.FAILED) is (restarts >= CRASHES_THAT_ARE_A_LOOP)


def test_a_job_s_crash_is_its_own_affair_until_it_fails() -> None:
    seen = recorded("job-failed")
    seen["object"]["status"]["conditions"] = []
    assert level_of(seen).level is Level.PENDING


def test_a_failure_that_may_pass_is_believed_only_when_it_has_lasted() -> None:
    names = ("no-node", "too-big", "no-image", "no-secret", "crash-loop")
    waits = {name: level_of(recorded(f"deployment-{name}")) for name in names}
    assert {n: seen.lasts_s for n, seen in waits.items()} == {
        "no-node": 20, "too-big": 20, "no-image": 15, "no-secret": 20, "crash-loop": 0,
    }  # fmt: skip
    good = Readiness(Level.PENDING, "x")
    for seen in waits.values():
        patience = Patience()
        first = patience.judged(seen, 100)
        assert first.level is (Level.PENDING if seen.lasts_s else Level.FAILED)
        assert first.why == seen.why
        if seen.lasts_s:
            assert patience.judged(seen, 100 + seen.lasts_s - 1).level is Level.PENDING
            assert patience.judged(good, 100 + seen.lasts_s) == good
            assert patience.judged(seen, 100 + seen.lasts_s + 1).level is Level.PENDING  # from its beginning again
            assert patience.judged(seen, 101 + 2 * seen.lasts_s).level is Level.FAILED


def test_a_configuration_that_is_there_and_wrong_is_believed_at_once() -> None:
    seen = recorded("deployment-no-secret")
    (container,) = seen["pods"][0]["status"]["containerStatuses"]
    container["state"]["waiting"]["message"] = "couldn't find key uri in Secret recording/db"
    assert (level_of(seen).level, level_of(seen).lasts_s) == (Level.FAILED, 0)


def test_the_whole_is_as_ready_as_its_least_ready_part() -> None:
    for levels in product(Level, repeat=3):
        parts = [Readiness(level, name) for level, name in zip(levels, "abc", strict=True)]
        assert max(parts).level is max(levels)


def test_only_ready_and_failed_end_a_wait() -> None:
    assert {level for level in Level if Readiness(level, "x").done} == {Level.READY, Level.FAILED}
