"""What a person wants made anew, and what goes or begins again with it. Pure."""

from collections.abc import Iterable, Iterator, Mapping

from devenv.errors import UsageError
from devenv.kube import pods
from devenv.kube.objects import Id, Object, find
from devenv.project.stack import Stack
from devenv.reconcile.actions import AwaitReady, Step
from devenv.reconcile.observed import Observed

CLAIM, VOLUME, DEFINITION = "PersistentVolumeClaim", "PersistentVolume", "CustomResourceDefinition"


def named(desired: Stack, names: Iterable[str]) -> frozenset[Id]:
    """Return the objects that are meant. Raise UsageError for a name of none, and for a namespace."""
    found = set()
    for name in names:
        if (obj := find(desired.objects, name)) is None:
            raise UsageError(f"--replace {name}: no such object in the manifests\nhint: KIND/NAME, as in a plan")
        if obj.kind == "Namespace":
            raise UsageError(f"--replace {name}: a namespace goes with all that is in it\nhint: devenv down")
        found.add(obj.id)
    return frozenset(found)


def begun_again(desired: Stack, observed: Observed) -> dict[Id, str]:
    """Return why objects are applied although they have not changed: custom resources go with their definition, and
    what a gate has made goes with the data.
    """
    asked = [o for o in desired.objects if o.id in observed.differences.asked]
    lost = next((str(o.id) for o in asked if o.kind in (CLAIM, VOLUME)), "")
    gates = {gate.id: f"what it made may be gone with {lost}" for gate in desired.gates if lost}
    return gates | {o.id: f"goes with {crd.id}" for crd in asked for o in desired.objects if is_defined(o, crd)}


def is_defined(obj: Object, definition: Object) -> bool:
    """Whether a definition is that of an object's kind."""
    if definition.kind != DEFINITION:
        return False
    spec = definition.raw.get("spec") or {}
    return (obj.id.group, obj.kind) == (spec.get("group"), (spec.get("names") or {}).get("kind"))


def held(desired: Stack, observed: Observed) -> dict[Id, tuple[str, ...]]:
    """Return the steps that objects come after: a custom resource after its definition, a volume after the claims that
    hold it.
    """
    asked = [o for o in desired.objects if o.id in observed.differences.asked]
    claims = tuple(f"replace {o.id}" for o in asked if o.kind == CLAIM)
    found = {o.id: claims for o in asked if o.kind == VOLUME and claims}
    return found | {o.id: (f"replace {crd.id}",) for crd in asked for o in desired.objects if is_defined(o, crd)}


def waits(desired: Stack, observed: Observed, changed: Mapping[Id, str], within_s: float) -> Iterator[Step]:
    """Yield the steps that see workloads ready whose pods go with a claim."""
    claims = [o for o in desired.objects if o.kind == CLAIM and o.id in observed.differences.asked]
    for obj in (o for o in desired.workloads if o.id not in changed):
        if needs := tuple(f"replace {claim.id}" for claim in claims if mounts(obj, claim)):
            yield Step(f"ready {obj.id}", AwaitReady(obj), "its pods are replaced", within_s, needs)


def mounts(obj: Object, claim: Object) -> bool:
    """Whether pods of an object, or it itself, have a claim among their volumes."""
    return obj.id.namespace == claim.id.namespace and claim.id.name in pods.claims(obj.raw)


def faults(observed: Observed) -> list[str]:
    """Return what to say of volumes that would wait for a claim which stays."""
    asked, found = observed.differences.asked, list[str]()
    for id_ in sorted(i for i in asked if i.kind == VOLUME and i in observed.living):
        bound = (observed.living[id_].raw.get("spec") or {}).get("claimRef") or {}
        claim = Id("", CLAIM, str(bound.get("namespace", "")), str(bound.get("name", "")), id_.home)
        if claim.name and claim not in asked and claim in observed.living:
            found.append(f"{id_} is held by {claim}, which stays\nhint: --replace {claim} too")
    return found
