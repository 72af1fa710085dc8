"""The verdict on every kind: at least one case for each rule that kstatus states, and those where ours says more."""

# ruff: noqa: E501  a table has a line for each case

from typing import Any

import pytest

from devenv.kube import verdict
from devenv.kube.objects import Object
from devenv.kube.readiness import Level, Readiness

READY, PENDING, FAILED = Level.READY, Level.PENDING, Level.FAILED
GROUPS = {
    "Deployment": "apps/v1", "StatefulSet": "apps/v1", "DaemonSet": "apps/v1", "ReplicaSet": "apps/v1",
    "Job": "batch/v1", "CronJob": "batch/v1", "PodDisruptionBudget": "policy/v1",
    "CustomResourceDefinition": "apiextensions.k8s.io/v1", "APIService": "apiregistration.k8s.io/v1",
    "HorizontalPodAutoscaler": "autoscaling/v2", "Certificate": "cert-manager.io/v1",
}  # fmt: skip


def made(kind: str, spec: Any = None, status: Any = None, **meta: Any) -> Object:
    head = {"name": "x", "uid": f"uid-{kind}", "generation": 2, **meta}
    body = {"apiVersion": GROUPS.get(kind, "v1"), "kind": kind, "metadata": head}
    return Object.parse({**body, "spec": spec or {}, "status": status or {}}, "shop")


def condition(type_: str, status: str = "True", reason: str = "", message: str = "") -> dict[str, str]:
    return {"type": type_, "status": status, "reason": reason, "message": message}


def pod(owner: Object, *, revision: str = "new", name: str = "x-1", **status: Any) -> Object:
    """Return a pod of an owner; ready, unless its status says otherwise."""
    by = [{"kind": owner.kind, "name": "x", "uid": owner.meta["uid"], "controller": True}]
    head = {"name": name, "labels": {"controller-revision-hash": revision}, "ownerReferences": by, "uid": f"uid-{name}"}
    told = {"phase": "Running", "conditions": [condition("Ready")], **status}
    return Object.parse({"apiVersion": "v1", "kind": "Pod", "metadata": head, "status": told}, "shop")


def ended(owner: Object, phase: str) -> Object:
    """Return a pod of a Job, in a phase."""
    found = pod(owner, phase=phase, conditions=[])
    return Object.parse({**found.raw, "metadata": {**found.meta, "creationTimestamp": "2026-01-01T00:00:00Z"}}, "shop")


def crashed(restarts: int) -> dict[str, Any]:
    """Return the status of a container that waits after so many crashes."""
    last = {"terminated": {"exitCode": 1}}
    return {
        "name": "c",
        "restartCount": restarts,
        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        "lastState": last,
    }


def unscheduled(why: str) -> dict[str, str]:
    return condition("PodScheduled", "False", "Unschedulable", f"0/1 nodes are available: {why}.")


SEEN = {"observedGeneration": 2}
DONE = {**SEEN, "replicas": 2, "readyReplicas": 2, "updatedReplicas": 2, "availableReplicas": 2}
TWO = {"replicas": 2}
ON_DELETE = {**TWO, "updateStrategy": {"type": "OnDelete"}}
PARTED = {"replicas": 3, "updateStrategy": {"rollingUpdate": {"partition": 2}}}
DAEMONS = {**SEEN, "desiredNumberScheduled": 2, "numberReady": 2, "updatedNumberScheduled": 2, "numberAvailable": 2}
EXCEEDED = condition("Progressing", "False", "ProgressDeadlineExceeded", "has timed out")

