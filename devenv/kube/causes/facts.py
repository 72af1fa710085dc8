"""What is known of one part when it is to be explained: the object, its pods, and what stands around them. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from devenv.kube import pod_state, verdict
from devenv.kube.objects import Document, Id, Object
from devenv.kube.pods import mapping, mappings
from devenv.kube.readiness import Level, Readiness, spec_of, status_of

# Reasons by which a container says nothing of itself: another, or a volume, is not there yet.
NOT_YET = ("PodInitializing", "ContainerCreating")


@dataclass(frozen=True)
class Tail:
    """The last lines of a container's log."""

    container: str
    lines: tuple[str, ...]
    previous: bool = False  # of the run before the one that the pod has now


@dataclass(frozen=True)
class Around:
    """What the namespaces of the environment and the cluster have; nothing of what may not be read."""

    pods: tuple[Object, ...] = ()
    services: tuple[Object, ...] = ()
    workloads: tuple[Object, ...] = ()  # of the environment, as they are there or are wanted
    decisions: tuple[str, ...] = ()  # the last lines of what OPA logs
    claims: tuple[Object, ...] = ()
    classes: tuple[Object, ...] = ()  # StorageClasses
    nodes: tuple[Object, ...] = ()
    policies: tuple[Object, ...] = ()  # NetworkPolicies
    dns: tuple[Object, ...] = ()  # pods of the cluster's DNS

    def pods_in(self, namespace: str) -> list[Object]:
        return [p for p in self.pods if p.id.namespace == namespace and not p.leaves]


@dataclass(frozen=True)
class Spot:
    """The container that most likely tells why, with what the kubelet says of it and what its pod wants of it."""

    name: str
    init: bool
    status: Document
    spec: Document

    @property
    def said(self) -> str:
        return f"{'init container' if self.init else 'container'} {self.name}"

    @property
    def waiting(self) -> Document:
        return mapping(mapping(self.status.get("state")).get("waiting"))

    @property
    def runs(self) -> bool:
        return "running" in mapping(self.status.get("state"))

    @property
    def since(self) -> str:
        """When the run began that goes on; an empty string of one that does not."""
        return str(mapping(mapping(self.status.get("state")).get("running")).get("startedAt") or "")

    @property
    def done(self) -> bool:
        """Whether it has ended well, and is not started again."""
        return mapping(mapping(self.status.get("state")).get("terminated")).get("exitCode") == 0

    @property
    def ended(self) -> Document:
        """How it ended last: now, or before the kubelet started it again."""
        now = mapping(mapping(self.status.get("state")).get("terminated"))
        return now or mapping(mapping(self.status.get("lastState")).get("terminated"))

    @property
    def previous(self) -> bool:
        """Whether the run that tells is the one before the one that the pod has now."""
        last = mapping(mapping(self.status.get("lastState")).get("terminated"))
        return "terminated" not in mapping(self.status.get("state")) and bool(last)

    @property
    def restarts(self) -> int:
        return int(self.status.get("restartCount") or 0)

    @property
    def image(self) -> str:
        return str(self.spec.get("image") or self.status.get("image") or "")


@dataclass(frozen=True)
class Facts:
    """What is known of one part."""

    part: Id
    readiness: Readiness
    seen: Object | None = None
    between: Object | None = None  # the newest ReplicaSet of a Deployment
    pods: tuple[Object, ...] = ()  # of its newest revision; where none lives, those that ended
    events: tuple[Document, ...] = ()  # of all these, in order of time
    tail: Tail | None = None  # of the container in `spot`
    answer: str = ""  # what the readiness probe is answered, where that is a refusal by HTTP
    unsteady: str = ""  # a container that runs, and crashes again and again
    waits: tuple[Id, ...] = ()  # gates before it that are not ready
    keys: Mapping[tuple[str, str], tuple[str, ...] | None] = field(default_factory=dict)  # by kind and name; None: none
    around: Around = Around()

    @cached_property
    def pod(self) -> Object | None:
        return subject(self.pods)

    @cached_property
    def spot(self) -> Spot | None:
        return spot_of(self.pod, self.unsteady) if self.pod else None

    @property
    def lines(self) -> tuple[str, ...]:
        """The last lines of the log; where there is none, what the kubelet kept of its end."""
        if self.tail and self.tail.lines:
            return self.tail.lines
        kept = str(self.spot.ended.get("message") or "") if self.spot else ""
        return tuple(kept.splitlines())

    def told(self, *reasons: str, since: str = "") -> Iterator[str]:
        """Yield the messages of Events with these reasons, of all where none is named: the newest first.

        With a time, only what was told since.
        """
        for event in reversed(self.events):
            if (not reasons or event.get("reason") in reasons) and verdict.moment(event) >= since[:19]:
                yield str(event.get("message") or "").strip()


def subject(pods: Iterable[Object]) -> Object | None:
    """Return the pod that tells most: of the least ready ones the newest."""

    def weight(pod: Object) -> tuple[Level, bool, str]:
        spot = spot_of(pod)
        return pod_state.pod("", pod).level, bool(spot and spot.ended), str(pod.meta.get("creationTimestamp"))

    return max(pods, key=weight, default=None)


def spot_of(pod: Object, unsteady: str = "") -> Spot | None:
    """Return the container that keeps a pod from being ready: the first that failed, else the first not ready, else the
    one that is known to be `unsteady`.
    """
    status, spec = status_of(pod), spec_of(pod)
    wants = {str(c.get("name")): c for key in ("initContainers", "containers") for c in mappings(spec.get(key))}
    every = [
        Spot(str(c.get("name")), init, c, wants.get(str(c.get("name")), {}))
        for init, key in ((True, "initContainerStatuses"), (False, "containerStatuses"))
        for c in mappings(status.get(key))
    ]
    unready = [s for s in every if not (s.status.get("ready") or s.done)]
    failed = [s for s in unready if s.ended.get("exitCode") or s.waiting.get("reason") not in (None, *NOT_YET)]
    return next(iter(failed or unready or [s for s in every if s.name == unsteady]), None)


def selected(pods: Iterable[Object], labels: Document) -> list[Object]:
    """Return the pods that have all these labels; none where none is asked for."""
    wanted = mapping(labels).items()
    return [p for p in pods if wanted and wanted <= (p.meta.get("labels") or {}).items()]
