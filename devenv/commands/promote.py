"""devenv promote: look at an environment, and bring it to new images by one reviewed path."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime

from devenv.errors import CommandFailed, DevenvError, Forbidden, UsageError
from devenv.kube import lease, overrides
from devenv.kube.api import Api
from devenv.kube.objects import Object, prepared, reference
from devenv.project.manifests import parsed
from devenv.project.settings import Settings
from devenv.reconcile import changes as review
from devenv.reconcile import promotion
from devenv.reconcile.actions import AwaitReady, Step
from devenv.reconcile.changes import Change, Kind
from devenv.reconcile.environment import Environment
from devenv.reconcile.execute import Executor, OnEvent
from devenv.reconcile.handlers import Handlers
from devenv.system import process
from devenv.system.digest import of_value

RENDERED_WITHIN_S = 60.0


@dataclass(frozen=True)
class Promotion:
    """What a promotion would do to an environment, as its cluster was asked."""

    name: str
    changes: tuple[Change, ...]
    checks: tuple[str, ...]
    ignored: tuple[str, ...]  # images that the environment does not run
    replaced: tuple[str, ...] = ()  # files that stay replaced by its ConfigMap (`devenv override`), each with why

    @property
    def does(self) -> bool:
        """Whether anything is to be done but to see that all is well."""
        return review.does(self.changes, self.checks)


def render(settings: Settings, name: str, references: Sequence[str]) -> tuple[list[Object], list[str]]:
    """Return the objects of an environment with these images, and the images that it does not run."""
    environment = settings.environment(name)
    known = {*settings.project.images, *environment.images}
    taken, ignored = review.select_images(references, environment.images, known, environment.registry)
    command, *words = environment.render
    own = settings.path(command)  # a script of the project; else a program on PATH
    argv = [str(own) if own.is_file() else process.find(command), *words, *taken]
    try:
        printed = process.run(argv, cwd=settings.root, within_s=RENDERED_WITHIN_S)
    except CommandFailed as error:
        raise UsageError(f"environment {name} cannot be rendered: {error.output}") from error
    source = f"environment {name}: the output of {' '.join(environment.render)}"
    if not (objects := parsed({source: printed}, environment.namespace)):
        raise UsageError(f"{source} has no objects")
    if loose := review.loose_images(objects):
        raise UsageError(f"environment {name} runs images that are not named by a digest: {', '.join(loose)}")
    if unused := review.unused_images(objects, taken):
        raise UsageError(f"{source} does not run the images that it was given: {', '.join(unused)}")
    if unknown := set(environment.checks) - {str(o.id) for o in objects}:
        raise UsageError(f"environment {name}: checks: {', '.join(sorted(unknown))}: no such object")
    return prepared(objects, label(settings, name)), ignored


def label(settings: Settings, name: str) -> str:
    """Return the name by which the cluster knows what was applied for an environment; that of no `up` has a dot."""
    whole = f"{settings.project.name}.{name}"
    # A label's value has 63 characters at most (Kubernetes, "Labels and Selectors").
    return whole if len(whole) <= 63 else f"{whole[:54]}.{of_value(whole)[:8]}"


def look(
    env: Environment, name: str, references: Sequence[str], prune: bool = False, take_over: bool = False
) -> Promotion:
    """Ask the cluster what would change. Changes nothing; raises DevenvError for what could not be applied, and for
    what somebody else has made, unless it is to `take_over`.

    With `prune`, what an earlier release applied and this one has not is to go.
    """
    objects, ignored = render(env.settings, name, references)
    checks = env.settings.environment(name).checks
    changes = review.jobs_due([change(env.api, obj) for obj in objects], checks)
    if faults := [c.note for c in changes if c.kind is Kind.left and not review.is_as_applied(c)]:
        raise Forbidden("these credentials may not make all changes, and none was made:\n" + "\n".join(faults))
    if not take_over and (theirs := [c.name for c in changes if review.is_theirs(c)]):
        raise DevenvError(
            f"not applied by devenv for {name}, and nothing was changed: {', '.join(theirs)}\n"
            f"hint: look at them with --take-over --dry-run, and pass --take-over to make them the release's own"
        )
    if missing := missing_secrets(env.api, objects):
        raise DevenvError(
            f"namespace {env.project.namespace} lacks {', '.join(missing)}: create the missing secrets first; "
            f"nothing was changed\nhint: kubectl -n {env.project.namespace} create secret generic NAME …"
        )
    rendered = {env.api.key(obj) for obj in objects}
    # What these credentials may not list is an administrator's, and so is whether it goes.
    there = env.api.ours(label(env.settings, name), (), [env.project.namespace])
    kind = Kind.pruned if prune else Kind.dropped
    dropped = [obj for _, obj in sorted(there.items()) if env.api.key(obj) not in rendered]
    changes += [Change(kind, obj, obj) for obj in dropped]
    return Promotion(name, tuple(changes), checks, tuple(ignored), tuple(replaced(env.settings, changes)))


def replaced(settings: Settings, changes: Iterable[Change]) -> list[str]:
    """Return the files that a release would leave replaced."""
    if (table := settings.project.overrides) is None:
        return []
    today = datetime.now(UTC).date()
    places = (c for c in changes if (c.wanted.kind, c.wanted.id.name) == ("ConfigMap", table.config_map))
    return [one.said(today) for c in places for one in overrides.in_force(c.before, c.wanted)]


def change(api: Api, wanted: Object) -> Change:
    try:
        before = api.get(wanted)
    except Forbidden as error:
        return Change(Kind.runs if wanted.kind == "Job" else Kind.unseen, wanted, note=str(error))
    if wanted.kind == "Job":
        return review.job(wanted, before)
    try:
        return review.compared(wanted, before, api.preview(wanted))
    except Forbidden as error:
        return Change(Kind.left, wanted, before, note=str(error))


def missing_secrets(api: Api, objects: Iterable[Object]) -> list[str]:
    """Return the Secrets that pods cannot start without and that are not there, as far as we may ask."""
    try:
        wanted = [reference("v1", "Secret", id_.name, id_.namespace) for id_ in review.secrets(objects)]
        return [str(secret.id) for secret in wanted if api.get(secret) is None]
    except Forbidden:
        return []  # a deployer may not read Secrets; a pod that lacks one says so when it starts


def alone(env: Environment, name: str, log: Callable[[str], None]) -> AbstractContextManager[None]:
    """Promote an environment from one place at a time, on whatever machine."""
    return lease.held(env.api, f"devenv-{label(env.settings, name)}", f"devenv promote {name}", log)


def carry_out(env: Environment, what: Promotion, within_s: float, on_event: OnEvent) -> None:
    """Run the Jobs, roll out, check. Raise the cause of a failure, with what became of the environment then."""
    executor = Executor(Handlers(env, f"devenv promote {what.name}"), on_event)
    plan = promotion.make_plan(what.changes, what.checks, within_s)
    executor.perform_or(plan, lambda: undo(executor, what, within_s))


def undo(executor: Executor, what: Promotion, within_s: float) -> str:
    """Bring what was changed back to what it was, and return what is to be said of that."""
    begun = {step.name for step in executor.begun}
    applied = [c for c in what.changes if f"apply {c.name}" in begun]
    back = [c for c in reversed(applied) if c.kind is Kind.changed]
    ready = [Step(f"ready {w.id}", AwaitReady(w), "goes back", within_s) for w in promotion.workloads(back)]
    try:
        executor.undo(ready)
    except DevenvError as error:
        return f"undoing it failed too: {error}"
    said = ["undone: " + ", ".join(c.name for c in back)] if back else ["nothing that ran was changed"]
    if left := [c.name for c in applied if c.kind is Kind.new]:
        said.append(f"new, and left: {', '.join(left)}")
    return "; ".join(said) + ". What a migration did is not undone"
