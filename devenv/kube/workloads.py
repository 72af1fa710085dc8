"""How ready what makes pods is, with the pods that tell why. Pure.

Source: Kubernetes documentation, "Deployments: Deployment status", "StatefulSets: Update strategies", "Jobs".
"""

from collections.abc import Iterable

from devenv.kube import pod_state
from devenv.kube.objects import Object
from devenv.kube.pod_state import FAILED, SUCCEEDED
from devenv.kube.readiness import Level, Readiness, conditions, owned, spec_of, status_of, told, why_of

# Another may be about to resume what it has suspended: a queue (Kueue) does so with Jobs.
SUSPENDED_FOR_S = 20.0
# What it lacked may have come since: its controller says so only when a pod is ready.
EXCEEDED_FOR_S = 30.0
DEADLINE = "ProgressDeadlineExceeded"  # the Deployment controller's word: it went on no further for long


def job(what: str, seen: Object, pods: Iterable[Object] = ()) -> Readiness:
    """A Job is ready once Complete, or once the one pod that it wants has succeeded: Complete is told seconds later.

    Active pods only mean that it is still trying.
    """
    mine = owned(pods, seen)
    newest = max(mine, key=lambda p: str(p.meta["creationTimestamp"]), default=None)
    culprit = newest.id if newest else None
    holds = conditions(seen)
    if "Failed" in holds or "FailureTarget" in holds:
        return Readiness(Level.FAILED, what, why_of(holds.get("Failed") or holds["FailureTarget"]), culprit)
    if "Complete" in holds or has_succeeded(seen, mine):
        return Readiness(Level.READY, what)
    if spec_of(seen).get("suspend"):
        why = "is suspended (spec.suspend): it starts when another resumes it"
        return Readiness(Level.FAILED, what, why, lasts_s=SUSPENDED_FOR_S)
    # A crash is the Job's own affair (backoffLimit); what no retry can mend is not.
    waiting = [pod_state.pod(what, p, crashes=False) for p in mine if status_of(p).get("phase") == "Pending"]
    worst = max(waiting, default=None)
    if worst and worst.level is Level.FAILED:
        return worst
    return Readiness(Level.PENDING, what, "not complete" + (f"; {worst.why}" if worst else ""), culprit)


def has_succeeded(seen: Object, pods: Iterable[Object]) -> bool:
    """Whether a Job has all that it wants: a pod that has succeeded stays until its controller has counted it."""
    wanted = spec_of(seen).get("completions") == 1 and not spec_of(seen).get("successPolicy")
    return wanted and any(status_of(p).get("phase") == SUCCEEDED for p in pods)


def workload(what: str, seen: Object, pods: Iterable[Object], sets: Iterable[Object] = ()) -> Readiness:
    """Return the readiness of what keeps pods running.

    `pods` and `sets` (ReplicaSets) are those of the namespace; only the pods of the newest revision can fail it,
    since an older one that is broken is on its way out.
    """
    wanted = wanted_replicas(seen)
    newest = living(seen, pods, sets)
    none = Readiness(Level.PENDING if wanted else Level.READY, what, "no pod yet")
    worst = max((pod_state.pod(what, p) for p in newest), default=none)
    if worst.level is Level.FAILED:
        return worst
    if why := hopeless(seen, sets, bool(newest)):
        return Readiness(Level.FAILED, what, why, worst.culprit, EXCEEDED_FOR_S if is_late(seen) else 0.0)
    if not (lacking := behind(seen, wanted)) and worst.level is Level.READY:
        return Readiness(Level.READY, what)
    # The pods are asked too: right after a restart the workload's own status is that of before.
    return Readiness(Level.PENDING, what, "; ".join(filter(None, (lacking, worst.why))), worst.culprit)


