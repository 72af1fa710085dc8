"""devenv status and devenv wait: what is there, and waiting for it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from devenv.cluster.state import Cluster
from devenv.errors import DevenvError, TimedOut, UsageError
from devenv.forwarder.spec import OPEN, ForwardStatus
from devenv.kube import ahead, attachment, overrides
from devenv.kube.objects import SHORT, Id, find
from devenv.kube.readiness import Level, Readiness
from devenv.project import sources
from devenv.project.settings import Settings
from devenv.project.stack import Stack
from devenv.reconcile import attached, attaching, forwards, observe
from devenv.reconcile.actions import Step
from devenv.reconcile.environment import Environment
from devenv.reconcile.observed import Observed
from devenv.reconcile.plan import make_plan
from devenv.system import state
from devenv.system.wait import poll


@dataclass(frozen=True)
class Status:
    """What an environment is at, as `devenv status -o json` tells it."""

    name: str
    namespace: str
    cluster: str
    ready: bool
    workloads: list[dict[str, str]]
    forwards: list[ForwardStatus]
    replaced: list[str]  # files that are not the image's own (`devenv override`), each with why
    next: str
    attached: list[dict[str, Any]] = field(default_factory=list)


def status(env: Environment) -> Status:
    """Return what is there, with what to do next."""
    desired = sources.load(env.settings)
    observed = observe.snapshot(desired, env)
    return report(env, desired, observed, make_plan(desired, observed))


def report(env: Environment, desired: Stack, observed: Observed, left: Sequence[Step] = ()) -> Status:
    """Return the status that a snapshot shows, with what is `left` to do; the forwards' process is asked now."""
    lost = "" if observed.cluster is Cluster.RUNNING else f"the cluster {observed.cluster.value}"
    served = forwards.status(env.folder, lost)
    seen = sorted(observed.readiness.values(), key=lambda r: r.what)
    told = {str(id_): ahead.said(pods) for id_, pods in observed.ahead.items()}
    places, alive = attached.records(observed), attaching.holder(env.folder) is not None
    told |= {str(id_): f"{record}{'' if alive else ', and is gone'}" for id_, record in places.items()}
    opened = [f for f in served if f.state == OPEN]
    whole = max((r.level for r in seen), default=Level.READY)
    well = observed.cluster is Cluster.RUNNING and whole is Level.READY and len(opened) == len(desired.forwards)
    ready = well and not left
    more = f"   ({len(left)} steps are left to do: devenv plan)" if well and left else ""
    return Status(
        name=env.project.name,
        namespace=env.project.namespace,
        cluster=observed.cluster.name,
        ready=ready,
        workloads=[{"name": r.what, "state": r.level.name, "why": r.why or told.get(r.what, "")} for r in seen],
        forwards=served,
        replaced=replaced(desired, observed),
        next=next_command(env.settings) if ready else f"Next: {observed.cluster.way_out}{more}",
        attached=[{"workload": str(id_), "alive": alive, **asdict(record)} for id_, record in places.items()],
    )


def replaced(desired: Stack, observed: Observed) -> list[str]:
    """Return the files that a ConfigMap replaces in the application, as the snapshot has them."""
    if (table := desired.settings.project.overrides) is None:
        return []
    if (own := find(desired.objects, f"configmap/{table.config_map}")) is None:
        return []
    today = datetime.now(UTC).date()
    return [one.said(today) for one in overrides.in_force(observed.living.get(own.id), own)]


def seen_since(observed: Observed, seen: dict[Id, Readiness]) -> Observed:
    """Return a snapshot brought up to what was seen, object by object, since it was taken on a cluster that runs.

    A workload whose place was taken has it back.
    """
    living = {id_: obj for id_, obj in observed.living.items() if not attachment.record_of(obj)}
    return replace(observed, cluster=Cluster.RUNNING, readiness={**observed.readiness, **seen}, living=living)


def next_command(settings: Settings) -> str:
    suite = next(iter(settings.project.tests), None)
    return f"Next: devenv test {suite}" if suite else 'Next: eval "$(devenv env)"'


def wait(env: Environment, names: list[str], within_s: float) -> Readiness:
    """Wait for objects and forwards, each named like deployment/api or forward/api; `all` and nothing mean everything.

    Raise UsageError for a name that the project does not have; DevenvError and TimedOut say what is not ready and why.
    """
    desired = sources.load(env.settings)
    chosen = awaited(desired, names)
    if not chosen:
        return Readiness(Level.READY, "nothing is waited for")
    refuse_rest(env)
    seen = poll(observe.patiently(lambda: max(observe.parts(desired, env, chosen))), within_s)
    if seen.level is Level.READY:
        return seen
    if seen.level is Level.FAILED:
        raise DevenvError(f"{seen.what} failed: {seen.why}")
    raise TimedOut(f"{seen.what} is not ready after {within_s:g} s: {seen.why}")


def refuse_rest(env: Environment) -> None:
    """Raise DevenvError where waiting is in vain: no command is at it, and a cluster at rest stays so."""
    if env.provider.shared or state.is_locked(env.folder.lock):
        return
    if (seen := env.provider.observe()) in (Cluster.STOPPED, Cluster.PAUSED):
        raise observe.not_running(env, seen)


def awaited(desired: Stack, names: list[str]) -> list[str]:
    known = [*(str(o.id) for o in desired.awaited), *(f"forward/{f.name}" for f in desired.forwards)]
    if not names or "all" in names:
        return known
    full = [full_name(name) for name in names]
    if unknown := [name for name in full if name not in known]:
        raise UsageError(f"nothing here is named {', '.join(unknown)}; there are: {', '.join(known)}")
    return full


def full_name(name: str) -> str:
    """Return the name with its kind written out: `deploy/api` is deployment/api."""
    kind, slash, rest = name.partition("/")
    return f"{SHORT.get(kind, kind)}{slash}{rest}"
