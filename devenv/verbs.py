"""What the verbs do, apart from printing: each returns values that cli.py shows."""

import os
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

from devenv import (
    context,
    execute,
    forward,
    manifest,
    observe,
    process,
    provider,
    sources,
    stack,
    state,
    teardown,
    trust,
)
from devenv.acts import Step
from devenv.config import Settings
from devenv.errors import DevenvError, TimedOut, UsageError
from devenv.execute import Tell
from devenv.plan import Cluster, Observed, make_plan
from devenv.readiness import Level, Readiness
from devenv.stack import Stack
from devenv.wait import settle

Say = Callable[[str], None]
ANSWERS_WITHIN_S, WATCH_PAUSE_S = 30.0, 0.5


def up(settings: Settings, tell: Tell, say: Say) -> dict[str, Any]:
    """Bring the stack to its wanted state. Run twice, the second run finds nothing to do."""
    where = provider.place(settings)
    with state.locked(where, "up", say):
        want = sources.load(settings)
        have = observe.snapshot(want, where)
        observe.refusals(want, have, where)
        where.make()
        if have.cluster is Cluster.STOPPED:
            execute.perform(make_plan(want, have), want, where, tell)
            have = observe.snapshot(want, where)
        context.use_namespace(settings.project.namespace, where)
        steps = make_plan(want, have)
        execute.perform(steps, want, where, tell)
        say(f"{settings.project.name} is up" + ("" if steps else ": nothing was left to do"))
    return status(settings)


def down(settings: Settings, say: Say) -> list[str]:
    """Remove everything of the environment and return what that was."""
    where = provider.place(settings)
    with state.locked(where, "down", say):
        gone = teardown.remove(settings, where)
        state.remove_lock(where)
    return gone


def plan(settings: Settings) -> tuple[Step, ...]:
    want = sources.load(settings)
    return make_plan(want, observe.snapshot(want, provider.place(settings)))


def status(settings: Settings) -> dict[str, Any]:
    """Return what is there, with what to do next."""
    want, where = sources.load(settings), provider.place(settings)
    have = observe.snapshot(want, where)
    forwards = forward.status(where)
    workloads = [
        {"name": r.what, "state": r.level.name, "why": r.why}
        for r in sorted(have.readiness.values(), key=lambda r: r.what)
    ]
    ready = is_ready(want, have, forwards)
    return {
        "name": settings.project.name,
        "namespace": settings.project.namespace,
        "cluster": have.cluster.name,
        "ready": ready,
        "workloads": workloads,
        "forwards": forwards,
        "next": next_command(settings) if ready else "Next: devenv up",
    }


def is_ready(want: Stack, have: Observed, forwards: list[dict[str, Any]]) -> bool:
    whole = max((r.level for r in have.readiness.values()), default=Level.READY)
    opened = [f["name"] for f in forwards if f["state"] == "OPEN"]
    return have.cluster is Cluster.RUNNING and whole is Level.READY and len(opened) == len(want.forwards)


def next_command(settings: Settings) -> str:
    suite = next(iter(settings.project.tests), None)
    return f"Next: devenv test {suite}" if suite else 'Next: eval "$(devenv env)"'


def exports(settings: Settings, say: Say) -> dict[str, str]:
    """Return the exported settings, once every local port was seen to lead to a pod of this cluster that answers."""
    where = provider.place(settings)
    if settings.project.forwards:
        if not state.is_locked(where.forwards_lock) and where.forwards.exists():
            forward_start(settings, forward.AUTO, say)
        # A pod that is being replaced is back in a moment; a connection would be held for as long.
        seen = settle(lambda: execute.forwards_open(where), ANSWERS_WITHIN_S, process.called_off())
        if seen.level is not Level.READY:
            raise DevenvError(f"the stack does not answer: {seen.why}\nnext: devenv up")
        seen = settle(lambda: observe.proven(settings, where), ANSWERS_WITHIN_S, process.called_off())
        if seen.level is not Level.READY:
            raise DevenvError(f"{seen.why}\nnext: devenv forward start")
    env_file, _ = sources.environment(settings)
    run = uuid4().hex[:8]
    trusted = trust.exports(where) if settings.project.tls else {}
    return {**trusted, **stack.exports(settings, env_file, run), "KUBECONFIG": str(where.kubeconfig)}


def as_text(values: dict[str, str], export: bool) -> str:
    return "\n".join(f"{'export ' if export else ''}{key}={shlex.quote(value)}" for key, value in values.items())


def suite(
    settings: Settings, name: str, args: list[str], junit: Path | None, say: Say
) -> tuple[list[str], dict[str, str], Path]:
    """Return the command of a test suite, its environment and its folder."""
    known = settings.project.tests
    if name not in known:
        raise UsageError(f"no suite {name} in [tool.devenv.tests]; there are: {', '.join(known) or 'none'}")
    report = [f"--junit-xml={junit.resolve()}"] if junit else []
    argv = [*known[name].run, *report, *args]
    values = {**exports(settings, say), **known[name].env}
    environment = {**os.environ, "PATH": process.search_path(), **values}
    return [process.find(argv[0]), *argv[1:]], environment, settings.root


def forward_start(settings: Settings, via: str, say: Say) -> None:
    where = provider.place(settings)
    if via == forward.NODE and not provider.of(settings, where).node:
        raise UsageError(f"--via node is a kind cluster's way; to context {settings.project.context} leads --via api")
    with state.locked(where, "forward start", say):
        want = sources.load(settings)
        if observe.snapshot(want, where).cluster is not Cluster.RUNNING:
            raise DevenvError(f"cluster {settings.project.name} is not running; next: devenv up")
        if not state.is_locked(where.forwards_lock) and (faults := forward.taken_ports(want.forwards)):
            raise DevenvError("\n".join(faults))
        execute.Hand(want, where).start_forwards(via)
    say("forwards started")


def forward_stop(settings: Settings) -> bool:
    return forward.stop(provider.place(settings))


def forward_status(settings: Settings) -> list[dict[str, Any]]:
    return forward.status(provider.place(settings))


def forward_changes(settings: Settings) -> Iterator[list[dict[str, Any]]]:
    """Yield the state of the forwards whenever something of it is new, for ever."""
    last = None
    while True:
        if (seen := forward.status(provider.place(settings))) != last:
            yield seen
        last = seen
        process.called_off().wait(WATCH_PAUSE_S)


def await_all(settings: Settings, names: list[str], within_s: float) -> Readiness:
    """Wait for objects and forwards, each named like deployment/api or forward/api; `all` and nothing mean everything.

    Raise UsageError for a name that the project does not have; DevenvError and TimedOut say what is not ready and why.
    """
    want, where = sources.load(settings), provider.place(settings)
    chosen = awaited(want, names)
    seen = settle(lambda: max(observe.parts(want, where, chosen)), within_s, process.called_off())
    if seen.level is Level.READY:
        return seen
    if seen.level is Level.FAILED:
        raise DevenvError(f"{seen.what} failed: {seen.why}")
    raise TimedOut(f"{seen.what} is not ready after {within_s:g} s: {seen.why}")


def awaited(want: Stack, names: list[str]) -> list[str]:
    known = [
        *(manifest.key(o) for o in want.objects if o["kind"] in manifest.RUNS),
        *(f"forward/{f.name}" for f in want.forwards),
    ]
    if not names or "all" in names:
        return known
    full = [manifest.full_key(name) for name in names]
    if unknown := [name for name in full if name not in known]:
        raise UsageError(f"nothing here is named {', '.join(unknown)}; there are: {', '.join(known)}")
    return full
