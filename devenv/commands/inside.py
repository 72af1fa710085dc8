"""devenv exec and devenv restart: into a container of a workload, and its pods anew."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from devenv.errors import DevenvError, UsageError
from devenv.kube import parts
from devenv.kube.objects import Object
from devenv.project import manifests
from devenv.reconcile import observe
from devenv.reconcile.actions import AwaitReady, Restart, Step, reopened
from devenv.reconcile.environment import Environment
from devenv.reconcile.execute import Executor, OnEvent
from devenv.reconcile.handlers import Handlers
from devenv.reconcile.members import Members
from devenv.system import process, state

RESTARTABLE = ("Deployment", "StatefulSet", "DaemonSet")
RESTART_WITHIN_S = 30.0


@dataclass(frozen=True)
class Program:
    """A command in a container, ready to be run by kubectl."""

    argv: list[str]
    environment: dict[str, str]


def program(env: Environment, name: str, container: str | None, words: Sequence[str], terminal: bool) -> Program:
    """Return what runs a command in a pod of a part, a ready one where there is one.

    Raise UsageError for a part or a container that is not there, and DevenvError where no pod runs.
    """
    members = Members(env, parts.chosen([name], parts.of(manifests.objects(env.settings))))
    observe.require_answers(env)
    pod = parts.best(pod for _, pod in members.pods())
    if pod is None:
        raise DevenvError(f"no pod of {', '.join(map(str, members.parts))} is running\nhint: devenv status")
    into = parts.container(pod, container)
    tty = ["--tty"] if terminal else []
    argv = [process.find("kubectl"), "--kubeconfig", str(env.folder.kubeconfig), "--namespace", pod.id.namespace]
    argv += ["exec", "--stdin", *tty, pod.id.name, "--container", into, "--", *words]
    return Program(argv, {**os.environ, "PATH": process.search_path()})


def restart(env: Environment, names: Sequence[str], on_event: OnEvent, log: Callable[[str], None]) -> list[str]:
    """Have the pods of parts replaced as their strategy says, and wait as `up` does. Return what was restarted."""
    objects = manifests.objects(env.settings)
    meant = parts.chosen(names, parts.of(objects))
    wanted = [o for o in objects if o.id in meant and o.kind in RESTARTABLE]
    if not wanted:
        raise UsageError(f"{', '.join(map(str, meant))}: only {', '.join(RESTARTABLE)} can be restarted")
    with state.locked(env.folder, f"restart {' '.join(names)}", log):
        observe.require_answers(env, {o.id.namespace for o in wanted})
        served = state.is_locked(env.folder.forwards_lock)
        steps = restarting(wanted, datetime.now(UTC), env.project.ready_within_s, served)
        Executor(Handlers(env, f"devenv restart {' '.join(names)}"), on_event).perform(steps)
    return [str(o.id) for o in wanted]


def restarting(objects: Sequence[Object], now: datetime, within_s: float, served: bool) -> list[Step]:
    """Return the steps of a restart: all at the same time, and the forwards, where they are `served`, at the end."""
    stamp, found = now.isoformat(timespec="seconds").replace("+00:00", "Z"), list[Step]()
    for obj in objects:
        begun = Step(f"restart {obj.id}", Restart(obj, stamp), "its pods are to be replaced", RESTART_WITHIN_S)
        ready = Step(f"ready {obj.id}", AwaitReady(obj), "its pods are replaced", within_s, (begun.name,))
        found += [begun, ready]
    if served:
        found.append(reopened(*(step.name for step in found if isinstance(step.action, AwaitReady))))
    return found