ALONE: dict[str, tuple[Object, Level, str]] = {
    # Of every kind.
    "being deleted": (made("ConfigMap", deletionTimestamp="2026-01-01T00:00:00Z"), PENDING, "is being deleted"),
    "a change that is not observed": (made("Certificate", status={"observedGeneration": 1}), PENDING, "not seen the change"),
    "reconciling": (made("Certificate", status={"conditions": [condition("Reconciling", reason="Busy")]}), PENDING, "Busy"),
    "stalled": (made("Certificate", status={"conditions": [condition("Stalled", message="no")]}), FAILED, "no"),
    "Ready true": (made("Certificate", status={"conditions": [condition("Ready")]}), READY, ""),
    "Ready false": (made("Certificate", status={"conditions": [condition("Ready", "False", "Issuing")]}), PENDING, "Issuing"),
    "Ready unknown": (made("Certificate", status={"conditions": [condition("Ready", "Unknown")]}), PENDING, "Ready is Unknown"),
    "Available false": (made("APIService", status={"conditions": [condition("Available", "False", "MissingEndpoints")]}), PENDING, "MissingEndpoints"),
    "Available true": (made("APIService", status={"conditions": [condition("Available")]}), READY, ""),
    "no conditions": (made("Certificate"), READY, ""),
    "conditions that are none": (made("Certificate", status={"conditions": "odd"}), READY, ""),
    "nothing to say": (made("ConfigMap"), READY, ""),
    "nothing to say of a Secret": (made("Secret"), READY, ""),
    "a change that is observed": (made("Certificate", status={**SEEN, "conditions": [condition("Ready")]}), READY, ""),
    "stalled and reconciling": (made("Certificate", status={"conditions": [condition("Reconciling"), condition("Stalled", reason="No")]}), FAILED, "No"),
    "neither any more": (made("Certificate", status={"conditions": [condition("Reconciling", "False"), condition("Stalled", "False")]}), READY, ""),
    "a workload that is being deleted": (made("Deployment", TWO, DONE, deletionTimestamp="2026-01-01T00:00:00Z"), PENDING, "is being deleted"),
    # Deployment.
    "a Deployment whose controller has said nothing": (made("Deployment", TWO), PENDING, "not seen the change"),
    "a Deployment without pods yet": (made("Deployment", TWO, SEEN), PENDING, "0 of 2 pods ready; no pod yet"),
    "a Deployment past its deadline": (made("Deployment", TWO, {**SEEN, "conditions": [EXCEEDED]}), FAILED, "has timed out"),
    "a paused Deployment that is behind": (made("Deployment", {**TWO, "paused": True}, SEEN), FAILED, "kubectl rollout resume"),
    "a Deployment of none": (made("Deployment", {"replicas": 0}, SEEN), READY, ""),
    "a Deployment with a pod too many": (made("Deployment", {"replicas": 0}, {**SEEN, "replicas": 1}), PENDING, "1 pods too many"),
    "a DaemonSet whose controller has said nothing": (made("DaemonSet"), PENDING, "not seen the change"),
    "a DaemonSet whose nodes are not counted": (made("DaemonSet", status=SEEN), PENDING, "not counted its nodes"),
    "a StatefulSet whose controller has said nothing": (made("StatefulSet", TWO), PENDING, "not seen the change"),
    # Jobs. kstatus: ready once it has started, and while it is suspended.
    "a Job that has not started": (made("Job"), PENDING, "not complete"),
    "a Job that runs": (made("Job", status={"active": 1}), PENDING, "not complete"),
    "a Job that is complete": (made("Job", status={"conditions": [condition("Complete")]}), READY, ""),
    "a Job that failed": (made("Job", status={"conditions": [condition("Failed", reason="BackoffLimitExceeded")]}), FAILED, "BackoffLimitExceeded"),
    "a Job that is about to fail": (made("Job", status={"conditions": [condition("FailureTarget", reason="PodFailurePolicy")]}), FAILED, "PodFailurePolicy"),
    "a suspended Job": (made("Job", {"suspend": True}), FAILED, "is suspended"),
    "a Job that its controller has suspended": (made("Job", {"suspend": True}, {"conditions": [condition("Suspended")]}), FAILED, "is suspended"),
    "a suspended Job that was complete": (made("Job", {"suspend": True}, {"conditions": [condition("Complete")]}), READY, ""),
    "a CronJob": (made("CronJob"), READY, ""),
    # Pods. kstatus: ready although it has failed, failed after one crash, failed after 15 s while no node is ready yet.
    "a pod that nobody has seen": (pod(made("Job"), phase="", conditions=[]), PENDING, ""),
    "a pod in a crash loop": (pod(made("Job"), conditions=[], containerStatuses=[crashed(3)]), FAILED, "crash loop, 3 restarts"),
    "a pod that has crashed once": (pod(made("Job"), conditions=[], containerStatuses=[crashed(1)]), PENDING, "CrashLoopBackOff"),
    "a pod without room": (pod(made("Job"), phase="Pending", conditions=[unscheduled("1 Insufficient memory")]), FAILED, "fits on no node"),
    "a pod before a node is ready": (pod(made("Job"), phase="Pending", conditions=[unscheduled("1 node(s) had untolerated taint")]), PENDING, "untolerated taint"),
    "a pod that is ready": (pod(made("Job")), READY, ""),
    "a pod that succeeded": (pod(made("Job"), phase="Succeeded", conditions=[]), READY, ""),
    "a pod that failed": (pod(made("Job"), phase="Failed", conditions=[], containerStatuses=[{"name": "c", "state": {"terminated": {"exitCode": 3}}}]), FAILED, "container c: exit code 3"),
    "a pod that was evicted": (pod(made("Job"), phase="Failed", conditions=[], reason="Evicted", message="disk"), FAILED, "Evicted: disk"),
    "a pod that is not ready": (pod(made("Job"), conditions=[condition("Ready", "False")]), PENDING, "Running"),
    # Volumes, addresses, definitions.
    "a claim that is bound": (made("PersistentVolumeClaim", status={"phase": "Bound"}), READY, ""),
    "a claim that is not bound": (made("PersistentVolumeClaim", status={"phase": "Pending"}), PENDING, "is not bound"),
    "a claim whose volume is gone": (made("PersistentVolumeClaim", status={"phase": "Lost"}), FAILED, "volume is gone"),
    "a Service": (made("Service"), READY, ""),
    "a load balancer without an address": (made("Service", {"type": "LoadBalancer"}), PENDING, "no address"),
    "a load balancer with one": (made("Service", {"type": "LoadBalancer"}, {"loadBalancer": {"ingress": [{"ip": "a"}]}}), READY, ""),
    "a definition that is served": (made("CustomResourceDefinition", status={"conditions": [condition("Established")]}), READY, ""),
    "a definition that is new": (made("CustomResourceDefinition"), PENDING, "is not served yet"),
    "a definition that is being installed": (made("CustomResourceDefinition", status={"conditions": [condition("NamesAccepted", "False", "Installing")]}), PENDING, ""),
    "a definition whose names are taken": (made("CustomResourceDefinition", status={"conditions": [condition("NamesAccepted", "False", "ListKindConflict")]}), FAILED, "ListKindConflict"),
    "a definition that is being established": (made("CustomResourceDefinition", status={"conditions": [condition("NamesAccepted"), condition("Established", "False", "Installing")]}), PENDING, "Installing"),
    "a definition that is refused": (made("CustomResourceDefinition", status={"conditions": [condition("Established", "False", "NotAccepted")]}), FAILED, "NotAccepted"),
    "a budget whose change is not observed": (made("PodDisruptionBudget", status={"observedGeneration": 1}), PENDING, "not seen the change"),
    "a budget that is observed": (made("PodDisruptionBudget", status={**SEEN, "currentHealthy": 0, "desiredHealthy": 1}), READY, ""),
    "a budget that is new": (made("PodDisruptionBudget"), PENDING, "not seen it"),
    "an autoscaler without metrics": (made("HorizontalPodAutoscaler", status={"conditions": [condition("ScalingActive", "False")]}), READY, ""),
}  # fmt: skip


