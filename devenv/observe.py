"""What is there: one snapshot of the Docker host, the cluster, its objects and the forwards. Changes nothing."""

import shutil
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from devenv import docker_host, forward, images, manifest, provider, provision, readiness, state
from devenv.config import Settings
from devenv.errors import DevenvError
from devenv.kube import NAMESPACED, Api
from devenv.manifest import Document
from devenv.plan import SOMEBODY, Cluster, Observed, change
from devenv.readiness import Level, Object, Readiness
from devenv.stack import Stack
from devenv.state import Folder

# What a first build writes: node image, stack images, layers in the cache; and what a warm start needs.
FIRST_BUILD_BYTES, WARM_BYTES = 12 << 30, 2 << 30


def snapshot(want: Stack, where: Folder, unseen: frozenset[str] = frozenset()) -> Observed:
    """Return what is there of what is wanted, but the images of the host that are to be taken for missing.

    Raise DevenvError for a cluster that is not ours.
    """
    project, found = want.settings.project, provider.of(want.settings, where)
    # The clients of Docker and of Kubernetes share a library whose modules import each other in a circle: two threads
    # that begin with it at once would see halves of it.
    docker_host.client()
    with ThreadPoolExecutor() as pool:
        host_images = pool.submit(lambda: docker_host.image_refs() - unseen)
        cluster = pool.submit(found.observe)
        refs = [i.source.pull for i in want.images.values() if i.source.pull]
        missing = [r for r in refs if not covered(want, r, host_images.result())]
        answers = dict(zip(missing, pool.map(images.registry_answers, missing), strict=True))
        if cluster.result() is not Cluster.RUNNING:
            return Observed(host_images.result(), answers, cluster.result())
        if starting(want, where):
            return Observed(host_images.result(), answers, Cluster.STOPPED)
        on_node = pool.submit(found.images, [want.ref(name) for name in want.wanted_images])
        api = connect(want.settings, where)
        ours = {manifest.key(obj): obj for obj in api.ours(project.name, want.objects, want.namespaces)}
        others = api.there([o for o in want.objects if manifest.key(o) not in ours]) if found.shared else ()
        pods = api.objects("v1", "Pod", want.namespaces)
        sets = api.objects("apps/v1", "ReplicaSet", want.namespaces)
        runs = [manifest.key(o) for o in want.objects if o["kind"] in manifest.RUNS]
        return Observed(
            host_images=host_images.result(),
            registries=answers,
            cluster=Cluster.RUNNING,
            node_images=on_node.result(),
            sources={key: manifest.source(obj) for key, obj in ours.items()},
            readiness={key: readiness.of(key, ours.get(key), pods, sets) for key in runs},
            foreign=frozenset(manifest.key(obj) for obj in others),
            strays=tuple(sorted(ours.keys() - {manifest.key(o) for o in want.objects})),
            certificate=provision.look(api, where, project.tls) if project.tls else None,
            forwards_hash=forward.served_hash(where),
            forwards_closed=forward.closed(where),
        )


def covered(want: Stack, pull: str, there: frozenset[str]) -> bool:
    return all(i.ref in there for i in want.images.values() if i.source.pull == pull)


def starting(want: Stack, where: Folder) -> str:
    """Return what a running node still lacks after a start of its own, as when Docker was restarted; or nothing."""
    since = provider.of(want.settings, where).started()
    if since is None:
        return ""
    try:
        api = connect(want.settings, where)
        if not api.answers():
            return "the API server does not answer"
        pods = api.objects("v1", "Pod", want.namespaces)
        old = [p["metadata"]["name"] for p in pods if runs_since_before(p, since)]
    except DevenvError as error:
        return str(error)
    return f"{', '.join(old)}: not started again yet" if old else ""


def runs_since_before(pod: Document, moment: datetime) -> bool:
    """Whether the API says that a container of the pod runs since before a moment."""
    for container in pod.get("status", {}).get("containerStatuses") or ():
        begun = (container.get("state", {}).get("running") or {}).get("startedAt")
        if begun and datetime.fromisoformat(str(begun)) < moment:
            return True
    return False


def connect(settings: Settings, where: Folder) -> Api:
    """Return a connection to the cluster's API; a kubeconfig that was lost, or that its owner renewed, is made anew."""
    provider.of(settings, where).write_kubeconfig()
    return Api(where, settings.project.namespace)


