"""What a local process that took a workload's place has left to undo, as steps of a plan. Pure."""

from collections.abc import Iterable, Iterator

from devenv.kube import attachment
from devenv.kube.attachment import TOOK, Record
from devenv.kube.objects import Id, Object
from devenv.reconcile.actions import DeleteObject, Detach, Step
from devenv.reconcile.observed import Observed

DETACH_WITHIN_S = 30.0


def records(observed: Observed) -> dict[Id, Record]:
    """Return the workloads whose place a local process has taken, each with what it was."""
    found = {id_: attachment.record_of(obj) for id_, obj in sorted(observed.living.items()) if not obj.leaves}
    return {id_: record for id_, record in found.items() if record}


def steps(observed: Observed) -> Iterator[Step]:
    """Yield the steps that give places back. What led the traffic to the process goes at once, for nobody is there."""
    dropped = {obj.id for obj in observed.orphans}
    for id_, record in records(observed).items():
        if id_ not in dropped:
            action = Detach(observed.living[id_])
            yield Step(f"detach {id_}", action, str(record), DETACH_WITHIN_S, ("cluster",))
    for obj in (o for o in observed.orphans if attachment.is_part(o)):
        yield Step(f"delete {obj.id}", DeleteObject(obj), TOOK, DETACH_WITHIN_S, ("cluster",))


def others(orphans: Iterable[Object]) -> tuple[Object, ...]:
    """Return what is no longer in the manifests, but what was made for a local process."""
    return tuple(obj for obj in orphans if not attachment.is_part(obj))
