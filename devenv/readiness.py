"""How ready an object is, read from what the API server says of it. Pure: objects in, values out.

The whole is as ready as its least ready part: max(parts). FAILED means that waiting longer cannot help.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum
from typing import Any

Object = Mapping[str, Any]

# The kubelet gives up on these only by trying again with the same inputs: a person has to act.
HOPELESS_WAITING = {"ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", "CreateContainerConfigError"}
# A container may fall over once or twice while what it needs comes up; three times is a loop.
CRASHES_THAT_ARE_A_LOOP = 3
# After so long a run the kubelet begins its back-off anew (Kubernetes documentation, "Pod Lifecycle").
RECOVERED_AFTER = timedelta(minutes=10)
# What containerd says of a container that it finds dead at its own start (internal/cri/server/restart.go).
ENDED_WITH_ITS_NODE = "Unknown"
# Words of the scheduler for what another second does not change (kube-scheduler's filter plugins).
HOPELESS_SCHEDULING = ("Insufficient ", "didn't match Pod's node affinity/selector", "didn't have free ports")


class Level(IntEnum):
    READY, PENDING, ABSENT, FAILED = range(4)


@dataclass(frozen=True, order=True)
class Readiness:
    level: Level
    what: str
    why: str = ""
    culprit: str = ""  # the pod whose log tells more, where there is one

    @property
    def settled(self) -> bool:
        """Whether waiting longer changes nothing."""
        return self.level in (Level.READY, Level.FAILED)


def conditions(seen: Object) -> dict[str, Object]:
    return {c["type"]: c for c in seen.get("status", {}).get("conditions") or () if c["status"] == "True"}


def full_name(pod: Object) -> str:
    """Return the name of a pod, with its namespace where it tells one: the project's own is not told."""
    name, namespace = pod["metadata"]["name"], pod["metadata"].get("namespace")
    return f"{name}@{namespace}" if namespace else str(name)


def owned(pods: Iterable[Object], uid: str) -> list[Object]:
    return [p for p in pods if any(o["uid"] == uid for o in p["metadata"].get("ownerReferences") or ())]


def job(what: str, seen: Object, pods: Iterable[Object] = ()) -> Readiness:
    """A Job is ready once Complete. Active pods only mean that it is still trying."""
    mine = owned(pods, seen["metadata"]["uid"])
    newest = max(mine, key=lambda p: str(p["metadata"]["creationTimestamp"]), default=None)
    culprit = full_name(newest) if newest else ""
    holds = conditions(seen)
    if "Failed" in holds or "FailureTarget" in holds:
        failed = holds.get("Failed") or holds["FailureTarget"]
        why = f"{failed.get('reason', '')}: {failed.get('message', '')}".strip(": ")
        return Readiness(Level.FAILED, what, why, culprit)
    if "Complete" in holds:
        return Readiness(Level.READY, what)
    # A crash is the Job's own affair (backoffLimit); what no retry can mend is not.
    worst = max((pod(what, p, crashes=False) for p in mine if p["status"].get("phase") == "Pending"), default=None)
    return worst if worst and worst.level is Level.FAILED else Readiness(Level.PENDING, what, "not complete", culprit)


def workload(what: str, seen: Object, pods: Iterable[Object], sets: Iterable[Object] = ()) -> Readiness:
    """Return the readiness of a Deployment, StatefulSet or DaemonSet.

    `pods` and `sets` (ReplicaSets) are those of the namespace; only the pods of the newest revision can fail it,
    since an older one that is broken is on its way out.
    """
    status, wanted = seen.get("status", {}), wanted_replicas(seen)
    if status.get("observedGeneration", 0) < seen["metadata"].get("generation", 0):
        return Readiness(Level.PENDING, what, "its controller has not seen the change yet")
    newest = newest_pods(seen, pods, sets)
    none = Readiness(Level.PENDING if wanted else Level.READY, what, "no pod yet")
    worst = max((pod(what, p) for p in newest), default=none)
    if worst.level is Level.FAILED:
        return worst
    if (stalled := refused_pods(seen, sets)) and not newest:
        return Readiness(Level.FAILED, what, stalled)
    updated = status.get("updatedReplicas", status.get("updatedNumberScheduled", 0))
    ready = status.get("numberReady", status.get("readyReplicas", 0))
    total = status.get("replicas", status.get("desiredNumberScheduled", 0))
    # The pods are asked too: right after a restart the workload's own status is that of before.
    if updated == ready == total == wanted and worst.level is Level.READY:
        return Readiness(Level.READY, what)
    return Readiness(Level.PENDING, what, f"{min(updated, ready)} of {wanted} pods ready; {worst.why}", worst.culprit)


def wanted_replicas(seen: Object) -> int:
    status, spec = seen.get("status", {}), seen.get("spec", {})
    return int(status.get("desiredNumberScheduled", 0) if seen["kind"] == "DaemonSet" else spec.get("replicas", 1))


