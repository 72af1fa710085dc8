"""How ready a pod is, by what the kubelet and the scheduler say of it. Pure."""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta

from devenv.kube import ahead
from devenv.kube.objects import Object
from devenv.kube.readiness import Document, Level, Readiness, conditions, status_of

# The kubelet gives up on these only by trying again with the same inputs: a person has to act. A pull may fail for a
# moment of the network: by then the kubelet has tried twice (its first pause is 10 s).
HOPELESS_WAITING = {
    "ErrImagePull": 15.0, "ImagePullBackOff": 15.0,
    "ErrImageNeverPull": 0.0, "InvalidImageName": 0.0, "CreateContainerConfigError": 0.0,
}  # fmt: skip
# The kubelet's word for a Secret or ConfigMap that is not there: an operator may be about to make it.
ABSENT, ABSENT_FOR_S = re.compile(r'^(?:secret|configmap) "[^"]*" not found$'), 20.0
# A container may fall over once or twice while what it needs comes up; three times is a loop.
CRASHES_THAT_ARE_A_LOOP = 3
# And what it needs may take its time: Kubernetes' own back-off makes no third restart sooner (10 s, 20 s), and that of
# our node is shorter, so that a container is restarted in place in a moment.
LOOPS_AFTER = timedelta(seconds=30)
# After so long a run the kubelet resets its back-off (Kubernetes documentation, "Pod Lifecycle").
RECOVERED_AFTER = timedelta(minutes=10)
SANDBOX = "PodReadyToStartContainers"  # the condition of a pod that its node has made room for, anew after a restart
# What containerd says of a container that it finds dead at its own start (internal/cri/server/restart.go).
ENDED_WITH_ITS_NODE = "Unknown"
# Words of the scheduler for what another second does not change (kube-scheduler's filter plugins); an autoscaler may
# bring another node, and a pod that ends makes room.
UNSCHEDULABLE_FOR_S = 20.0
NO_NODE = "fits on no node"  # said of such a pod
SUCCEEDED, FAILED = "Succeeded", "Failed"  # phases of a pod that runs no more
HOPELESS_SCHEDULING = ("Insufficient ", "didn't match Pod's node affinity/selector", "didn't have free ports")


def pod(what: str, seen: Object, crashes: bool = True) -> Readiness:
    """Return the readiness of one pod; `crashes` says whether a crash loop is a failure of it."""
    name, status = pod_name(seen), status_of(seen)
    if ended := end_of(name, status):
        return Readiness(Level.FAILED if ended != SUCCEEDED else Level.READY, what, ended, seen.id)
    ours = ahead.of(seen).restarts
    for begun, container in containers(status):
        waiting = container.get("state", {}).get("waiting") or {}
        reason, where = waiting.get("reason", ""), f"pod {name}, container {container['name']}"
        if reason in HOPELESS_WAITING:
            why = f"{where}: {reason}: {waiting.get('message', '')}".rstrip(": ")
            lasts_s = ABSENT_FOR_S if ABSENT.search(waiting.get("message", "")) else HOPELESS_WAITING[reason]
            return Readiness(Level.FAILED, what, why, seen.id, lasts_s)
        restarts = container.get("restartCount", 0) - ours.get(container["name"], 0)
        if crashes and restarts >= CRASHES_THAT_ARE_A_LOOP and fallen(container) and has_lasted(container, begun):
            why = f"{where}: crash loop, {restarts} restarts, last exit code {last_end(container).get('exitCode')}"
            return Readiness(Level.FAILED, what, why, seen.id)
    for c in status.get("conditions") or ():
        if c["type"] == "PodScheduled" and c["status"] == "False":
            message = c.get("message", "")
            hopeless = any(words in message for words in HOPELESS_SCHEDULING)
            if not hopeless:
                return Readiness(Level.PENDING, what, message)
            why = f"pod {name} {NO_NODE}: {message}"
            return Readiness(Level.FAILED, what, why, lasts_s=UNSCHEDULABLE_FOR_S)
    if "Ready" in conditions(seen):
        return Readiness(Level.READY, what)
    return Readiness(Level.PENDING, what, f"pod {name}: {doing(status)}", seen.id)


def end_of(name: str, status: Document) -> str:
    """Return how a pod has ended for good, or an empty string."""
    phase = status.get("phase")
    if phase != FAILED:
        return SUCCEEDED if phase == SUCCEEDED else ""
    why = [str(status[key]) for key in ("reason", "message") if status.get(key)]
    ended = [(c["name"], c.get("state", {}).get("terminated") or {}) for c in status.get("containerStatuses") or ()]
    codes = [f"container {who}: exit code {how['exitCode']}" for who, how in ended if how.get("exitCode")]
    return f"pod {name} has ended: {': '.join(why) or ', '.join(codes) or 'it failed'}"


def pod_name(pod: Object) -> str:
    return str(pod.id).partition("/")[2]


def containers(status: Document) -> Iterator[tuple[str, Document]]:
    """Yield the status of each container, with the moment from which it could run, or an empty string."""
    began = max(str(status.get("startTime") or ""), told_at(status, SANDBOX))
    for container in status.get("initContainerStatuses") or ():
        yield began, container
    initialized = told_at(status, "Initialized")
    for container in status.get("containerStatuses") or ():
        yield max(initialized, told_at(status, SANDBOX)) if initialized else "", container


def told_at(status: Document, type_: str) -> str:
    """Return since when a condition holds, or an empty string."""
    told = (c for c in status.get("conditions") or () if (c.get("type"), c.get("status")) == (type_, "True"))
    return str(next((c.get("lastTransitionTime") or "" for c in told), ""))


def waits_after_crash(container: Document) -> bool:
    return (container.get("state", {}).get("waiting") or {}).get("reason") == "CrashLoopBackOff"


def last_end(container: Document) -> Document:
    """Return how a container that waits, or has just ended, has ended; nothing of one that runs."""
    key = "lastState" if container.get("state", {}).get("waiting") else "state"
    return container.get(key, {}).get("terminated") or {}


def has_lasted(container: Document, begun: str) -> bool:
    """Whether crashes went on for long enough to be a loop; true where it is not told since when."""
    ended = last_end(container).get("finishedAt")
    return not (begun and ended) or datetime.fromisoformat(ended) - datetime.fromisoformat(begun) >= LOOPS_AFTER


def fallen(container: Document) -> bool:
    """Whether a container waits after a crash, or has just crashed: for a moment the kubelet says no more than that."""
    waits, ended = waits_after_crash(container), last_end(container)
    if ended.get("reason") == ENDED_WITH_ITS_NODE or ran(ended) >= RECOVERED_AFTER:
        return False
    return waits or bool(ended.get("exitCode"))


def ran(ended: Document) -> timedelta:
    """Return how long a container ran; no time where that is not told."""
    begin, end = ended.get("startedAt"), ended.get("finishedAt")
    return datetime.fromisoformat(end) - datetime.fromisoformat(begin) if begin and end else timedelta()


def doing(status: Document) -> str:
    """Say in a few words what a pod that is not ready is at."""
    for kind, key in (("init container", "initContainerStatuses"), ("container", "containerStatuses")):
        for c in status.get(key) or ():
            state = c.get("state", {})
            if waiting := state.get("waiting"):
                return f"{kind} {c['name']}: {waiting.get('reason', 'waiting')}"
            if "running" in state and not c.get("ready"):
                return f"{kind} {c['name']}: {'running' if kind == 'init container' else 'not ready'}"
    return str(status.get("phase", "Pending"))
