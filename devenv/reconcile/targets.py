"""The containers that an image's files are sent to, and what becomes of them. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from pathlib import PurePosixPath
from typing import Any

from devenv.kube import pods
from devenv.kube.objects import Object
from devenv.kube.readiness import conditions, spec_of, status_of
from devenv.kube.workloads import has_ended
from devenv.project.schema import Image, Sync

Document = Mapping[str, Any]


@dataclass(frozen=True)
class Target:
    """A container that runs an image, in a pod that lives, and where each folder goes, as VOLUME/PATH."""

    pod: Object
    container: str
    places: Mapping[PurePosixPath, str]

    @property
    def status(self) -> Document:
        told = status_of(self.pod).get("containerStatuses") or ()
        return next((c for c in told if c["name"] == self.container), {})

    @property
    def restarts(self) -> int:
        return int(self.status.get("restartCount", 0))

    @property
    def ids(self) -> frozenset[str]:
        """The IDs of its present and its last container, as the node has them."""
        states = (self.status.get(key) or {} for key in ("state", "lastState"))
        ended = ((state.get("terminated") or {}).get("containerID") for state in states)
        return frozenset(short(id_) for id_ in (self.status.get("containerID"), *ended) if id_)

    @property
    def key(self) -> tuple[str, str]:
        return str(self.pod.meta["uid"]), self.container

    def name_of(self, path: str) -> str:
        """Return where a path of the image's folder goes."""
        here = PurePosixPath(path)
        above = next(p for p in self.places if here.is_relative_to(p))
        rest = here.relative_to(above)
        return str(PurePosixPath(self.places[above]) / rest)


def of(image: str, syncs: Iterable[Sync], living: Iterable[Object]) -> list[Target]:
    """Return the containers that run an image and have been started, of pods whose containers are restarted."""
    wanted = [*syncs]
    found = []
    for pod in living:
        spec = spec_of(pod)
        if pod.leaves or has_ended(pod) or spec.get("restartPolicy", "Always") != "Always":
            continue
        if "Initialized" not in conditions(pod):  # what it is initialized with comes from the image
            continue
        for container in spec.get("containers") or ():
            places = places_of(spec, container, wanted)
            if container.get("image") == image and len(places) == len(wanted):
                found.append(Target(pod, container["name"], places))
    return found


def places_of(spec: Document, container: Document, syncs: Iterable[Sync]) -> dict[PurePosixPath, str]:
    """Return where in a container's emptyDir volumes each folder goes; nothing of one whose place lies elsewhere."""
    return {sync.from_: place for sync in syncs if (place := place_of(spec, container, sync.to))}


def place_of(spec: Document, container: Document, to: PurePosixPath) -> str:
    """Return the place of a path in an emptyDir volume, as VOLUME/PATH, or an empty string."""
    mounts = [m for m in container.get("volumeMounts") or () if to.is_relative_to(m["mountPath"])]
    mount = max(mounts, key=lambda m: len(PurePosixPath(m["mountPath"]).parts), default=None)
    volatile = {v["name"] for v in spec.get("volumes") or () if "emptyDir" in v}
    if mount is None or mount["name"] not in volatile or "subPathExpr" in mount:
        return ""
    inner = to.relative_to(mount["mountPath"])
    return str(PurePosixPath(mount["name"]) / str(mount.get("subPath") or "").strip("/") / inner)


def unreachable(image: str, syncs: Iterable[Sync], workloads: Iterable[Object]) -> Iterator[str]:
    """Yield the places that lie in no emptyDir volume of any container that runs an image."""
    specs = [spec for obj in workloads for spec in pods.specs(obj.raw) if obj.kind not in ("Job", "CronJob")]
    mounted = [(s, c) for s in specs for c in s.get("containers") or () if c.get("image") == image]
    for sync in syncs:
        if not any(place_of(spec, container, sync.to) for spec, container in mounted):
            yield str(sync.to)


class State(Enum):
    WAITS, READY, CRASHED = range(3)


@dataclass(frozen=True)
class Outcome:
    state: State
    why: str = ""


def told(log: str, image: Image, sent_at: float) -> Outcome:
    """Return what a container's log says of files that it was sent at a moment, in seconds since 1970."""
    for line in log.splitlines():
        stamp, _, text = line.partition(" ")
        if datetime.fromisoformat(stamp).timestamp() < sent_at:
            continue
        if image.refused and image.refused in text:
            return Outcome(State.CRASHED, text)
        if image.loaded and image.loaded in text:
            return Outcome(State.READY)
    return Outcome(State.WAITS, "its log does not say yet that the new code is loaded")


def outcome(pod: Object | None, container: str, before: frozenset[str], sent_at: float) -> Outcome:
    """Return what became of a container that was restarted at a moment, in seconds since 1970.

    `before` are the IDs of those that there were by then: only of another one, or one started since, it says anything.
    """
    if pod is None:
        return Outcome(State.CRASHED, "its pod is gone")
    seen: Document = next((c for c in status_of(pod).get("containerStatuses") or () if c["name"] == container), {})
    for key in ("state", "lastState"):
        ended = (seen.get(key) or {}).get("terminated") or {}
        if is_new(ended, str(ended.get("containerID", "")), before, sent_at) and ended.get("exitCode"):
            return Outcome(State.CRASHED, f"exit code {ended['exitCode']}")
    running = (seen.get("state") or {}).get("running") or {}
    if running and seen.get("ready") and is_new(running, str(seen.get("containerID", "")), before, sent_at):
        return Outcome(State.READY)
    return Outcome(State.WAITS, "not ready")


def is_new(state: Document, id_: str, before: frozenset[str], sent_at: float) -> bool:
    begun = state.get("startedAt")
    return bool(begun) and (short(id_) not in before or datetime.fromisoformat(str(begun)).timestamp() > sent_at)


def short(id_: str) -> str:
    """Return a container's ID without the name of its runtime (`containerd://…`)."""
    return id_.rpartition("/")[2]
