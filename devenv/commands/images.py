"""What `devenv images` does, apart from printing: each function returns values that the command line shows."""

from collections.abc import Callable, Sequence
from typing import Any

from devenv.errors import UsageError
from devenv.images import graph
from devenv.project import sources
from devenv.project.stack import NODE, Stack
from devenv.reconcile import image_steps, observe
from devenv.reconcile import plan as planning
from devenv.reconcile.actions import Step
from devenv.reconcile.environment import Environment
from devenv.reconcile.execute import Executor, OnEvent
from devenv.reconcile.handlers import Handlers
from devenv.reconcile.observed import Observed
from devenv.system import state

Log = Callable[[str], None]


def list_(env: Environment, log: Log) -> list[dict[str, Any]]:
    """Return the images of the stack and of the node, with where each is."""
    desired = sources.load(env.settings)
    observed = observe.snapshot(desired, env, pulls=True)
    if rests := observed.cluster.rests:
        log(f"cluster {env.project.name} {observed.cluster.value}: what its node has cannot be seen")
    return [
        {
            "name": name,
            "ref": image.ref,
            "host": image.ref in observed.host_images,
            "node": None if rests else name in desired.wanted_images and desired.ref(name) in observed.node_images,
            "source": origin(desired, observed, name),
        }
        for name, image in desired.images.items()
    ]


def origin(desired: Stack, observed: Observed, name: str) -> str:
    image = desired.images[name]
    if image_steps.is_pulled(image, observed):
        return f"pull {image.source.pull}"
    why = "Docker finds no such image in its registry" if image.source.pull else "it has no released one"
    return f"build {image_steps.folder_name(image)}: {why}"


def build(env: Environment, names: list[str], no_cache: bool, on_event: OnEvent, log: Log) -> None:
    with state.locked(env.folder, "images build", log):
        desired = sources.load(env.settings)
        obtain(env, desired, known(desired, names), on_event, log, no_cache)


def load(env: Environment, names: list[str], on_event: OnEvent, log: Log) -> None:
    with state.locked(env.folder, "images load", log):
        desired = sources.load(env.settings)
        observed = observe.snapshot(desired, env)
        observe.require_running(env, observed.cluster)
        chosen = known(desired, names)
        loads = image_steps.load_steps(desired, observed.node_images, [n for n in chosen if n != NODE])
        perform(env, planning.ordered([*image_steps.obtain_steps(desired, observed, chosen), *loads]), on_event, log)


def known(desired: Stack, names: list[str]) -> list[str]:
    """Return the images named, or all that the stack and its node need."""
    if unknown := [name for name in names if name not in desired.images]:
        raise UsageError(f"no image {', '.join(unknown)}; there are: {', '.join(desired.images)}")
    return names or [*desired.roots]


def obtain(
    env: Environment, desired: Stack, names: list[str], on_event: OnEvent, log: Log, no_cache: bool = False
) -> None:
    """Bring images to the host that are not there; without cache, even those that are, with their bases."""
    again = {desired.images[n].ref for name in names for n in graph.closure(desired.images, name)} if no_cache else ()
    observed = observe.snapshot(desired, env, frozenset(again), pulls=True)
    steps = planning.ordered(image_steps.obtain_steps(desired, observed, names))
    perform(env, [s.without_cache() if no_cache else s for s in steps], on_event, log)


def perform(env: Environment, steps: Sequence[Step], on_event: OnEvent, log: Log) -> None:
    """Perform the part of the plan that is about images."""
    Executor(Handlers(env, "devenv images build"), on_event).perform(steps)
    log(f"{len(steps)} done" if steps else "already up to date")
