"""devenv promote, apart from printing: look at an environment, and bring it to new images by one reviewed path."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial

from devenv import execute, manifest, observe, process, promotion, rollout, state
from devenv.acts import Act, Step
from devenv.config import Settings
from devenv.errors import CommandFailed, DevenvError, Forbidden, UsageError
from devenv.execute import Tell
from devenv.kube import Api
from devenv.manifest import Document
from devenv.promotion import Change, Kind
from devenv.state import Folder
from devenv.table import Environment

RENDERED_WITHIN_S = 60.0
RUNNING = (Kind.new, Kind.changed, Kind.same)  # of what we may wait for


@dataclass(frozen=True)
class Promotion:
    """What a promotion would do to an environment, as its cluster was asked."""

    name: str
    environment: Environment
    api: Api
    changes: tuple[Change, ...]
    spared: tuple[str, ...]  # images that the environment does not run

    @property
    def does(self) -> bool:
        return any(change.does for change in self.changes)

    def jobs(self, checks: bool) -> list[Document]:
        """Return the Jobs that run before the rollout, or the checks after it."""
        jobs = [c.wanted for c in self.changes if c.kind is Kind.runs]
        return [job for job in jobs if (manifest.key(job) in self.environment.checks) is checks]


def render(settings: Settings, name: str, references: Sequence[str]) -> tuple[list[Document], list[str]]:
    """Return the objects of an environment with these images, and the images that it does not run."""
    import yaml

    environment = settings.environment(name)
    known = {*settings.project.images, *environment.images}
    taken, spared = promotion.given(references, environment.images, known)
    command, *words = environment.render
    own = settings.path(command)  # a script of the project; else a program on PATH
    argv = [str(own) if own.is_file() else process.find(command), *words, *taken]
    try:
        printed = process.run(argv, cwd=settings.root, within_s=RENDERED_WITHIN_S)
        objects = [manifest.at_home(d, environment.namespace) for d in yaml.safe_load_all(printed) if d]
    except CommandFailed as error:
        raise UsageError(f"environment {name} cannot be rendered: {error.output}") from error
    except yaml.YAMLError as error:
        raise UsageError(f"environment {name}: {' '.join(environment.render)} printed no YAML: {error}") from error
    if loose := promotion.loose_images(objects):
        raise UsageError(f"environment {name} runs images that are not named by a digest: {', '.join(loose)}")
    if unknown := set(environment.checks) - {manifest.key(o) for o in objects}:
        raise UsageError(f"environment {name}: checks: {', '.join(sorted(unknown))}: no such object")
    return manifest.prepared(objects), spared


def place(settings: Settings, name: str) -> Folder:
    return state.folder(f"{settings.project.name}-{name}", settings.project.context)


def look(settings: Settings, name: str, references: Sequence[str]) -> Promotion:
    """Ask the cluster what would change. Changes nothing; raises DevenvError for what could not be applied."""
    objects, spared = render(settings, name, references)
    api = observe.connect(settings, place(settings, name))
    changes = [change(api, obj) for obj in objects]
    if faults := [c.note for c in changes if c.kind is Kind.left and not promotion.is_as_applied(c)]:
        raise Forbidden("these credentials may not make all changes, and none was made:\n" + "\n".join(faults))
    if missing := missing_secrets(api, objects):
        raise DevenvError(
            f"namespace {api.namespace} lacks {', '.join(missing)}: what is secret is brought by you "
            f"(kubectl -n {api.namespace} create secret generic NAME …). Nothing was changed"
        )
    return Promotion(name, settings.environment(name), api, tuple(changes), tuple(spared))


def change(api: Api, wanted: Document) -> Change:
    if wanted["kind"] == "Job":
        return Change(Kind.runs, wanted)
    try:
        before = api.get(wanted)
    except Forbidden as error:
        return Change(Kind.unseen, wanted, note=str(error))
    try:
        return promotion.compared(wanted, before, api.preview(wanted))
    except Forbidden as error:
        return Change(Kind.left, wanted, before, note=str(error))


def missing_secrets(api: Api, objects: Iterable[Document]) -> list[str]:
    """Return the Secrets that pods cannot start without and that are not there, as far as we may ask."""
    try:
        wanted = [manifest.secret(name, {}) for name in sorted(promotion.secrets(objects))]
        return [manifest.key(secret) for secret in wanted if api.get(secret) is None]
    except Forbidden:
        return []  # whoever deploys reads no Secret; a pod that lacks one is told when it starts


def carry_out(what: Promotion, within_s: float, tell: Tell) -> None:
    """Run the Jobs, roll out, check. Raise the cause of a failure, with what became of the environment then."""
    hand = Promoter(what.api, within_s, f"devenv promote {what.name}", tell)
    try:
        if what.does:
            hand.migrate(what)
            hand.roll_out(what)
        for job in what.jobs(checks=True):
            hand.run("check", job)
    except KeyboardInterrupt:
        hand.undo()
        raise
    except DevenvError as error:
        raise type(error)(f"{error}\n{hand.undo()}") from error


@dataclass
class Promoter:
    """Does the steps of a promotion, and undoes them."""

    api: Api
    within_s: float  # for each Job and each workload
    again: str  # the command to repeat once the cause of a failure is mended
    tell: Tell
    applied: list[Change] = field(default_factory=list)

    def migrate(self, what: Promotion) -> None:
        jobs = what.jobs(checks=False)
        self.apply(promotion.before_jobs(what.changes, jobs))
        for job in jobs:
            self.run("run", job)

    def roll_out(self, what: Promotion) -> None:
        self.apply(c for c in what.changes if c.does and c not in self.applied)
        for workload in workloads(what.changes):
            key = manifest.key(workload)
            self.step(f"ready {key}", "rolls out", partial(self.await_ready, workload))

    def apply(self, changes: Iterable[Change]) -> None:
        for one in [*changes]:
            self.applied.append(one)
            self.step(f"apply {one.key}", one.kind, partial(self.api.apply, one.wanted))

    def run(self, word: str, job: Document) -> None:
        def whole() -> None:
            rollout.run_job(self.api, job)
            self.await_ready(job)

        self.step(f"{word} {manifest.key(job)}", "runs anew", whole)

    def await_ready(self, obj: Document) -> None:
        rollout.await_ready(self.api, obj, self.within_s, self.again)

    def step(self, name: str, cause: str, do: Callable[[], object]) -> None:
        def quiet() -> str:
            do()
            return ""

        execute.one(Step(name, Act(), cause, self.within_s), self.tell, quiet)

    def undo(self) -> str:
        """Bring what was changed back to what it was, and return what is to be said of that."""
        changed = [c for c in reversed(self.applied) if c.kind is Kind.changed]
        left = [c.key for c in self.applied if c.kind is Kind.new]
        try:
            for one in changed:
                self.step(f"undo {one.key}", "the promotion failed", partial(self.api.apply, promotion.undone(one)))
            for workload in workloads(changed):
                self.step(f"ready {manifest.key(workload)}", "goes back", partial(self.await_ready, workload))
        except DevenvError as error:
            return f"undoing it failed too: {error}"
        said = ["undone: " + ", ".join(c.key for c in changed)] if changed else ["nothing that ran was changed"]
        if left:
            said.append(f"new, and left: {', '.join(left)}")
        return "; ".join(said) + ". What a migration did is not undone"


def workloads(changes: Iterable[Change]) -> list[Document]:
    return [c.wanted for c in changes if c.wanted["kind"] in manifest.RUNS and c.kind in RUNNING]
