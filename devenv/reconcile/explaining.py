"""Reads what is to be known of parts that are to be explained: objects, events, the end of a log. Changes nothing."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from devenv.errors import DevenvError, Forbidden, NoSuchKind
from devenv.kube import logs, pods, steadiness, streams, verdict, workloads
from devenv.kube.api import Api
from devenv.kube.causes import probes
from devenv.kube.causes.facts import Around, Facts, Tail
from devenv.kube.objects import Document, Id, Object, reference
from devenv.kube.readiness import Level, Readiness, owned, status_of
from devenv.project.stack import Stack
from devenv.system import masking

LINES, DECISIONS = 200, 50  # of a log, and of those of OPA
AT_ONCE = 16
ANSWER_WITHIN_S = 3.0
DNS = "kube-system", "k8s-app=kube-dns"  # where every cluster of Kubernetes has its DNS


@dataclass(frozen=True)
class Look:
    """What was listed, once for all parts."""

    around: Around
    sets: tuple[Object, ...]
    events: tuple[Document, ...]  # in order of time
    now: datetime  # of the cluster's clock


def facts(api: Api, desired: Stack, wanted: Sequence[Object]) -> list[Facts]:
    """Return what is known of objects, as they are in the cluster now."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        living = pool.map(api.get, desired.workloads)
        seen = pool.map(api.get, wanted)
        look = looked(api, pool, desired.namespaces)
        workloads_ = tuple(o or w for o, w in zip(living, desired.workloads, strict=True))
        look = replace(look, around=replace(look.around, workloads=workloads_))
        found = [judged(obj.id, there, look) for obj, there in zip(wanted, seen, strict=True)]
        found = [f if awaited(desired, f) else replace(f, readiness=Readiness(Level.READY, str(f.part))) for f in found]
        unready = {f.part for f in found if f.readiness.level is not Level.READY}
        unready |= {o.id for o in desired.gates if o.id not in {f.part for f in found} and not is_ready(o.id, look)}
        gated = [replace(f, waits=waits(desired, f.part, unready)) for f in found]
        return [*pool.map(lambda f: within(api, f), gated)]


def awaited(desired: Stack, found: Facts) -> bool:
    """Whether a part has to be ready: of a Service that no one waits for, only what it leads to matters."""
    return found.seen is None or any(o.id == found.part for o in desired.awaited)


def looked(api: Api, pool: ThreadPoolExecutor, namespaces: Sequence[str]) -> Look:
    """List what stands around, all at the same time."""

    def listed(
        version: str, kind: str, spaces: Iterable[str | None] = namespaces, labels: str = ""
    ) -> Callable[[], tuple[Object, ...]]:
        asked = [pool.submit(allowed, api, version, kind, space, labels) for space in spaces]
        return lambda: tuple(obj for one in asked for obj in one.result())

    space, labels = DNS
    seen: dict[str, Any] = {
        "pods": listed("v1", "Pod"), "services": listed("v1", "Service"),
        "claims": listed("v1", "PersistentVolumeClaim"), "classes": listed("storage.k8s.io/v1", "StorageClass", [None]),
        "nodes": listed("v1", "Node", [None]), "policies": listed("networking.k8s.io/v1", "NetworkPolicy"),
        "dns": listed("v1", "Pod", [space], labels),
    }  # fmt: skip
    sets, events = listed("apps/v1", "ReplicaSet"), listed("v1", "Event")
    told = sorted((dict(e.raw) for e in events()), key=verdict.moment)
    return Look(Around(**{name: found() for name, found in seen.items()}), sets(), tuple(told), api.now)


def allowed(api: Api, version: str, kind: str, space: str | None, labels: str) -> tuple[Object, ...]:
    """Return the objects of a kind; none where these credentials may not see them, or there is no such kind."""
    try:
        return tuple(api.listed(version, kind, space, labels))
    except (Forbidden, NoSuchKind):
        return ()


def judged(part: Id, seen: Object | None, look: Look) -> Facts:
    """Return what is known of a part before its container is looked into."""
    around = look.around
    found = verdict.of(str(part), seen, around.pods, look.sets)
    if seen is None:
        return Facts(part, found, around=around)
    counting = verdict.parts(seen, around.pods, look.sets)
    between = workloads.newest_set(seen, look.sets) if seen.kind == "Deployment" else None
    mine = (
        [p for p in counting if p.kind == "Pod"] or [seen] * (seen.kind == "Pod") or owned(around.pods, between or seen)
    )
    about = {str(o.meta["uid"]) for o in (seen, *counting, *mine)}
    used = {name for pod in mine for name in pods.claims(pod.raw)}
    about |= {str(c.meta["uid"]) for c in around.claims if c.id.name in used and c.id.namespace == part.namespace}
    events = tuple(e for e in look.events if (e.get("involvedObject") or {}).get("uid") in about)
    if verdict.may_be_told_by_events(found):
        found = verdict.with_events(found, seen, counting, look.events)
    restless = [(steadiness.unsteady(pod, look.now), pod) for pod in mine] if found.level is Level.READY else ()
    unsteady, pod = next(((name, pod) for name, pod in restless if name), ("", None))
    if pod:
        found = Readiness(Level.FAILED, str(part), f"container {unsteady}: crash loop", pod.id)
        mine = [pod]
    return Facts(part, found, seen, between, tuple(mine), events, unsteady=unsteady, around=around)


