"""What `devenv images` does, apart from printing: each function returns values that cli_images.py shows."""

from collections.abc import Callable, Sequence
from typing import Any

from devenv import execute, graph, observe, provider, sources, state
from devenv import plan as planning
from devenv.acts import ObtainImage, Step
from devenv.config import Settings
from devenv.errors import DevenvError, UsageError
from devenv.execute import Tell
from devenv.plan import Cluster, Observed
from devenv.stack import Stack
from devenv.state import Folder

Say = Callable[[str], None]


def list_(settings: Settings) -> list[dict[str, Any]]:
    """Return the images of the stack and of the node, with where each is."""
    want = sources.load(settings)
    have = observe.snapshot(want, provider.place(settings))
    return [
        {
            "name": name,
            "ref": image.ref,
            "host": image.ref in have.host_images,
            "node": name in want.wanted_images and want.ref(name) in have.node_images,
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


def build(settings: Settings, names: list[str], anew: bool, tell: Tell, say: Say) -> None:
    where = provider.place(settings)
    with state.locked(where, "images build", say):
        want = sources.load(settings)
        obtained(want, known(want, names), where, tell, say, anew)


def load(settings: Settings, names: list[str], tell: Tell, say: Say) -> None:
    where = provider.place(settings)
    with state.locked(where, "images load", say):
        want = sources.load(settings)
        have = observe.snapshot(want, where)
        if have.cluster is not Cluster.RUNNING:
            raise DevenvError(f"cluster {settings.project.name} is not running; next: devenv up")
        perform(want, planning.image_plan(want, have, known(want, names)), where, tell, say)


def known(want: Stack, names: list[str]) -> list[str]:
    """Return the images named, or all that the stack and its node need."""
    if unknown := [name for name in names if name not in want.images]:
        raise UsageError(f"no image {', '.join(unknown)}; there are: {', '.join(want.images)}")
    return names or [*want.roots]


def obtained(want: Stack, names: list[str], where: Folder, tell: Tell, say: Say, anew: bool = False) -> None:
    """Bring images to the host that are not there; `anew`, even those that are, with all that they are built from."""
    again = {want.images[n].ref for name in names for n in graph.closure(want.images, name)} if anew else ()
    have = observe.snapshot(want, where, frozenset(again))
    steps = [s for s in planning.image_plan(want, have, names) if isinstance(s.act, ObtainImage)]
    perform(want, [planning.anew(s) if anew else s for s in steps], where, tell, say)


def perform(want: Stack, steps: Sequence[Step], where: Folder, tell: Tell, say: Say) -> None:
    """Perform the part of the plan that is about images."""
    execute.perform(steps, want, where, tell)
    say(f"{len(steps)} done" if steps else "nothing was left to do")
