"""What is there: one snapshot of the Docker host, the cluster, its objects and the forwards. Changes nothing."""

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from time import monotonic

from devenv.certificates import secret
from devenv.cluster.state import Cluster
from devenv.errors import DevenvError
from devenv.forwarder.spec import LOST, OPEN
from devenv.images import daemon, registry
from devenv.kube import ahead, client, readiness, verdict
from devenv.kube.api import Api
from devenv.kube.objects import Id, Object, find
from devenv.kube.readiness import Level, Patience, Readiness
from devenv.project.stack import Stack
from devenv.reconcile import attaching, differences, forwards
from devenv.reconcile.environment import Environment
from devenv.reconcile.observed import Observed

STARTS_WITHIN = timedelta(minutes=3)
AT_ONCE = 16  # looks of one snapshot


def snapshot(desired: Stack, env: Environment, unseen: frozenset[str] = frozenset(), pulls: bool = False) -> Observed:
    """Return what is there of what is desired, but the images of the host that are to be taken for missing.

    Of a cluster that rests no more is asked than its state, unless one wants to know what can be pulled. Raise
    DevenvError for a cluster that is not ours.
    """
    # The clients of Docker and of the API server share a library: two threads would wait for its import in turn.
    daemon.client()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        host_images = pool.submit(lambda: daemon.image_refs() - unseen)
        cluster = pool.submit(env.provider.observe)
        if not pulls and cluster.result().rests:
            return Observed(host_images.result(), cluster=cluster.result())
        refs = [i.source.pull for i in desired.images.values() if i.source.pull]
        offers = {r: pool.submit(registry.offers, r) for r in refs if not covered(desired, r, host_images.result())}
        inside = within(desired, env, pool) if cluster.result() is Cluster.RUNNING else cluster.result()
        answers = {ref: offer.result() for ref, offer in offers.items()}
        if isinstance(inside, Cluster):
            return Observed(host_images.result(), answers, inside)
        return replace(inside, host_images=host_images.result(), registries=answers)


def within(desired: Stack, env: Environment, pool: ThreadPoolExecutor) -> Observed | Cluster:
    """Return what a cluster that runs has of what is desired; what it is instead where it is not up.

    What does not need another's answer is asked for at the same time.
    """
    since = env.provider.started()
    if since and silent(env):
        return resting(env)
    on_node = pool.submit(env.provider.images, [desired.ref(name) for name in desired.wanted_images])
    api, tls = env.api, env.project.tls
    looks = {
        kind: pool.submit(api.objects, version, kind, desired.namespaces)
        for version, kind in (("v1", "Pod"), ("apps/v1", "ReplicaSet"))
    }
    applied = pool.submit(api.ours, env.project.name, desired.objects, desired.namespaces)
    certificate = pool.submit(secret.look, api, env.folder, tls) if tls else None
    if since and stale(looks["Pod"].result, since):
        return resting(env)
    closed = pool.submit(forwards.closed, env.folder)  # not before: of a cluster that is not up it takes its time
    pods, sets, ours = looks["Pod"].result(), looks["ReplicaSet"].result(), applied.result()
    different = pool.submit(differences.look, api, desired.objects, ours)
    others = pool.submit(api.there, [o for o in desired.objects if o.id not in ours] if env.provider.shared else [])
    wanted = {o.id for o in desired.objects}
    return Observed(
        cluster=Cluster.RUNNING,
        node_images=on_node.result(),
        sources={id_: obj.source for id_, obj in ours.items()},
        living=ours,
        readiness=judged(api, desired, ours, pods, sets),
        ahead=pods_ahead(desired, ours, pods, sets),
        differences=different.result(),
        foreign=frozenset(obj.id for obj in others.result()),
        orphans=tuple(ours[id_] for id_ in sorted(ours.keys() - wanted) if not ours[id_].leaves),
        leaving=frozenset(id_ for id_, obj in ours.items() if obj.leaves),
        certificate=certificate.result() if certificate else None,
        forwards_hash=forwards.served_hash(env.folder),
        forwards_closed=closed.result(),
    )