@pytest.mark.parametrize("case", ALONE)
def test_an_object_is_judged_by_what_it_says(case: str) -> None:
    seen, level, why = ALONE[case]
    found = verdict.of("x", seen)
    assert (found.level, why in found.why) == (level, True), found


def test_nothing_is_absent() -> None:
    assert verdict.of("x", None) == Readiness(Level.ABSENT, "x", "is not in the cluster")


WITH_PODS: dict[str, tuple[Object, int, Level, str]] = {
    "a StatefulSet that is done": (made("StatefulSet", TWO, DONE), 2, READY, ""),
    "a StatefulSet with one old pod": (made("StatefulSet", TWO, {**DONE, "updatedReplicas": 1}), 2, PENDING, "1 of 2"),
    "a StatefulSet with a pod too few": (made("StatefulSet", TWO, {**DONE, "replicas": 1, "readyReplicas": 1, "updatedReplicas": 1}), 1, PENDING, "1 of 2"),
    "a StatefulSet with a pod too many": (made("StatefulSet", TWO, {**DONE, "replicas": 3}), 3, PENDING, "1 pods too many"),
    "a StatefulSet up to its partition": (made("StatefulSet", PARTED, {**DONE, "replicas": 3, "readyReplicas": 3, "updatedReplicas": 1}), 3, READY, ""),
    "a StatefulSet short of its partition": (made("StatefulSet", PARTED, {**DONE, "replicas": 3, "readyReplicas": 3, "updatedReplicas": 0}), 3, PENDING, "0 of 3"),
    "a StatefulSet whose pods a person deletes": (made("StatefulSet", ON_DELETE, {**DONE, "updatedReplicas": 0}), 2, READY, ""),
    "such a one that is not ready": (made("StatefulSet", ON_DELETE, {**DONE, "readyReplicas": 1}), 2, PENDING, "1 of 2"),
    "a StatefulSet that is ready for too short": (made("StatefulSet", {**TWO, "minReadySeconds": 9}, {**DONE, "availableReplicas": 1}), 2, PENDING, "minReadySeconds"),
    "a DaemonSet that is done": (made("DaemonSet", status=DAEMONS), 2, READY, ""),
    "a DaemonSet with an old pod": (made("DaemonSet", status={**DAEMONS, "updatedNumberScheduled": 1}), 2, PENDING, "1 of 2"),
    "a DaemonSet whose pods a person deletes": (made("DaemonSet", {"updateStrategy": {"type": "OnDelete"}}, {**DAEMONS, "updatedNumberScheduled": 0}), 2, READY, ""),
    "a DaemonSet that is not ready on a node": (made("DaemonSet", status={**DAEMONS, "numberReady": 1}), 2, PENDING, "1 of 2"),
    "a DaemonSet that is ready for too short": (made("DaemonSet", {"minReadySeconds": 9}, {**DAEMONS, "numberAvailable": 1}), 2, PENDING, "minReadySeconds"),
    "a DaemonSet that fits no node": (made("DaemonSet", status={**SEEN, "desiredNumberScheduled": 0}), 0, READY, ""),
    "a ReplicaSet that is done": (made("ReplicaSet", TWO, {**SEEN, "replicas": 2, "readyReplicas": 2}), 2, READY, ""),
    "a ReplicaSet that is not": (made("ReplicaSet", TWO, {**SEEN, "replicas": 2, "readyReplicas": 1}), 2, PENDING, "1 of 2"),
    "a ReplicaSet with a pod too many": (made("ReplicaSet", TWO, {**SEEN, "replicas": 3, "readyReplicas": 3}), 3, PENDING, "1 pods too many"),
    "a ReplicaSet that is ready for too short": (made("ReplicaSet", {**TWO, "minReadySeconds": 9}, {**SEEN, "replicas": 2, "readyReplicas": 2, "availableReplicas": 1}), 2, PENDING, "minReadySeconds"),
    # kstatus waits for labels of the template, for ever: a ReplicaSet replaces no pod for that.
    "a ReplicaSet with a pod of a former template": (made("ReplicaSet", TWO, {**SEEN, "replicas": 2, "readyReplicas": 2, "fullyLabeledReplicas": 1}), 2, READY, ""),
    "a ReplicationController that is done": (made("ReplicationController", TWO, {**SEEN, "replicas": 2, "readyReplicas": 2}), 2, READY, ""),
    "a ReplicationController that is not": (made("ReplicationController", TWO, {**SEEN, "replicas": 2, "readyReplicas": 1}), 2, PENDING, "1 of 2"),
    # kstatus waits.
    "a ReplicaSet that may make no pods": (made("ReplicaSet", TWO, {**SEEN, "conditions": [condition("ReplicaFailure", message="exceeded quota")]}), 0, FAILED, "exceeded quota"),
}  # fmt: skip


