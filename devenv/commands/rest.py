"""devenv stop, start, pause, resume: a cluster is put to rest with all that it holds, and comes back as it was."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from devenv.cluster import kind
from devenv.cluster.state import Cluster
from devenv.commands import forward
from devenv.commands.status import Status, report, seen_since
from devenv.errors import DevenvError, UsageError
from devenv.forwarder.spec import LOOK, ForwardStatus
from devenv.project import sources
from devenv.project.stack import Stack
from devenv.reconcile import forwards, observe
from devenv.reconcile.actions import AwaitReady, StartCluster, StartForwards, Step
from devenv.reconcile.environment import Environment
from devenv.reconcile.execute import Executor, OnEvent
from devenv.reconcile.handlers import Handlers
from devenv.reconcile.observed import Observed
from devenv.reconcile.plan import make_plan
from devenv.system import state

Log = Callable[[str], None]
OPENS_WITHIN_S, FORWARDS_WITHIN_S, CLUSTER_WITHIN_S = 60.0, 30.0, 300.0


@dataclass(frozen=True)
class Rest:
    """What `devenv stop`, `pause` and `resume` have brought a cluster to, as -o json tells it."""

    name: str
    namespace: str
    cluster: str
    changed: bool  # it was not so before
    forwards: list[ForwardStatus]
    next: str


def stop(env: Environment, log: Log) -> Rest:
    """Stop the forwards, the pods in good order, and the node. Data stay."""
    with made(env, "stop", log) as seen:
        forwards.stop(env.folder)
        if changed := seen is not Cluster.STOPPED:
            for late in kind.stop(env.project.name):
                log(f"warning: ended by force: {late}")
    return outcome(env, Cluster.STOPPED, changed)


def pause(env: Environment, log: Log) -> Rest:
    """Freeze the node, with the connections to it. Raise DevenvError for one that is stopped."""
    with made(env, "pause", log) as seen:
        refuse_stopped(env, seen)
        if changed := seen is not Cluster.PAUSED:
            kind.pause(env.project.name)
        # Their process would find out by probes, which would wait on the node for the day when it goes on.
        forwards.ask(env.folder, LOOK)
    return outcome(env, Cluster.PAUSED, changed)


def resume(env: Environment, log: Log) -> Rest:
    """Have a paused cluster go on and prove all ports. Raise DevenvError for one that is stopped."""
    with made(env, "resume", log) as seen:
        refuse_stopped(env, seen)
        if changed := seen is Cluster.PAUSED:
            kind.start(env.project.name)
        Handlers(env, "devenv resume").await_api()
        serve(env)
    return outcome(env, Cluster.RUNNING, changed)


def start(env: Environment, on_event: OnEvent, log: Log) -> Status:
    """Bring a cluster that rests back until all ports are proven. Nothing is built, applied or removed: what the
    manifests have anew is left to `up`, and counted.
    """
    with made(env, "start", log) as seen:
        if faults := taken(env):
            raise DevenvError("\n".join(faults))
        desired = sources.load(env.settings)
        executor = Executor(Handlers(env, "devenv start"), on_event)
        if changed := seen is not Cluster.RUNNING or bool(observe.starting(env, desired.namespaces)):
            cause = (seen if seen.rests else observe.resting(env)).value
            executor.perform([Step("cluster", StartCluster(desired.namespaces), cause, CLUSTER_WITHIN_S)])
        observed = observe.snapshot(desired, env)
        observe.require_running(env, observed.cluster)
        executor.perform(waits(make_plan(desired, observed), observed))
        serve(env, desired, observed)
        log(f"{env.project.name} is up again" if changed else f"{env.project.name} is already running")
    served = replace(
        seen_since(observed, executor.handlers.seen),
        forwards_hash=forwards.served_hash(env.folder),
        forwards_closed="",
    )
    return report(env, desired, served, make_plan(desired, served))


@contextmanager
def made(env: Environment, verb: str, log: Log) -> Iterator[Cluster]:
    """Hold the environment's lock and yield the state of the cluster; one that is refused leaves no lock file."""
    require_made(env, verb)
    with state.locked(env.folder, verb, log):
        yield require_made(env, verb)  # another command may have been at it


def refuse_stopped(env: Environment, seen: Cluster) -> None:
    if seen is Cluster.STOPPED:
        raise observe.not_running(env, seen)


def require_made(env: Environment, verb: str) -> Cluster:
    """Return the state of a cluster that devenv made, as a whole. Raise DevenvError for any other."""
    if env.provider.shared:
        raise UsageError(
            f"context {env.project.context} is a cluster that devenv did not make; refusing to {verb} it\n"
            f"hint: devenv forward stop ends the forwards, devenv down removes what devenv applied"
        )
    seen = env.provider.observe()
    if seen in (Cluster.ABSENT, Cluster.UNFINISHED):
        raise observe.not_running(env, seen)
    return seen


def waits(steps: Sequence[Step], observed: Observed) -> list[Step]:
    """Return the steps of a plan that only wait, for what is in the cluster already."""
    return [s for s in steps if isinstance(s.action, AwaitReady) and s.action.object.id in observed.living]


def taken(env: Environment) -> list[str]:
    """Return a sentence for each port of the forwards, as they were served last, that somebody else has."""
    if state.is_locked(env.folder.forwards_lock) or not (spec := forwards.written(env.folder)):
        return []
    return forwards.taken_ports(spec.forwards)


def serve(env: Environment, desired: Stack | None = None, observed: Observed | None = None) -> None:
    """See the forwards served as they were, and prove each; what the process was told last is in its file.

    Where that is lost they are started as they are `desired`, if what leads to them is in the cluster.
    """
    if not forwards.served_hash(env.folder):
        if spec := forwards.written(env.folder):
            forwards.start(env.folder, spec)
        elif desired and observed and all(s.id in observed.living for s in desired.node_ports.values()):
            action = StartForwards(desired.forwards, desired.forwards_hash, desired.node_ports)
            Handlers(env, "devenv start").do(action, FORWARDS_WITHIN_S)
    forwards.ask(env.folder, LOOK)
    if env.project.forwards:
        forward.prove(env, OPENS_WITHIN_S, "devenv up")


def outcome(env: Environment, cluster: Cluster, changed: bool) -> Rest:
    rests = "" if cluster is Cluster.RUNNING else f"the cluster {cluster.value}"
    served = forwards.status(env.folder, rests)
    after = "devenv status" if cluster is Cluster.RUNNING else cluster.way_out
    return Rest(env.project.name, env.project.namespace, cluster.name, changed, served, f"Next: {after}")