def judged(
    api: Api, desired: Stack, ours: Mapping[Id, Object], pods: list[Object], sets: list[Object]
) -> dict[Id, Readiness]:
    """Return the readiness of what is awaited: with what Events tell of that which is not ready, and believed of that
    which is.
    """
    found = {o.id: verdict.of(str(o.id), ours.get(o.id), pods, sets) for o in desired.awaited}
    there = [ours[o.id] for o in desired.awaited if o.id in ours]
    unclear = [o for o in there if verdict.may_be_told_by_events(found[o.id])]
    events = api.events(sorted({o.id.namespace for o in unclear} - {""}))
    told = {o.id: verdict.with_events(found[o.id], o, verdict.parts(o, pods, sets), events) for o in unclear}
    clear = [o for o in there if o.id not in told]
    believed = {o.id: verdict.believed(found[o.id], o, verdict.parts(o, pods, sets), api.now) for o in clear}
    return found | told | believed


def pods_ahead(
    desired: Stack, ours: Mapping[Id, Object], pods: list[Object], sets: list[Object]
) -> dict[Id, tuple[Object, ...]]:
    """Return the workloads with pods that run other files than their image has."""
    there = [ours[o.id] for o in desired.workloads if o.id in ours]
    found = {o.id: tuple(p for p in verdict.parts(o, pods, sets) if ahead.of(p).files) for o in there}
    return {id_: some for id_, some in found.items() if some}


def covered(desired: Stack, pull: str, there: frozenset[str]) -> bool:
    return all(i.ref in there for i in desired.images.values() if i.source.pull == pull)


def starting(env: Environment, namespaces: Iterable[str]) -> str:
    """Return what a running node still lacks after a restart, as of Docker, or an empty string."""
    since = env.provider.started()
    if since is None:
        return ""
    return silent(env) or stale(lambda: env.api.objects("v1", "Pod", namespaces), since)


def silent(env: Environment) -> str:
    """Return why the API server cannot be asked yet, or an empty string."""
    try:
        env.provider.write_kubeconfig()
        return "" if client.answers(env.folder) else "the API server does not answer"
    except DevenvError as error:
        return str(error)


def stale(look: Callable[[], list[Object]], since: datetime) -> str:
    """Return which pods the API tells of as they were before a restart, or why it does not; or an empty string."""
    try:
        old = [p.id.name for p in look() if runs_since_before(p, since)]
    except DevenvError as error:
        return str(error)
    return f"{', '.join(old)}: not started again yet" if old else ""


def resting(env: Environment) -> Cluster:
    """Return the name for a cluster of ours that runs and is not up: what is long in coming does not come by itself."""
    since = env.provider.started()
    late = since is not None and datetime.now(UTC) - since > STARTS_WITHIN
    return Cluster.UNREACHABLE if late else Cluster.STARTING


def require_running(env: Environment, seen: Cluster | None = None) -> None:
    """Raise DevenvError, with the state by its name, where the cluster does not run, as it was `seen` or is now."""
    if (state := seen or env.provider.observe()) is not Cluster.RUNNING:
        raise not_running(env, state)


def require_answers(env: Environment, namespaces: Iterable[str] = ()) -> None:
    """Raise DevenvError, with the state by its name, where the cluster does not run or is not up again yet."""
    require_running(env)
    if lacks := starting(env, namespaces):
        raise not_running(env, resting(env), lacks)


def not_running(env: Environment, state: Cluster, why: str = "") -> DevenvError:
    said = f"cluster {env.project.name} {state.value}{f': {why}' if why else ''}"
    return DevenvError(f"{said}\nhint: {state.way_out}")


def at_rest(env: Environment) -> Cluster | None:
    """Return the state of a kind cluster whose node does not run, so that no forward can be open."""
    state = Cluster.RUNNING if env.provider.shared else env.provider.observe()
    return None if state is Cluster.RUNNING else state