@pytest.mark.parametrize("case", WITH_PODS)
def test_a_workload_is_judged_with_its_pods(case: str) -> None:
    seen, count, level, why = WITH_PODS[case]
    found = verdict.of("x", seen, [pod(seen, name=f"x-{n}") for n in range(count)])
    assert (found.level, why in found.why) == (level, True), found


ROLLED_OUT: dict[str, tuple[dict[str, Any], dict[str, Any], Level, str]] = {
    "done": (TWO, DONE, READY, ""),
    "one pod is of the former revision": (TWO, {**DONE, "replicas": 3, "updatedReplicas": 1}, PENDING, "1 pods too many"),
    "one pod is not updated": (TWO, {**DONE, "updatedReplicas": 1}, PENDING, "1 of 2"),
    "one pod is not ready": (TWO, {**DONE, "readyReplicas": 1, "availableReplicas": 1}, PENDING, "1 of 2"),
    "one pod is ready for too short": ({**TWO, "minReadySeconds": 9}, {**DONE, "availableReplicas": 1}, PENDING, "minReadySeconds"),
    "paused with nothing left to roll out": ({**TWO, "paused": True}, DONE, READY, ""),
    # kstatus waits until the condition says so too; the numbers are of the same moment, and all there.
    "its condition follows later": (TWO, {**DONE, "conditions": [condition("Progressing", reason="ReplicaSetUpdated")]}, READY, ""),
}  # fmt: skip


