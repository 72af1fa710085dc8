"""devenv forward: start the forwards' process, ask it, stop it."""

from collections.abc import Callable, Iterator
from time import sleep

from devenv.errors import DevenvError, UsageError
from devenv.forwarder.spec import NODE, OPEN, ForwardStatus
from devenv.kube.readiness import Level
from devenv.project import sources
from devenv.reconcile import forwards, observe
from devenv.reconcile.actions import StartForwards
from devenv.reconcile.environment import Environment
from devenv.reconcile.handlers import Handlers
from devenv.system import state
from devenv.system.wait import poll

WATCH_PAUSE_S, START_WITHIN_S, PROVEN_WITHIN_S = 0.5, 30.0, 30.0


def start(env: Environment, via: str, log: Callable[[str], None]) -> None:
    """Start the forwards' process again."""
    if via == NODE and not env.provider.node:
        raise UsageError(f"--via node works only with kind clusters; use --via api for context {env.project.context}")
    with state.locked(env.folder, "forward start", log):
        desired = sources.load(env.settings)
        observe.require_answers(env, desired.namespaces)
        if faults := forwards.newly_taken(env.folder, desired.forwards):
            raise DevenvError("\n".join(faults))
        action = StartForwards(desired.forwards, desired.forwards_hash, desired.node_ports, via)
        Handlers(env, "devenv forward start").do(action, START_WITHIN_S)
    log("forwards started")


def stop(env: Environment) -> bool:
    return forwards.stop(env.folder)


def status(env: Environment, log: Callable[[str], None]) -> list[ForwardStatus]:
    """Return the state of each forward. What the process says is true of this second, if all of it is open."""
    seen = forwards.status(env.folder)
    if seen and all(f.state == OPEN for f in seen):
        return seen
    if rests := observe.at_rest(env):
        log(f"cluster {env.project.name} {rests.value}")
        return forwards.status(env.folder, f"the cluster {rests.value}")
    return seen


def prove(env: Environment, opens_within_s: float, hint: str) -> None:
    """See every forward open, and each local port lead to a living pod of this cluster. Raise DevenvError."""
    seen = poll(lambda: observe.forwards_open(env), opens_within_s)
    if seen.level is not Level.READY:
        raise DevenvError(f"the stack does not answer: {seen.why}\nhint: {hint}")
    seen = poll(lambda: observe.forwards_proven(env), PROVEN_WITHIN_S)
    if seen.level is not Level.READY:
        raise DevenvError(f"{seen.why}\nhint: devenv forward start")


def changes(env: Environment) -> Iterator[list[ForwardStatus]]:
    """Yield the state of the forwards whenever something of it is new, for ever."""
    last = None
    while True:
        if (seen := forwards.status(env.folder)) != last:
            yield seen
        last = seen
        sleep(WATCH_PAUSE_S)
