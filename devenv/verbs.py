"""What the verbs do, apart from printing: each returns values that cli.py shows."""

import os
import shlex
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

from devenv import execute, forward, graph, kind, manifest, observe, process, sources, stack, state, trust
from devenv import plan as planning
from devenv.acts import ObtainImage, Step
from devenv.config import Settings
from devenv.errors import DevenvError, TimedOut, UsageError
from devenv.execute import Tell
from devenv.plan import Cluster, Observed, make_plan
from devenv.readiness import Level, Readiness
from devenv.stack import NODE, Stack
from devenv.state import Folder
from devenv.wait import settle

Say = Callable[[str], None]
ANSWERS_WITHIN_S, WATCH_PAUSE_S = 30.0, 0.5


def place(settings: Settings) -> Folder:
    return state.folder(settings.project.name, settings.project.context)


def up(settings: Settings, tell: Tell, say: Say) -> dict[str, Any]:
    """Bring the stack to its wanted state. Run twice, the second run finds nothing to do."""
    where = place(settings)
    with state.locked(where, "up", say):
        want = sources.load(settings)
        have = observe.snapshot(want, where)
        observe.refusals(want, have, where)
        where.make()
        if have.cluster is Cluster.STOPPED:
            execute.perform(make_plan(want, have), want, where, tell)
            have = observe.snapshot(want, where)
        kind.use_namespace(settings.project.namespace, where)
        steps = make_plan(want, have)
        execute.perform(steps, want, where, tell)
        say(f"{settings.project.name} is up" + ("" if steps else ": nothing was left to do"))
    return status(settings)


def down(settings: Settings, say: Say) -> list[str]:
    """Remove everything of the environment and return what that was."""
    where = place(settings)
    with state.locked(where, "down", say):
        gone = execute.remove(settings.project.name, where)
        state.remove_lock(where)
    return gone


def plan(settings: Settings) -> tuple[Step, ...]:
    want = sources.load(settings)
    return make_plan(want, observe.snapshot(want, place(settings)))


def status(settings: Settings) -> dict[str, Any]:
    """Return what is there, with what to do next."""
    want, where = sources.load(settings), place(settings)
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
    where = place(settings)
    if settings.project.forwards:
        if not state.is_locked(where.forwards_lock) and where.forwards.exists():
            forward_start(settings, forward.AUTO, say)
        # A pod that is being replaced is back in a moment; a connection would be held for as long.
        seen = settle(lambda: execute.forwards_open(where), ANSWERS_WITHIN_S, process.called_off())
        if seen.level is not Level.READY:
            raise DevenvError(f"the stack does not answer: {seen.why}\nnext: devenv up")
        if why := observe.unproven(settings, where):
            raise DevenvError(f"{why}\nnext: devenv forward start")
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
    where = place(settings)
    with state.locked(where, "forward start", say):
        want = sources.load(settings)
        if observe.snapshot(want, where).cluster is not Cluster.RUNNING:
            raise DevenvError(f"cluster {settings.project.name} is not running; next: devenv up")
        if not state.is_locked(where.forwards_lock) and (faults := forward.taken_ports(want.forwards)):
            raise DevenvError("\n".join(faults))
        execute.Hand(want, where).start_forwards(via)
    say("forwards started")


def forward_stop(settings: Settings) -> bool:
    return forward.stop(place(settings))


def forward_status(settings: Settings) -> list[dict[str, Any]]:
    return forward.status(place(settings))


def forward_changes(settings: Settings) -> Iterator[list[dict[str, Any]]]:
    """Yield the state of the forwards whenever something of it is new, for ever."""
    last = None
    while True:
        if (seen := forward.status(place(settings))) != last:
            yield seen
        last = seen
        process.called_off().wait(WATCH_PAUSE_S)


def await_all(settings: Settings, names: list[str], within_s: float) -> Readiness:
    """Wait for objects and forwards, each named like deployment/api or forward/api; `all` and nothing mean everything.

    Raise UsageError for a name that the project does not have; DevenvError and TimedOut say what is not ready and why.
    """
    want, where = sources.load(settings), place(settings)
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


def images(settings: Settings) -> list[dict[str, Any]]:
    """Return the images of the stack and of the node, with where each is."""
    want = sources.load(settings)
    have = observe.snapshot(want, place(settings))
    return [
        {
            "name": name,
            "ref": image.ref,
            "host": image.ref in have.host_images,
            "node": image.ref in have.node_images,
            "source": origin(want, have, name),
        }
        for name, image in want.images.items()
    ]


def origin(want: Stack, have: Observed, name: str) -> str:
    image = want.images[name]
    if planning.is_pulled(image, have):
        return f"pull {image.source.pull}"
    why = "its registry does not answer" if image.source.pull else "it has no released one"
    return f"build {planning.folder_name(image)}: {why}"


def images_build(settings: Settings, names: list[str], anew: bool, tell: Tell, say: Say) -> None:
    where = place(settings)
    with state.locked(where, "images build", say):
        want = sources.load(settings)
        images_obtained(want, known_images(want, names), where, tell, say, anew)


def images_load(settings: Settings, names: list[str], tell: Tell, say: Say) -> None:
    where = place(settings)
    with state.locked(where, "images load", say):
        want = sources.load(settings)
        have = observe.snapshot(want, where)
        if have.cluster is not Cluster.RUNNING:
            raise DevenvError(f"cluster {settings.project.name} is not running; next: devenv up")
        image_steps(want, planning.image_plan(want, have, known_images(want, names)), where, tell, say)


def known_images(want: Stack, names: list[str]) -> list[str]:
    """Return the images named, or all that the stack and its node need."""
    if unknown := [name for name in names if name not in want.images]:
        raise UsageError(f"no image {', '.join(unknown)}; there are: {', '.join(want.images)}")
    return names or [NODE, *want.wanted_images]


def images_obtained(want: Stack, names: list[str], where: Folder, tell: Tell, say: Say, anew: bool = False) -> None:
    """Bring images to the host that are not there; `anew`, even those that are, with all that they are built from."""
    again = {want.images[n].ref for name in names for n in graph.closure(want.images, name)} if anew else ()
    have = observe.snapshot(want, where, frozenset(again))
    steps = [s for s in planning.image_plan(want, have, names) if isinstance(s.act, ObtainImage)]
    image_steps(want, [planning.anew(s) if anew else s for s in steps], where, tell, say)


def image_steps(want: Stack, steps: Sequence[Step], where: Folder, tell: Tell, say: Say) -> None:
    """Perform the part of the plan that is about images."""
    execute.perform(steps, want, where, tell)
    say(f"{len(steps)} done" if steps else "nothing was left to do")
