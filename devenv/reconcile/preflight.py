"""What would go wrong, told before anything is changed: taken ports, lost passwords, a full disk."""

import shutil
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from devenv.certificates import rules
from devenv.cluster.state import Cluster
from devenv.errors import DevenvError
from devenv.images import daemon
from devenv.kube import pods
from devenv.kube.objects import CHECKOUT, Id, Object
from devenv.project.stack import Stack
from devenv.reconcile import attaching, forwards, node_ports, replacing
from devenv.reconcile.environment import Environment
from devenv.reconcile.observed import Differences, Observed
from devenv.reconcile.plan import NOT_OURS, changed_objects

# Read only when the data is made (the official images of Postgres, MySQL, MariaDB and MongoDB).
INITIAL = ("POSTGRES_", "MYSQL_", "MARIADB_", "MONGO_INITDB_")
# What a first build writes: node image, stack images, layers in the cache; and what a warm start needs.
FIRST_BUILD_BYTES, WARM_BYTES = 12 << 30, 2 << 30


def check(desired: Stack, observed: Observed, env: Environment, take_over: bool = False) -> None:
    """Raise DevenvError, before anything is changed, with everything that stands in the way.

    With `take_over` a cluster that another checkout has made may be this one's from now on.
    """
    faults = forwards.newly_taken(env.folder, desired.forwards)
    if who := attaching.holder(env.folder):
        faults.append(f"{who} is under way\nhint: end it first, by Ctrl-C: it gives the place back")
    made = observed.cluster is Cluster.RUNNING or observed.cluster.rests
    if desired.env_text is not None and (observed.sources if env.provider.shared else made):
        faults.append(
            f"{env.project.env_file} is gone, and the cluster's data was made with its passwords: "
            f"put it back (kubectl get secrets has them), or start over with `devenv down`"
        )
    if not take_over and (owner := other_checkout(desired, observed)):
        faults.append(
            f"cluster {env.project.name} belongs to {owner}: pass --take-over to make it that of this checkout, "
            f"or give it a name of its own (DEVENV_NAME)"
        )
    changed = changed_objects(desired.objects, observed)
    faults += refused(observed.differences)
    faults += replacing.faults(observed)
    faults += [f"{id_} {why}; refusing to overwrite it" for id_, why in changed.items() if why == NOT_OURS]
    tls, seen = env.project.tls, observed.certificate
    if tls and seen and (why := rules.obstacle(tls.issuer, seen)):
        faults.append(
            f"secret/{tls.secret} {why}, and is not managed by devenv; refusing to overwrite it\n"
            f"hint: `devenv tls up` replaces it"
        )
    if env.provider.public:
        faults += public_services(desired.objects, env.project.existing.load_balancers)
    if not env.project.context:
        faults += node_ports.faults(desired.objects)
    faults += locked_out(desired.objects, observed.living)
    if shortage := disk_shortage(desired, observed):
        faults.append(shortage)
    if faults:
        raise DevenvError("\n".join(faults))


def refused(differences: Differences) -> list[str]:
    """Return what to say of changes that the API server does not take, and of those that would cost data."""
    return [
        *(f"{id_} is not valid: {why}" for id_, why in differences.invalid.items()),
        *(
            f"{id_} cannot be changed in place, and may hold data: {why}\n"
            f"hint: undo the change, or run `devenv up --replace {id_}`, which makes it anew: what it holds is lost"
            for id_, why in differences.kept.items()
        ),
    ]


def other_checkout(desired: Stack, observed: Observed) -> str:
    """Return the folder of another project that the cluster belongs to, or an empty string."""
    if desired.settings.project.context:
        return ""
    home = desired.settings.project.namespace
    spaces = (o for id_, o in observed.living.items() if (id_.kind, id_.name) == ("Namespace", home))
    owners = {str((o.meta.get("annotations") or {}).get(CHECKOUT, "")) for o in spaces}
    return next(iter(owners - {"", str(desired.settings.root)}), "")


def public_services(objects: Iterable[Object], allowed: Collection[str]) -> list[str]:
    """Return what to say of Services that would get an address of the provider's, which may be open to everybody."""
    return [
        f"{obj.id} is of type LoadBalancer: on this cluster it would get an address that others may reach\n"
        f"hint: give the manifests for such clusters another type (existing.manifests in [tool.devenv]), or name it in "
        f"existing.load-balancers"
        for obj in objects
        if obj.is_balanced and obj.id.name not in allowed
    ]


def locked_out(objects: Iterable[Object], living: Mapping[Id, Object]) -> list[str]:
    """Return what to say of databases whose data was made with other values than their Secrets are to have."""
    wanted = {obj.id: obj for obj in objects}
    made = [o for o in wanted.values() if o.kind == "StatefulSet" and o.id in living and claims(o)]
    faults = []
    for database in made:
        for variable, name, key in pods.variables(database.raw):
            id_ = replace(database.id, group="", kind="Secret", name=name)
            if id_ not in wanted or id_ not in living:
                continue
            new, old = (found[id_].raw.get("data") or {} for found in (wanted, living))
            faults += [
                f"secret/{name}: another {k} than the data of {database.id} was made with would lock its clients out: "
                f"put the former value back, change it in the database first, or start over with `devenv down`"
                for k in ([key] if key else sorted(new))
                if (variable if key else f"{variable}{k}").startswith(INITIAL) and k in old and old[k] != new.get(k)
            ]
    return faults


def claims(obj: Object) -> bool:
    return bool((obj.raw.get("spec") or {}).get("volumeClaimTemplates"))


def disk_shortage(desired: Stack, observed: Observed) -> str:
    """Return what to say where the daemon's disk has too little room for what is left to make, or an empty string."""
    root = daemon.root_dir()
    if not root.exists() or observed.cluster is Cluster.RUNNING:
        return ""
    first = any(desired.images[n].ref not in observed.host_images for n in desired.roots)
    needed, free = FIRST_BUILD_BYTES if first else WARM_BYTES, shutil.disk_usage(root).free
    if free >= needed:
        return ""
    return (
        f"{root}: {free / 1e9:.1f} GB free, {needed / 1e9:.0f} GB needed; make room (docker system df shows what "
        f"Docker holds), or give Docker another data-root"
    )
