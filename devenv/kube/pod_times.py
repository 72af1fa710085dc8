"""When a pod was created, scheduled, given its images, started and ready, as the API tells: in whole seconds. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from devenv.kube.objects import Document


@dataclass(frozen=True)
class Interval:
    """What a pod did, or was waited for, from `start` to `end` (seconds since 1970). Equal ones are a moment."""

    pod: str  # NAMESPACE/NAME
    name: str
    start: float
    end: float
    note: str = ""


def moment(text: Any) -> float | None:
    return datetime.fromisoformat(text).timestamp() if isinstance(text, str) and text else None


def intervals(pods: Iterable[Document], events: Iterable[Document]) -> list[Interval]:
    """Return what is told of some pods, each pod's in the order of time. What has not ended yet is left out.

    Source: the Kubernetes API, PodCondition, ContainerState and Event.
    """
    by_uid: dict[str, list[Document]] = {}
    for event in events:
        by_uid.setdefault(str((event.get("involvedObject") or {}).get("uid")), []).append(event)
    found: list[Interval] = []
    for pod in pods:
        told = by_uid.get(str(pod["metadata"].get("uid")), ())
        # A clock that was set back would have things end before they began.
        own = (i for i in (*conditions(pod), *containers(pod), *pulls(pod, told)) if i.start <= i.end)
        found += sorted(own, key=lambda i: (i.start, -i.end))
    return found


def name_of(pod: Document) -> str:
    return f"{pod['metadata'].get('namespace', '')}/{pod['metadata']['name']}"


def reached(pod: Document) -> dict[str, float]:
    """Return when each condition that holds began to."""
    seen = (pod.get("status") or {}).get("conditions") or ()
    times = {c["type"]: moment(c.get("lastTransitionTime")) for c in seen if c.get("status") == "True"}
    return {condition: time for condition, time in times.items() if time is not None}


def conditions(pod: Document) -> Iterator[Interval]:
    name, held = name_of(pod), reached(pod)
    created, scheduled = moment(pod["metadata"].get("creationTimestamp")), held.get("PodScheduled")
    if created is not None:
        yield Interval(name, "created", created, created)
        if scheduled is not None:
            yield Interval(name, "scheduling", created, scheduled)
    if scheduled is not None and (sandbox := held.get("PodReadyToStartContainers")) is not None:
        yield Interval(name, "volumes and sandbox", scheduled, sandbox)
    if (ready := held.get("Ready")) is not None:
        yield Interval(name, "ready", ready, ready)


def containers(pod: Document) -> Iterator[Interval]:
    """Yield each run of a container: to its end, or to the moment when the pod's containers were ready."""
    name, status, held = name_of(pod), pod.get("status") or {}, reached(pod)
    for key, label in (("initContainerStatuses", "init "), ("containerStatuses", "")):
        for container in status.get(key) or ():
            state, last = container.get("state") or {}, container.get("lastState") or {}
            for ended in (last.get("terminated"), state.get("terminated")):
                yield from run(name, f"{label}{container['name']}", ended)
            begun = moment((state.get("running") or {}).get("startedAt"))
            # One that goes on beside the others (a sidecar) was waited for until the pod was initialized.
            ready = held.get("Initialized" if label else "ContainersReady")
            if begun is not None and ready is not None:
                yield Interval(name, f"{label}{container['name']} until ready", begun, ready)


def run(pod: str, name: str, ended: Mapping[str, Any] | None) -> Iterator[Interval]:
    start, end = (moment((ended or {}).get(key)) for key in ("startedAt", "finishedAt"))
    if ended and start is not None and end is not None:
        yield Interval(pod, name, start, end, f"exit code {ended.get('exitCode')}")


def pulls(pod: Document, events: Iterable[Document]) -> Iterator[Interval]:
    """Yield each pull of an image, from the Event that began it to the one that ended it."""
    begun: dict[str, float] = {}
    for event in sorted(events, key=lambda e: when(e) or 0.0):
        place, time = str((event.get("involvedObject") or {}).get("fieldPath")), when(event)
        if time is None:
            continue
        container = place.partition("{")[2].rstrip("}") or place
        if event.get("reason") == "Pulling":
            begun[place] = time
        elif event.get("reason") == "Pulled":  # without a beginning the image was there
            yield Interval(name_of(pod), f"image of {container}", begun.pop(place, time), time)


def when(event: Document) -> float | None:
    """Return when an Event was last told: newer clients of the API have it in `eventTime`."""
    return moment(event.get("lastTimestamp")) or moment(event.get("eventTime"))