@pytest.mark.parametrize("case", ROLLED_OUT)
def test_a_deployment_is_judged_with_the_pods_of_its_newest_replica_set(case: str) -> None:
    spec, status, level, why = ROLLED_OUT[case]
    seen = made("Deployment", spec, status)
    newest = made(
        "ReplicaSet", TWO, uid="newest", ownerReferences=[{"kind": "Deployment", "name": "x", "uid": seen.meta["uid"]}]
    )
    found = verdict.of("x", seen, [pod(newest, name=f"x-{n}") for n in range(2)], [newest])
    assert (found.level, why in found.why) == (level, True), found


@pytest.mark.parametrize(
    ("spec", "phase", "level"),
    [
        ({"completions": 1}, "Succeeded", READY),
        ({"completions": 1}, "Running", PENDING),
        ({"completions": 1}, "Failed", PENDING),
        ({"completions": 2}, "Succeeded", PENDING),
        ({}, "Succeeded", PENDING),  # a queue of work: its controller alone knows when it is empty
        ({"completions": 1, "successPolicy": {"rules": []}}, "Succeeded", PENDING),
    ],
)
def test_a_job_is_ready_when_the_one_pod_that_it_wants_has_succeeded(spec: Any, phase: str, level: Level) -> None:
    seen = made("Job", spec, {"active": 1})
    assert verdict.of("x", seen, [ended(seen, phase)]).level is level
    another = made("Job", spec, {"active": 1}, uid="another")
    assert verdict.of("x", another, [ended(seen, "Succeeded")]).level is PENDING


def test_a_job_that_failed_is_not_saved_by_a_pod_that_succeeded() -> None:
    seen = made("Job", {"completions": 1}, {"conditions": [condition("Failed", reason="DeadlineExceeded")]})
    assert verdict.of("x", seen, [ended(seen, "Succeeded")]).level is FAILED


@pytest.mark.parametrize("phase", ["Failed", "Succeeded"])
def test_pods_that_have_ended_and_were_replaced_are_only_left_to_be_looked_at(phase: str) -> None:
    seen = made("StatefulSet", TWO, DONE)
    crashed = [{"name": "c", "restartCount": 9, "state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": {}}]
    left = pod(seen, name="left", phase=phase, reason="Evicted", containerStatuses=crashed, conditions=[])
    assert verdict.of("x", seen, [pod(seen), pod(seen, name="x-2"), left]).level is READY
    assert verdict.of("x", seen, [left]).why == "no pod yet"


def event(uid: str, reason: str, at: int, type_: str = "Warning", **more: Any) -> dict[str, Any]:
    when = f"2026-01-01T00:00:{at:02}Z"
    return {
        "involvedObject": {"uid": uid},
        "reason": reason,
        "message": "m",
        "type": type_,
        "lastTimestamp": when,
        **more,
    }


STARTING: dict[str, Any] = {"conditions": [], "phase": "Pending"}


