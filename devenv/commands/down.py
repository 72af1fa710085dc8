"""The end of an environment: a kind cluster goes with all its data; from a cluster that exists goes what we applied."""

from collections.abc import Callable
from contextlib import suppress

from devenv.certificates import secret
from devenv.cluster import kind
from devenv.cluster.state import Cluster
from devenv.errors import DevenvError, TimedOut
from devenv.kube.objects import KEPT, Object
from devenv.project import isolated, manifests
from devenv.project.stack import namespace
from devenv.reconcile import attaching, forwards, runs
from devenv.reconcile.environment import Environment
from devenv.reconcile.guards import removal
from devenv.reconcile.rollout import Waiter
from devenv.system import state
from devenv.system.cancel import Cancel

OPERATOR_WITHIN_S = 30.0  # to take its finalizer from a custom resource
GONE_WITHIN_S = 180.0  # pods have their grace period, volumes are let go


def down(env: Environment, log: Callable[[str], None]) -> list[str]:
    """Remove everything of the environment and return what that was. A kind cluster's needs no network."""
    name, phase = env.project.name, env.run.phase
    attaching.end(env.folder, log)
    with runs.kept(env.run, env.folder, "down", log), runs.locked(env.run, env.folder, "down", log):
        with phase("snapshot"):
            seen = env.provider.observe()
        with phase("forwards"):
            gone = ["forwards"] if forwards.stop(env.folder) else []
        if env.provider.shared:
            with phase("objects"):
                gone += remove_applied(env, log)
        else:
            gone += [f"cluster {name} with its volumes"] if seen is not Cluster.ABSENT else []
            with phase("cluster"):
                kind.remove(name)
        env.folder.remove()
        if env.settings.isolation:
            isolated.forget(env.settings.isolation)
        state.remove_lock(env.folder)
    return gone


def manifests_left(env: Environment, log: Callable[[str], None]) -> list[Object]:
    """Return the manifests' objects, or none where they cannot be read any more: our labels tell what is ours."""
    try:
        return manifests.objects(env.settings)
    except DevenvError as error:
        log(f"going by devenv's labels alone, for the manifests cannot be read: {error}")
        return []


def remove_applied(env: Environment, log: Callable[[str], None]) -> list[str]:
    """Remove from a shared cluster what has the environment's label; a namespace only if it has it."""
    project, api = env.project, env.api
    waiter = Waiter(env, Cancel(), "devenv down")
    secured = secret.remove(api, env.folder, project.tls, waiter.delete) if project.tls else []
    objects = manifests_left(env, log)
    places = {o.id.namespace for o in objects if api.is_namespaced(o)} | {project.namespace}
    places |= {o.id.name for o in objects if o.kind == "Namespace"}
    ours = [s for s in api.there(namespace(p, {}) for p in sorted(places)) if s.is_ours(project.name)]
    spaces = {s.id.name for s in ours}
    found = api.ours(project.name, objects, places - spaces).values()
    # What lies in a namespace of ours goes with it, and what is KEPT goes no other way.
    apart = [o for o in found if o.kind not in KEPT and not (api.is_namespaced(o) and o.id.namespace in spaces)]
    # But a custom resource that goes with it is not to outlive its operator.
    apart += [o for o in found if o.is_custom and o not in apart]
    tiers = removal([*apart, *ours])
    for tier in tiers:
        # Namespaces come last: nothing apart is to be looked for in one that is gone.
        for obj in sorted(tier, key=lambda o: (o in ours, not api.is_namespaced(o))):
            api.delete(obj)
        if tier is not tiers[-1]:
            with suppress(TimedOut):  # an operator that does not do its part is told of at the end
                waiter.await_gone(tier, OPERATOR_WITHIN_S)
    gone = [obj for tier in tiers for obj in tier]
    waiter.await_gone(gone, GONE_WITHIN_S)
    return [*secured, *(str(o.id) for o in gone)]