def hopeless(seen: Object, sets: Iterable[Object], has_pods: bool) -> str:
    """Return why its controller will not go on, or an empty string."""
    if seen.kind == "Deployment":
        if is_late(seen):
            return why_of(told(seen)["Progressing"])
        if spec_of(seen).get("paused") and behind(seen, wanted_replicas(seen)):
            return "is paused (spec.paused), so its change is not rolled out: kubectl rollout resume"
    return "" if has_pods else refused_pods(seen, sets)


def is_late(seen: Object) -> bool:
    return seen.kind == "Deployment" and told(seen).get("Progressing", {}).get("reason") == DEADLINE


def behind(seen: Object, wanted: int) -> str:
    """Return by how much its own status falls short, or an empty string."""
    status, spec = status_of(seen), spec_of(seen)
    if seen.kind == "DaemonSet" and "desiredNumberScheduled" not in status:
        return "its controller has not counted its nodes yet"
    ready = status.get("numberReady", status.get("readyReplicas", 0))
    total = status.get("replicas", status.get("desiredNumberScheduled", 0))
    updated = status.get("updatedReplicas", status.get("updatedNumberScheduled", 0))
    to_update = 0 if revision_waits(seen) else max(0, wanted - partition(seen))
    if total > wanted:
        return f"{total - wanted} pods too many"
    if seen.kind in ("ReplicaSet", "ReplicationController"):
        updated, to_update = total, wanted
    if total < wanted or ready < wanted or updated < to_update:
        return f"{min(updated if to_update else ready, ready)} of {wanted} pods ready"
    available = status.get("numberAvailable", status.get("availableReplicas", 0))
    if spec.get("minReadySeconds") and available < wanted:
        return f"{available} of {wanted} pods ready for {spec['minReadySeconds']} s (minReadySeconds)"
    return ""


def strategy(seen: Object) -> dict[str, object]:
    return dict(spec_of(seen).get("updateStrategy") or {})


def revision_waits(seen: Object) -> bool:
    """Whether its pods keep their revision until a person deletes them (OnDelete)."""
    return strategy(seen).get("type") == "OnDelete"


def partition(seen: Object) -> int:
    """Return how many pods of a StatefulSet are to stay at the former revision."""
    rolling = strategy(seen).get("rollingUpdate")
    return int(rolling.get("partition") or 0) if isinstance(rolling, dict) else 0


def wanted_replicas(seen: Object) -> int:
    if seen.kind == "DaemonSet":
        return int(status_of(seen).get("desiredNumberScheduled", 0))
    return int(spec_of(seen).get("replicas", 1))


def living(seen: Object, pods: Iterable[Object], sets: Iterable[Object]) -> list[Object]:
    """Return the living pods that count: those of the newest revision, or all where former ones are to stay.

    What was evicted, or ended with its node, is replaced by another pod and only left to be looked at.
    """
    alive = [p for p in pods if not p.leaves and not has_ended(p)]
    if seen.kind == "Deployment":
        current = newest_set(seen, sets)
        return owned(alive, current) if current else []
    mine, revision = owned(alive, seen), status_of(seen).get("updateRevision")
    if not revision or revision_waits(seen) or partition(seen):
        return mine
    return [p for p in mine if (p.meta.get("labels") or {}).get("controller-revision-hash") == revision]


def has_ended(pod: Object) -> bool:
    return status_of(pod).get("phase") in (FAILED, SUCCEEDED)


def newest_set(deployment: Object, sets: Iterable[Object]) -> Object | None:
    def revision(replica_set: Object) -> int:
        return int(replica_set.meta.get("annotations", {}).get("deployment.kubernetes.io/revision", 0))

    return max(owned(sets, deployment), key=revision, default=None)


def refused_pods(seen: Object, sets: Iterable[Object]) -> str:
    """Return why the API server refuses the pods (quota, admission), or an empty string."""
    current = newest_set(seen, sets) if seen.kind == "Deployment" else seen
    refused = conditions(current).get("ReplicaFailure") if current else None
    return why_of(refused) if refused else ""
