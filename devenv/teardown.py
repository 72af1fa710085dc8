"""The end of an environment: a kind cluster goes with all its data; from a cluster that exists goes what we applied."""

from collections.abc import Iterable

from devenv import forward, kind, manifest, observe, process, provider, provision, sources
from devenv.config import Settings
from devenv.errors import TimedOut
from devenv.kube import Api
from devenv.manifest import Document
from devenv.plan import Cluster
from devenv.readiness import Level, Readiness
from devenv.stack import namespace
from devenv.state import Folder
from devenv.wait import settle

GONE_WITHIN_S = 180.0  # pods have their grace period, volumes are let go
DATA = ("PersistentVolumeClaim", "PersistentVolume")  # goes only with a namespace of ours


def remove(settings: Settings, where: Folder) -> list[str]:
    """Remove everything of an environment and return what that was. A kind cluster's needs no network."""
    cluster, name = provider.of(settings, where), settings.project.name
    state = cluster.observe()
    gone = ["forwards"] if forward.stop(where) else []
    if cluster.shared:
        gone += remove_applied(settings, where)
    else:
        gone += [f"cluster {name} with its volumes"] if state is not Cluster.ABSENT else []
        kind.remove(name)
    where.remove()
    return gone


def remove_applied(settings: Settings, where: Folder) -> list[str]:
    """Remove from somebody's cluster what bears the environment's label; a namespace only if it does."""
    project, api = settings.project, observe.connect(settings, where)
    secured = provision.remove(api, where, project.tls) if project.tls else []
    documents = [manifest.at_home(d, project.namespace) for d in sources.documents(settings)]
    places = {manifest.place(d, project.namespace) for d in documents} - {""} | {project.namespace}
    ours = [s for s in api.there(namespace(p, {}) for p in sorted(places)) if manifest.is_ours(s, project.name)]
    spaces = {s["metadata"]["name"] for s in ours}
    found = api.ours(project.name, documents, sorted(places - spaces))
    # What lies in a namespace of ours goes with it.
    apart = [o for o in found if o["kind"] not in DATA and manifest.place(o, project.namespace) not in spaces]
    gone = [*sorted(apart, key=lambda o: o["kind"] in manifest.CLUSTER_SCOPED), *ours]
    for obj in gone:
        api.delete(obj)
    await_gone(api, gone)
    return [*secured, *map(manifest.key, gone)]


def await_gone(api: Api, objects: Iterable[Document]) -> None:
    """See the objects gone, with what they own. Raise TimedOut with those that stay."""
    left = list(objects)

    def gone() -> Readiness:
        names = ", ".join(manifest.key(o) for o in api.there(left))
        return Readiness(Level.PENDING if names else Level.READY, names, "is being deleted")

    seen = settle(gone, GONE_WITHIN_S, process.called_off())
    if seen.level is not Level.READY:
        raise TimedOut(f"{seen.what} is still being deleted after {GONE_WITHIN_S:.0f} s; run `devenv down` again")
