"""How ready any object is, by its kind's own rule, else by the conditions that it has. Pure: objects in, values out.

The rules are those that sigs.k8s.io/cli-utils, pkg/kstatus, states; docs/reference.md has the table, and where ours
differ. tests/test_verdict.py has a case for each.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from devenv.kube import pod_state, steadiness, workloads
from devenv.kube.objects import Object
from devenv.kube.readiness import Document, Level, Readiness, conditions, owned, status_of, told, why_of

WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController")
LEAVES = "is being deleted"
# Reasons of Events that tell of what is tried again and again: a failure once it has lasted so long, in seconds. An
# operator may be about to make the Secret, a webhook about to start.
HOPELESS_EVENTS = {
    "FailedMount": 20.0, "FailedAttachVolume": 60.0, "FailedCreate": 15.0, "FailedCreatePodSandBox": 60.0,
    "ProvisioningFailed": 20.0, "FailedBinding": 15.0, "NoAddress": 10.0,
}  # fmt: skip
# An autoscaler's words of a pod that fits on no node (cluster-autoscaler; Karpenter): a node is on its way, or is not.
SCALES_UP, GIVES_UP = ("TriggeredScaleUp", "Nominated"), "NotTriggerScaleUp"
FIRST_CONSUMER = "WaitForFirstConsumer"  # the reason of a claim whose volume is made for the first pod that uses it


def of(what: str, seen: Object | None, pods: Iterable[Object] = (), sets: Iterable[Object] = ()) -> Readiness:
    """Return the readiness of any object; one of which nothing is told is ready by being there."""
    if seen is None:
        return Readiness(Level.ABSENT, what, "is not in the cluster")
    if seen.leaves:
        return Readiness(Level.PENDING, what, LEAVES)
    if found := standard(what, seen):
        return found
    if seen.kind == "Job":
        return workloads.job(what, seen, pods)
    if seen.kind in WORKLOADS:
        return workloads.workload(what, seen, pods, sets)
    if seen.kind == "Pod":
        return pod_state.pod(what, seen)
    return RULES.get((seen.id.group, seen.kind), by_conditions)(what, seen)


def standard(what: str, seen: Object) -> Readiness | None:
    """Return what is to be said of every kind alike: whether its controller has seen the change, and kstatus' own
    conditions.
    """
    # The controller of a workload tells it from its first look on, others may never do.
    observed = status_of(seen).get("observedGeneration", 0 if seen.kind in WORKLOADS else None)
    if isinstance(observed, int) and observed < seen.meta.get("generation", 0):
        return Readiness(Level.PENDING, what, "its controller has not seen the change yet")
    holds = conditions(seen)
    if "Stalled" in holds:
        return Readiness(Level.FAILED, what, why_of(holds["Stalled"]))
    if "Reconciling" in holds:
        return Readiness(Level.PENDING, what, why_of(holds["Reconciling"]))
    return None


def by_conditions(what: str, seen: Object) -> Readiness:
    """Ready is what says so by the condition Ready, or Available where it has no Ready; and what has neither."""
    known = told(seen)
    if (condition := known.get("Ready") or known.get("Available")) and condition.get("status") != "True":
        return Readiness(Level.PENDING, what, why_of(condition) or f"{condition['type']} is {condition.get('status')}")
    return Readiness(Level.READY, what)


def claim(what: str, seen: Object) -> Readiness:
    phase = status_of(seen).get("phase")
    if phase == "Lost":
        return Readiness(Level.FAILED, what, "its volume is gone")
    return Readiness(
        Level.READY if phase == "Bound" else Level.PENDING, what, "" if phase == "Bound" else "is not bound"
    )


def service(what: str, seen: Object) -> Readiness:
    given = (status_of(seen).get("loadBalancer") or {}).get("ingress")
    if seen.is_balanced and not given:
        return Readiness(Level.PENDING, what, "has no address from a load balancer yet")
    return Readiness(Level.READY, what)


def definition(what: str, seen: Object) -> Readiness:
    known = told(seen)
    if "Established" in conditions(seen):
        return Readiness(Level.READY, what)
    for condition in (known.get(key, {}) for key in ("NamesAccepted", "Established")):
        if condition.get("status") == "False" and condition.get("reason") != "Installing":
            return Readiness(Level.FAILED, what, why_of(condition))
    return Readiness(Level.PENDING, what, why_of(known.get("Established", {})) or "is not served yet")


def budget(what: str, seen: Object) -> Readiness:
    """A budget is there; that more pods are disrupted than it likes is told by their workload."""
    seen_by_its_controller = "observedGeneration" in status_of(seen)
    why = "" if seen_by_its_controller else "its controller has not seen it yet"
    return Readiness(Level.READY if seen_by_its_controller else Level.PENDING, what, why)


def there(what: str, seen: Object) -> Readiness:  # noqa: ARG001
    return Readiness(Level.READY, what)


RULES: dict[tuple[str, str], Callable[[str, Object], Readiness]] = {
    ("", "PersistentVolumeClaim"): claim,
    ("", "Service"): service,
    ("apiextensions.k8s.io", "CustomResourceDefinition"): definition,
    ("policy", "PodDisruptionBudget"): budget,
    # Its conditions tell of single runs and of metrics, not of itself.
    ("batch", "CronJob"): there,
    ("autoscaling", "HorizontalPodAutoscaler"): there,
}


def believed(found: Readiness, seen: Object, parts: Iterable[Object], now: datetime) -> Readiness:
    """Return a readiness as far as it can be believed at a moment of the cluster's clock: what the kubelet calls ready
    may have just begun with nothing to probe it, or run between two crashes.
    """
    if found.level is not Level.READY or seen.kind not in (*WORKLOADS, "Pod"):
        return found
    for pod in (o for o in (seen, *parts) if o.kind == "Pod"):
        if why := steadiness.restless(pod, now):
            why = f"pod {pod_state.pod_name(pod)}, {why}"
            return Readiness(Level.PENDING, found.what, why, pod.id)
    return found


def may_be_told_by_events(found: Readiness) -> bool:
    """Whether Events may say more of it: of what waits, and of a pod that fits on no node."""
    return found.level is Level.PENDING or pod_state.NO_NODE in found.why


def with_events(found: Readiness, seen: Object, parts: Iterable[Object], events: Sequence[Document]) -> Readiness:
    """Return a readiness with what the newest Event of the object, or of a part of it, adds to it.

    A mount, a quota or a webhook that fails is told nowhere else.
    """
    uids = {str(o.meta["uid"]) for o in (seen, *parts)}
    told_of = [e for e in events if (e.get("involvedObject") or {}).get("uid") in uids]
    if pod_state.NO_NODE in found.why and (node := coming_node(told_of)):
        return replace(found, level=Level.PENDING, why=f"{found.why}; {node}", lasts_s=0.0)
    if found.level is not Level.PENDING:
        return found
    newest = max(told_of, key=lambda e: (moment(e), e.get("type") == "Warning"), default=None)
    if newest is None:
        return found
    if newest.get("reason") == FIRST_CONSUMER:
        return Readiness(Level.READY, found.what)
    lasts_s = HOPELESS_EVENTS.get(str(newest.get("reason")))
    if lasts_s is None and newest.get("type") != "Warning":
        return found
    why = f"{newest.get('reason')}: {newest.get('message', '')}".strip(": ")
    if lasts_s is not None:
        return replace(found, level=Level.FAILED, why=f"{found.why}; {why}", lasts_s=lasts_s)
    return replace(found, why=f"{found.why}; {why}")


def coming_node(events: Iterable[Document]) -> str:
    """Return what an autoscaler says of the node that it brings, or an empty string: its newest word counts."""
    words = [e for e in events if e.get("reason") in (*SCALES_UP, GIVES_UP)]
    newest = max(words, key=moment, default=None)
    if newest is None or newest.get("reason") == GIVES_UP:
        return ""
    return f"{newest['reason']}: {newest.get('message', '')}".strip(": ")


def parts(seen: Object, pods: Iterable[Object], sets: Iterable[Object]) -> list[Object]:
    """Return the pods that count for an object, and the ReplicaSet between."""
    if seen.kind == "Job":
        return owned(pods, seen)
    if seen.kind not in WORKLOADS:
        return []
    between = workloads.newest_set(seen, sets) if seen.kind == "Deployment" else None
    return [*workloads.living(seen, pods, sets), *([between] if between else [])]


def moment(event: Document) -> str:
    """Return the second in which an Event was last seen, in a form that sorts."""
    series = (event.get("series") or {}).get("lastObservedTime")
    return str(series or event.get("lastTimestamp") or event.get("eventTime") or "")[:19]
