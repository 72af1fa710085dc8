"""The parts of an environment, as a person names them, and what belongs to each: its pods, all that it makes. Pure."""

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace

from devenv.errors import UsageError
from devenv.kube.objects import SHORT, Document, Id, Object
from devenv.kube.readiness import conditions

DEFAULT = "kubectl.kubernetes.io/default-container"  # an annotation of a pod
MADE_BY_AT_MOST = 5  # owners between a pod and its part: ReplicaSet, or Job, and what an operator has between
Lookup = Callable[[Document, str], Object | None]  # an owner's reference, in a namespace
# What controllers make names of (k8s.io/apimachinery, pkg/util/rand): no vowels, nothing that looks like another.
RANDOM = "[bcdfghjklmnpqrstvwxz2456789]"
HASH, WORD = f"{RANDOM}{{1,10}}", f"{RANDOM}{{5}}"
# The names that controllers give to what they make for NAME, by the kinds of both.
MADE = {
    ("Deployment", "ReplicaSet"): f"NAME-{HASH}",
    ("Deployment", "Pod"): f"NAME-{HASH}-{WORD}",
    ("StatefulSet", "Pod"): r"NAME-\d+",
    ("StatefulSet", "PersistentVolumeClaim"): r".+-NAME-\d+",
    ("DaemonSet", "Pod"): f"NAME-{WORD}",
    ("ReplicaSet", "Pod"): f"NAME-{WORD}",
    ("ReplicationController", "Pod"): f"NAME-{WORD}",
    ("Job", "Pod"): rf"NAME-(\d+-)?{WORD}",
    ("CronJob", "Job"): r"NAME-\d+",
    ("CronJob", "Pod"): rf"NAME-\d+-(\d+-)?{WORD}",
}


def of(objects: Iterable[Object]) -> tuple[Id, ...]:
    """Return what has pods or may have some, by name: workloads, and custom resources, whose operators make them."""
    return tuple(sorted((o.id for o in objects if o.runs or o.is_custom), key=str))


def chosen(names: Sequence[str], parts: Sequence[Id]) -> tuple[Id, ...]:
    """Return the parts of these names, all where there is none: `deployment/api`, `deploy/api` or just `api`.

    Raise UsageError for a name that no part has, with those that there are.
    """
    if unknown := [name for name in names if not any(is_named(part, name) for part in parts)]:
        there = ", ".join(map(str, parts)) or "none"
        raise UsageError(f"nothing here is named {', '.join(unknown)}; there are: {there}")
    return tuple(part for part in parts if not names or any(is_named(part, name) for name in names))


def is_named(part: Id, name: str) -> bool:
    kind, slash, rest = name.partition("/")
    full = f"{SHORT.get(kind, kind)}/{rest}" if slash else f"{part.kind.lower()}/{name}"
    return full in {str(replace(part, home=home)) for home in (part.namespace, "")}  # without and with its namespace


def part_of(obj: Object, parts: Collection[Id], lookup: Lookup) -> Id | None:
    """Return the part that an object is, or that owns it, whatever is between; None for what is of no part."""
    for _ in range(MADE_BY_AT_MOST):
        if obj.id in parts:
            return next(part for part in parts if part == obj.id)
        owners = obj.meta.get("ownerReferences") or ()
        if not (owner := next((o for o in owners if o.get("controller")), None)):
            return None
        id_ = id_of(owner, obj.id.namespace)
        if id_ in parts:
            return next(part for part in parts if part == id_)
        if not (found := lookup(owner, obj.id.namespace)):
            return None
        obj = found
    return None


def id_of(reference: Document, namespace: str) -> Id:
    """Return the identity of what a document refers to by `apiVersion`, `kind` and `name`."""
    group, _, _ = str(reference.get("apiVersion", "")).rpartition("/")
    return Id(group, str(reference.get("kind")), namespace, str(reference.get("name")))


def best(pods: Iterable[Object]) -> Object | None:
    """Return the pod to go into: one that runs, rather a ready one, rather the newest; None where none runs."""
    running = (p for p in pods if (p.raw.get("status") or {}).get("phase") == "Running" and not p.leaves)
    return max(running, key=lambda p: ("Ready" in conditions(p), str(p.meta.get("creationTimestamp"))), default=None)


def container(pod: Object, wanted: str | None) -> str:
    """Return the container of a pod that is meant: the one of this name, or the one that the pod says, or its first.

    Raise UsageError for a name that none has, with those that there are.
    """
    names = [str(c["name"]) for c in pod.raw["spec"]["containers"]]
    if wanted is not None and wanted not in names:
        raise UsageError(f"{pod.id} has no container {wanted}; there are: {', '.join(names)}")
    said = (pod.meta.get("annotations") or {}).get(DEFAULT)
    return wanted or (said if said in names else names[0])


def made_by(part: Id, id_: Id) -> bool:
    """Whether something is a part, or was made for it, which its name tells also when it is gone."""
    if part == id_:
        return True
    pattern = MADE.get((part.kind, id_.kind), "").replace("NAME", re.escape(part.name))
    return part.namespace == id_.namespace and bool(pattern and re.fullmatch(pattern, id_.name))