@pytest.mark.parametrize(
    ("events", "level", "why", "lasts_s"),
    [
        ([], PENDING, "Pending", 0),
        ([event("uid-x-1", "FailedMount", 1)], FAILED, "FailedMount: m", 20),
        ([event("uid-x-1", "FailedMount", 1), event("uid-x-1", "Pulled", 2, "Normal")], PENDING, "Pending", 0),
        ([event("uid-x-1", "Unhealthy", 2), event("uid-x-1", "Started", 2, "Normal")], PENDING, "Unhealthy: m", 0),
        ([event("uid-StatefulSet", "FailedCreate", 1)], FAILED, "FailedCreate: m", 15),
        ([event("uid-another", "FailedMount", 1)], PENDING, "Pending", 0),
        ([event("uid-x-1", "FailedMount", 0, series={"lastObservedTime": "2026-01-01T00:00:09.5Z"}), event("uid-x-1", "Pulled", 9, "Normal")], FAILED, "FailedMount", 20),
        ([{"involvedObject": None}, {}], PENDING, "Pending", 0),
    ],
)  # fmt: skip
def test_the_newest_event_of_an_object_or_its_pods_is_part_of_the_verdict(
    events: list[dict[str, Any]], level: Level, why: str, lasts_s: float
) -> None:
    seen = made("StatefulSet", TWO, SEEN)
    pods = [pod(seen, **STARTING)]
    found = verdict.with_events(verdict.of("x", seen, pods), seen, verdict.parts(seen, pods, []), events)
    assert (found.level, why in found.why, found.lasts_s) == (level, True, lasts_s), found


@pytest.mark.parametrize(
    ("told", "level"),
    [
        (event("uid-PersistentVolumeClaim", "WaitForFirstConsumer", 1, "Normal"), READY),
        (event("uid-PersistentVolumeClaim", "FailedBinding", 1, "Normal"), FAILED),
        (event("uid-PersistentVolumeClaim", "ProvisioningFailed", 1), FAILED),
        (event("uid-PersistentVolumeClaim", "Provisioning", 1, "Normal"), PENDING),
    ],
)
def test_a_claim_that_waits_for_its_first_pod_is_well_and_one_without_a_volume_is_not(
    told: dict[str, Any], level: Level
) -> None:
    seen = made("PersistentVolumeClaim", status={"phase": "Pending"})
    assert verdict.with_events(verdict.of("x", seen), seen, [], [told]).level is level


UNFIT: dict[str, Any] = {"phase": "Pending", "conditions": [condition("PodScheduled", "False", "Unschedulable", "0/1 nodes are available: 1 Insufficient cpu.")]}  # fmt: skip


@pytest.mark.parametrize(
    ("reasons", "level"),
    [
        ((), FAILED),
        (("FailedScheduling",), FAILED),
        (("TriggeredScaleUp",), PENDING),
        (("Nominated",), PENDING),
        (("TriggeredScaleUp", "FailedScheduling"), PENDING),  # the scheduler goes on to say so until the node is there
        (("NotTriggerScaleUp",), FAILED),
        (("TriggeredScaleUp", "NotTriggerScaleUp"), FAILED),
        (("NotTriggerScaleUp", "TriggeredScaleUp"), PENDING),
    ],
)
def test_a_pod_that_fits_on_no_node_is_waited_for_where_an_autoscaler_brings_one(
    reasons: tuple[str, ...], level: Level
) -> None:
    for kind in ("StatefulSet", "Job"):
        seen = made(kind, TWO, SEEN)
        made_at = {"creationTimestamp": "2026-01-01T00:00:00Z"}
        pods = [Object(p.id, {**p.raw, "metadata": {**p.meta, **made_at}}) for p in (pod(seen, **UNFIT),)]
        told = [event("uid-x-1", reason, at, "Normal") for at, reason in enumerate(reasons)]
        first = verdict.of("x", seen, pods)
        assert verdict.may_be_told_by_events(first)
        found = verdict.with_events(first, seen, verdict.parts(seen, pods, []), told)
        assert (found.level, "Insufficient cpu" in found.why) == (level, True), found


def test_a_node_that_came_says_nothing_of_what_fails_on_it() -> None:
    seen = made("StatefulSet", TWO, SEEN)
    waiting = {"name": "c", "state": {"waiting": {"reason": "ErrImagePull"}}}
    pods = [pod(seen, phase="Pending", conditions=[condition("PodScheduled")], containerStatuses=[waiting])]
    first = verdict.of("x", seen, pods)
    told = [event("uid-x-1", "TriggeredScaleUp", 1, "Normal")]
    assert verdict.with_events(first, seen, verdict.parts(seen, pods, []), told) == first
    assert first.level is FAILED


def test_what_is_ready_or_failed_needs_no_event() -> None:
    for level in (READY, Level.ABSENT, FAILED):
        seen = Readiness(level, "x", "w")
        assert verdict.with_events(seen, made("Job"), [], [event("uid-Job", "FailedCreate", 1)]) == seen