def runs_since_before(pod: Object, moment: datetime) -> bool:
    """Whether the API says that a container of the pod runs since before a moment."""
    for container in readiness.status_of(pod).get("containerStatuses") or ():
        begun = (container.get("state", {}).get("running") or {}).get("startedAt")
        if begun and datetime.fromisoformat(str(begun)) < moment:
            return True
    return False


def forwards_open(env: Environment) -> Readiness:
    """Return whether every forward reaches a service that answers; without a living process none ever will."""
    if not forwards.served_hash(env.folder):
        return Readiness(Level.FAILED, "forwards", "no process serves them")
    closed = forwards.closed(env.folder)
    return Readiness(Level.PENDING if closed else Level.READY, "forwards", closed)


def forwards_proven(env: Environment) -> Readiness:
    """Return whether each local port was shown to lead to a pod of this cluster.

    The port is listened on by the forwards' own process, and a pod that this process leads to lives, with the same
    UID, in the cluster that we ask; or a local process has taken its place. What the forwards were not told yet, as
    just after their start, is PENDING.
    """
    seen = forwards.status(env.folder)
    if foreign := forwards.foreign_listeners(env.folder, seen):
        return Readiness(Level.FAILED, "forwards", "\n".join(foreign))
    pods = env.api.objects("v1", "Pod", sorted({f.namespace for f in seen}))
    living = {p.meta["uid"] for p in pods if not p.leaves}
    if who := attaching.holder(env.folder):  # in the place of pods
        living |= {who.uid} - {""}
    astray = [f.name for f in seen if not living & {pod.uid for pod in f.pods if pod.ready}]
    why = "\n".join(f"forward {name} leads to no pod of cluster {env.project.name}" for name in astray)
    return Readiness(Level.PENDING if astray else Level.READY, "forwards", why)


def look(api: Api, obj: Object) -> Readiness:
    """Return the readiness of one object, with the pods that tell why."""
    seen = api.get(obj)
    here = [obj.id.namespace]
    pods = api.objects("v1", "Pod", here) if seen and obj.runs else []
    sets = api.objects("apps/v1", "ReplicaSet", here) if seen and obj.kind == "Deployment" else []
    found = verdict.of(str(obj.id), seen, pods, sets)
    if seen is None:
        return found
    parts = verdict.parts(seen, pods, sets)
    if not verdict.may_be_told_by_events(found):
        return verdict.believed(found, seen, parts, api.now)
    events = api.events([obj.id.namespace] if obj.id.namespace else [])
    return verdict.with_events(found, seen, parts, events)


def counted(api: Api, job: Object) -> Readiness:
    """Return the readiness of a Job by its controller's word alone, which comes seconds after its pod has succeeded."""
    return verdict.of(str(job.id), api.get(job))


def patiently(look: Callable[[], Readiness]) -> Callable[[], Readiness]:
    """Return the look of a wait: a failure that may pass is PENDING to it until it has lasted."""
    patience = Patience()
    return lambda: patience.judged(look(), monotonic())


def parts(desired: Stack, env: Environment, names: Iterable[str]) -> list[Readiness]:
    """Return the readiness of objects and forwards by name. What the cluster cannot be asked about is not there yet."""
    served = {f"forward/{f.name}": f for f in forwards.status(env.folder)}
    objects, found = [], []
    for name in names:
        if not name.startswith("forward/"):
            objects.append(name)
            continue
        seen = served.get(name)
        state, reason = (seen.state, seen.reason) if seen else (LOST, "no process serves it")
        found.append(Readiness(Level.READY if state == OPEN else Level.PENDING, name, f"{state} {reason}".rstrip()))
    try:
        if objects:
            require_answers(env)
        found += [look(env.api, obj) for name in objects if (obj := find(desired.objects, name))]
    except DevenvError as error:  # an API server that has just started may also still refuse
        found += [Readiness(Level.ABSENT, name, str(error)) for name in objects]
    return found
