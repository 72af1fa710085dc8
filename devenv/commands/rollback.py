"""devenv rollback: the pods of a workload as they were in a former revision."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass

from devenv.errors import DevenvError, UsageError
from devenv.kube import parts, revisions
from devenv.kube.objects import Document, Object
from devenv.kube.revisions import Revision
from devenv.project import manifests
from devenv.reconcile import changes, observe
from devenv.reconcile.actions import AwaitReady, SetTemplate, Step, reopened
from devenv.reconcile.changes import Change, Kind
from devenv.reconcile.environment import Environment
from devenv.reconcile.execute import Executor, OnEvent
from devenv.reconcile.handlers import Handlers
from devenv.system import state

SET_WITHIN_S = 30.0


@dataclass(frozen=True)
class History:
    """A workload as it is there, with its revisions, the oldest first; the last one is what runs."""

    workload: Object
    revisions: list[Revision]


def history(env: Environment, name: str) -> History:
    """Return the revisions that are kept of a part. Raise UsageError for one that has none by its kind."""
    objects = manifests.objects(env.settings)
    meant = parts.chosen([name], parts.of(objects))
    found = [o for o in objects if o.id in meant and o.kind in revisions.KEPT_BY]
    if len(found) != 1:
        kinds = ", ".join(revisions.KEPT_BY)
        raise UsageError(f"{', '.join(map(str, meant))}: only one {kinds} can be rolled back at a time")
    wanted = found[0]
    observe.require_answers(env, {wanted.id.namespace})
    if (living := env.api.get(wanted)) is None:
        raise DevenvError(f"{wanted.id} is not in the cluster\nhint: devenv up")
    kept = env.api.objects("apps/v1", revisions.KEPT_BY[wanted.kind], (wanted.id.namespace,))
    return History(living, revisions.of(living, kept))


def as_json(there: History) -> list[dict[str, object]]:
    last = there.revisions[-1:]
    return [
        {"revision": r.number, "made": r.made, "images": r.images, "cause": r.cause, "runs": r in last}
        for r in there.revisions
    ]


def difference(there: History, to: Revision) -> str:
    """Return what going back to a revision changes, as a unified diff."""
    after = with_template(there.workload, to.template)
    return changes.difference(Change(Kind.changed, there.workload, there.workload, after), f"revision {to.number}")


def with_template(workload: Object, template: Document) -> Object:
    raw = deepcopy(dict(workload.raw))
    raw["spec"]["template"] = template
    return Object(workload.id, raw)


def rollback(env: Environment, there: History, to: Revision, on_event: OnEvent, log: Callable[[str], None]) -> None:
    """Bring a revision's pods back and wait as `up` does. Where they do not become ready, those of now come back; the
    cause is raised, with what became of the workload.
    """
    id_ = there.workload.id
    with state.locked(env.folder, f"rollback {id_}", log):
        served = state.is_locked(env.folder.forwards_lock)
        executor = Executor(Handlers(env, f"devenv rollback {id_} {to.number}"), on_event)
        within_s = env.project.ready_within_s
        found = steps(there.workload, to, within_s, served)
        executor.perform_or(found, lambda: undo(executor, there, within_s))


def steps(workload: Object, to: Revision, within_s: float, served: bool) -> list[Step]:
    now = revisions.plain(workload.raw["spec"]["template"])
    cause = f"revision {to.number} is to run"
    begun = Step(
        f"roll back {workload.id}", SetTemplate(workload, to.template), cause, SET_WITHIN_S,
        undo=SetTemplate(workload, now),
    )  # fmt: skip
    found = [begun, Step(f"ready {workload.id}", AwaitReady(workload), cause, within_s, (begun.name,))]
    if served:
        found.append(reopened(found[1].name))
    return found


def undo(executor: Executor, there: History, within_s: float) -> str:
    """Bring back what ran before, and return what is to be said of that."""
    workload = there.workload
    if not any(step.undo for step in executor.begun):
        return "nothing was changed"
    try:
        executor.undo([Step(f"ready {workload.id}", AwaitReady(workload), "goes back", within_s)])
    except DevenvError as error:
        return f"bringing back what ran before failed too: {error}"
    return f"{workload.id} is what it was before"
