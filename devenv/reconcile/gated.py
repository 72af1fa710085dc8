"""Configuration that belongs to a gate: it changes once the gate has passed. Pure."""

from collections.abc import Collection

from devenv.kube.objects import Id, Object
from devenv.kube.readiness import Level
from devenv.project.stack import Stack
from devenv.reconcile.observed import Observed

CONFIGURATION = ("ConfigMap", "Secret")


def held(desired: Stack, changed: Collection[Id], observed: Observed) -> dict[Id, tuple[str, ...]]:
    """Return the configuration that waits for gates that are due, with the steps that it comes after.

    A pod of before that starts anew meanwhile, or after a gate has failed, finds what it was made for. So it is of what
    is there already, and only where all that read it wait for the same gates: then it waits for nothing that they do
    not wait for.
    """
    due = {o.id for o in desired.workloads if o.id in changed or not is_ready(o, observed)}
    waits = {o.id: tuple(f"ready {g.id}" for g in desired.gates_before(o) if g.id in due) for o in desired.workloads}
    found = {}
    for obj in desired.objects:
        if obj.kind in CONFIGURATION and obj.id in changed and obj.id in observed.sources:
            after = {waits.get(reader.id, ()) for reader in desired.objects if obj.id in reader.references}
            if len(after) == 1 and (needs := after.pop()):
                found[obj.id] = needs
    return found


def is_ready(obj: Object, observed: Observed) -> bool:
    seen = observed.readiness.get(obj.id)
    return seen is not None and seen.level is Level.READY
