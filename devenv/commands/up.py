"""devenv up and devenv plan: bring the stack to its desired state, or say what that would take."""

from collections.abc import Callable, Sequence
from time import time

from devenv.commands import environments, preload
from devenv.commands.status import Status, report, seen_since
from devenv.kube import attachment, kubeconfig
from devenv.kube.objects import Id
from devenv.project import isolated, sources
from devenv.project.stack import Stack
from devenv.reconcile import observe, preflight, replacing, runs
from devenv.reconcile.actions import DeleteObject, Step
from devenv.reconcile.environment import Environment
from devenv.reconcile.execute import Executor, OnEvent
from devenv.reconcile.handlers import Handlers
from devenv.reconcile.observed import Observed
from devenv.reconcile.plan import make_plan

FEW = 5  # deletions that need no question


def up(
    env: Environment,
    on_event: OnEvent,
    log: Callable[[str], None],
    agreed: Callable[[str], None],
    take_over: bool = False,
    desired: Stack | None = None,
    replace: Sequence[str] = (),
) -> Status:
    """Bring the stack to its desired state. Run twice, the second run finds nothing to do.

    Before more than a few deletions `agreed` is asked, which raises where the answer is no. A cluster that another
    checkout has made is refused, unless it is to `take_over`. What is `desired` is read of the project's files, unless
    it was before. The objects of these names are to `replace`: made anew, with the loss of what they hold.
    """
    phase = env.run.phase
    with runs.kept(env.run, env.folder, "up", log), runs.locked(env.run, env.folder, "up", log):
        with phase("load"):
            desired = desired or sources.load(env.settings)
        asked = replacing.named(desired, replace)
        env.run.namespaces = desired.namespaces
        observed = checked(desired, env, take_over, asked)
        env.folder.make()
        environments.remember(env, time())
        if env.settings.isolation:
            isolated.remember(env.settings.isolation)
        executor = Executor(Handlers(env), on_event)
        if observed.cluster.rests:
            executor.perform(make_plan(desired, observed))
            observed = checked(desired, env, take_over, asked)
        kubeconfig.use_namespace(env.project.namespace, env.folder)
        steps = make_plan(desired, observed)
        deleted = [s.action.object for s in steps if isinstance(s.action, DeleteObject)]
        if len(gone := [o for o in deleted if not attachment.is_part(o)]) > FEW:
            listed = ", ".join(str(o.id) for o in gone)
            with phase("confirmation"):
                agreed(f"Delete {len(gone)} objects that the manifests no longer have: {listed}?")
        executor.perform(steps)
        log(f"{env.project.name} is up" + ("" if steps else ": already up to date"))
        if preload.is_due(env, steps):
            preload.begin(env)
            log("keeping its images for the next cluster, in the background (devenv images prune removes them)")
        # Whatever was not ready in the snapshot has been waited for since, and was seen to become so.
        with phase("report"):
            return report(env, desired, seen_since(observed, executor.handlers.seen))


def checked(desired: Stack, env: Environment, take_over: bool, asked: frozenset[Id]) -> Observed:
    """Return what is there, once nothing of it stands in the way."""
    with env.run.phase("snapshot"):
        observed = observe.snapshot(desired, env).asked(asked)
    with env.run.phase("preflight"):
        preflight.check(desired, observed, env, take_over)
    return observed


def plan(env: Environment, replace: Sequence[str] = ()) -> tuple[Step, ...]:
    """Return what `up` would do. Changes nothing."""
    desired = sources.load(env.settings)
    return make_plan(desired, observe.snapshot(desired, env).asked(replacing.named(desired, replace)))