def is_ready(part: Id, look: Look) -> bool:
    there = next((o for o in look.around.workloads if o.id == part), None)
    return there is not None and "uid" in there.meta and judged(part, there, look).readiness.level is Level.READY


def waits(desired: Stack, part: Id, unready: set[Id]) -> tuple[Id, ...]:
    """Return the gates before a part that are not ready."""
    wanted = next(o for o in desired.objects if o.id == part)
    return tuple(gate.id for gate in desired.gates_before(wanted) if gate.id in unready) if wanted.runs else ()


def within(api: Api, found: Facts) -> Facts:
    """Return what is known with what the container itself says, and what its pod reads; of what is ready, no more."""
    if found.readiness.level is Level.READY or found.pod is None:
        return without_passwords(found)
    found = replace(found, tail=tail(api, found), keys=keys(api, found), answer=answer(api, found))
    if any("denie" in line or "403" in line for line in found.lines):
        found = replace(found, around=replace(found.around, decisions=tuple(decisions(api, found.around.pods))))
    return without_passwords(found)


def without_passwords(found: Facts) -> Facts:
    """Return what is known without passwords: what is shortened later would not be known for one."""

    def hidden(obj: Object | None) -> Object | None:
        return obj and Object(obj.id, masking.without_passwords(obj.raw))

    return replace(
        found,
        readiness=replace(found.readiness, why=masking.masked(found.readiness.why)),
        seen=hidden(found.seen),
        between=hidden(found.between),
        pods=tuple(Object(p.id, masking.without_passwords(p.raw)) for p in found.pods),
        events=tuple(masking.without_passwords(e) for e in found.events),
        tail=found.tail and replace(found.tail, lines=tuple(masking.masked(line) for line in found.tail.lines)),
        answer=masking.masked(found.answer),
        around=replace(found.around, decisions=tuple(masking.masked(line) for line in found.around.decisions)),
    )


def tail(api: Api, found: Facts) -> Tail | None:
    """Return the end of the log of the container that tells why; None where it has none."""
    spot, pod = found.spot, found.pod
    if spot is None or pod is None:
        return None
    for source in logs.sources(found.part, pod):
        if (source.container, source.previous) == (spot.name, spot.previous):
            lines = tuple(read(api, source, LINES))
            return Tail(source.container, lines, source.previous) if lines else None
    return None


def read(api: Api, source: logs.Source, count: int) -> Iterator[str]:
    try:
        yield from (line.text for line in streams.log(api.client, source, tailLines=str(count)))
    except DevenvError:  # it is gone meanwhile, or the kubelet does not have it yet
        return


def decisions(api: Api, there: Iterable[Object]) -> Iterator[str]:
    """Yield the last lines of OPA's own logs, wherever it runs."""
    for pod in there:
        named = {str(c.get("name")) for c in pods.containers(pod.raw) if is_opa(str(c.get("image")))}
        for source in logs.sources(pod.id, pod):
            if source.container in named and not source.previous:
                yield from read(api, source, DECISIONS)


def is_opa(image: str) -> bool:
    return image.rpartition("/")[2].partition(":")[0].partition("@")[0] == "opa"


def keys(api: Api, found: Facts) -> Mapping[tuple[str, str], tuple[str, ...] | None]:
    """Return the keys of what a pod that has not begun reads: never a value."""
    if found.pod is None or status_of(found.pod).get("phase") != "Pending":
        return {}
    there: dict[tuple[str, str], tuple[str, ...] | None] = {}
    for kind, name, _ in pods.read(found.pod.raw):
        try:
            obj = api.get(reference("v1", kind, name, found.part.namespace))
        except DevenvError:  # these credentials may not read it
            continue
        data = [*(obj.raw.get("data") or {}), *(obj.raw.get("binaryData") or {})] if obj else []
        there[kind, name] = tuple(sorted(data)) if obj else None
    return there


def answer(api: Api, found: Facts) -> str:
    """Return what the pod answers to the probe that it fails by HTTP, asked through the API server."""
    path = probes.proxied(found)
    if not path:
        return ""
    try:
        return api.client.once("ask a pod", path, ANSWER_WITHIN_S).text
    except DevenvError:
        return ""