def newest_pods(seen: Object, pods: Iterable[Object], sets: Iterable[Object]) -> list[Object]:
    """Return the living pods of the workload's newest revision."""
    living = [p for p in pods if not p["metadata"].get("deletionTimestamp")]
    if seen["kind"] == "Deployment":
        current = newest_set(seen, sets)
        return owned(living, current["metadata"]["uid"]) if current else []
    revision = seen.get("status", {}).get("updateRevision")
    mine = owned(living, seen["metadata"]["uid"])
    return [p for p in mine if not revision or p["metadata"]["labels"].get("controller-revision-hash") == revision]


def newest_set(deployment: Object, sets: Iterable[Object]) -> Object | None:
    def revision(replica_set: Object) -> int:
        return int(replica_set["metadata"].get("annotations", {}).get("deployment.kubernetes.io/revision", 0))

    return max(owned(sets, deployment["metadata"]["uid"]), key=revision, default=None)


def refused_pods(seen: Object, sets: Iterable[Object]) -> str:
    """Return why the API server refuses the pods (quota, admission), or nothing."""
    current = newest_set(seen, sets) if seen["kind"] == "Deployment" else None
    refused = conditions(current or {}).get("ReplicaFailure")
    return f"{refused.get('reason', '')}: {refused.get('message', '')}" if refused else ""


def pod(what: str, seen: Object, crashes: bool = True) -> Readiness:
    """Return the readiness of one pod; `crashes` says whether a crash loop is a failure of it."""
    name, status = full_name(seen), seen.get("status", {})
    for container in (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())):
        waiting = container.get("state", {}).get("waiting") or {}
        reason, where = waiting.get("reason", ""), f"pod {name}, container {container['name']}"
        if reason in HOPELESS_WAITING:
            return Readiness(Level.FAILED, what, f"{where}: {reason}: {waiting.get('message', '')}".rstrip(": "), name)
        if crashes and fallen(container) and container.get("restartCount", 0) >= CRASHES_THAT_ARE_A_LOOP:
            last = "lastState" if waiting else "state"
            code = (container.get(last, {}).get("terminated") or {}).get("exitCode")
            why = f"{where}: crash loop, {container['restartCount']} restarts, last exit code {code}"
            return Readiness(Level.FAILED, what, why, name)
    for c in status.get("conditions") or ():
        if c["type"] == "PodScheduled" and c["status"] == "False":
            message = c.get("message", "")
            hopeless = any(words in message for words in HOPELESS_SCHEDULING)
            level = Level.FAILED if hopeless else Level.PENDING
            return Readiness(level, what, f"pod {name} fits on no node: {message}" if hopeless else message)
    if "Ready" in conditions(seen):
        return Readiness(Level.READY, what)
    return Readiness(Level.PENDING, what, f"pod {name}: {doing(status)}", name)


def fallen(container: Object) -> bool:
    """Whether a container waits after a crash, or has just crashed: for a moment the kubelet says no more than that."""
    state = container.get("state", {})
    waits = (state.get("waiting") or {}).get("reason") == "CrashLoopBackOff"
    ended = container.get("lastState" if waits else "state", {}).get("terminated") or {}
    if ended.get("reason") == ENDED_WITH_ITS_NODE or ran(ended) >= RECOVERED_AFTER:
        return False
    return waits or bool(ended.get("exitCode"))


def ran(ended: Object) -> timedelta:
    """Return how long a container ran; no time where that is not told."""
    begin, end = ended.get("startedAt"), ended.get("finishedAt")
    return datetime.fromisoformat(end) - datetime.fromisoformat(begin) if begin and end else timedelta()


def doing(status: Object) -> str:
    """Say in a few words what a pod that is not ready is at."""
    for kind, key in (("init container", "initContainerStatuses"), ("container", "containerStatuses")):
        for c in status.get(key) or ():
            state = c.get("state", {})
            if waiting := state.get("waiting"):
                return f"{kind} {c['name']}: {waiting.get('reason', 'waiting')}"
            if "running" in state and not c.get("ready"):
                return f"{kind} {c['name']}: {'running' if kind == 'init container' else 'not ready'}"
    return str(status.get("phase", "Pending"))


def of(what: str, seen: Object | None, pods: Iterable[Object] = (), sets: Iterable[Object] = ()) -> Readiness:
    """Return the readiness of any object; one that runs nothing is ready by being there."""
    if seen is None:
        return Readiness(Level.ABSENT, what, "is not in the cluster")
    match seen["kind"]:
        case "Job":
            return job(what, seen, pods)
        case "Deployment" | "StatefulSet" | "DaemonSet":
            return workload(what, seen, pods, sets)
        case "Pod":
            return pod(what, seen)
        case _:
            return Readiness(Level.READY, what)