def proven(settings: Settings, where: Folder) -> Readiness:
    """Return whether each local port was shown to lead to a pod of this cluster.

    The port is listened on by the forwards' own process, and a pod that this process leads to lives, with the same
    UID, in the cluster that we ask. What the process was not told yet, as just after its start, is PENDING.
    """
    forwards = forward.status(where)
    if usurped := forward.usurped(where, forwards):
        return Readiness(Level.FAILED, "forwards", "\n".join(usurped))
    pods = connect(settings, where).objects("v1", "Pod", sorted({f["namespace"] for f in forwards}))
    living = {p["metadata"]["uid"] for p in pods if is_living(p)}
    astray = [f["name"] for f in forwards if not living & {pod["uid"] for pod in f["pods"] if pod["ready"]}]
    why = "\n".join(f"forward {name} leads to no pod of cluster {settings.project.name}" for name in astray)
    return Readiness(Level.PENDING if astray else Level.READY, "forwards", why)


def is_living(pod: Document) -> bool:
    return not pod["metadata"].get("deletionTimestamp")


def look(api: Api, obj: Document) -> Readiness:
    """Return the readiness of one object, with the pods that tell why."""
    seen = api.get(obj)
    here = [obj["metadata"].get("namespace", api.namespace)]
    pods: Iterable[Object] = api.objects("v1", "Pod", here) if seen else ()
    sets = api.objects("apps/v1", "ReplicaSet", here) if seen and obj["kind"] == "Deployment" else ()
    return readiness.of(manifest.key(obj), seen, pods, sets)


def parts(want: Stack, where: Folder, names: Iterable[str]) -> list[Readiness]:
    """Return the readiness of objects and forwards by name. What the cluster cannot be asked about is not there yet."""
    forwards = {f"forward/{f['name']}": f for f in forward.status(where)}
    objects, found = [], []
    for name in names:
        if not name.startswith("forward/"):
            objects.append(name)
            continue
        seen = forwards.get(name, {"state": "LOST", "reason": "no process serves it"})
        level = Level.READY if seen["state"] == "OPEN" else Level.PENDING
        found.append(Readiness(level, name, f"{seen['state']} {seen['reason']}".rstrip()))
    try:
        if objects and provider.of(want.settings, where).observe() is not Cluster.RUNNING:
            raise DevenvError("the cluster does not run")
        api = connect(want.settings, where) if objects else None
        found += [look(api, want.object(name)) for name in objects if api]
    except DevenvError as error:  # an API server that has just started may also still refuse
        found += [Readiness(Level.ABSENT, name, str(error)) for name in objects]
    return found


def stray(key: str) -> Document:
    """Return what names a stray object to the API."""
    kinds = {kind.lower(): kind for kind in NAMESPACED}
    lower, _, rest = key.partition("/")
    name, _, elsewhere = rest.partition("@")
    meta = {"name": name, **({"namespace": elsewhere} if elsewhere else {})}
    return {"apiVersion": NAMESPACED[kinds[lower]], "kind": kinds[lower], "metadata": meta}


def refusals(want: Stack, have: Observed, where: Folder) -> None:
    """Raise DevenvError, before anything is changed, for taken ports, lost passwords or a full disk."""
    faults = [] if state.is_locked(where.forwards_lock) else forward.taken_ports(want.forwards)
    shared = provider.of(want.settings, where).shared
    if want.env_text is not None and (have.sources if shared else have.cluster in (Cluster.RUNNING, Cluster.STOPPED)):
        faults.append(
            f"{want.settings.project.env_file} is gone, and the cluster's data was made with its passwords: "
            f"put it back (kubectl get secrets has them), or begin anew: devenv down"
        )
    faults += [f"{manifest.key(o)} {SOMEBODY}; it is left alone" for o in want.objects if change(o, have) == SOMEBODY]
    if shortage := disk_shortage(want, have):
        faults.append(shortage)
    if faults:
        raise DevenvError("\n".join(faults))


def disk_shortage(want: Stack, have: Observed) -> str:
    """Return what to say where the daemon's disk has too little room for what is left to make, or nothing."""
    root = docker_host.root_dir()
    if not root.exists() or have.cluster is Cluster.RUNNING:
        return ""
    first = any(want.images[n].ref not in have.host_images for n in want.roots)
    needed, free = FIRST_BUILD_BYTES if first else WARM_BYTES, shutil.disk_usage(root).free
    if free >= needed:
        return ""
    return (
        f"{root}: {free / 1e9:.1f} GB free, {needed / 1e9:.0f} GB needed; make room (docker system df shows what "
        f"Docker holds), or give Docker another data-root"
    )
