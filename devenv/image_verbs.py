"""What `devenv images` does, apart from printing: each function returns values that cli_images.py shows."""

from collections.abc import Callable
from typing import Any

from devenv import execute, observe, provider, sources, state
from devenv import plan as planning
from devenv.acts import LoadImage, ObtainImage
from devenv.config import Settings
from devenv.errors import DevenvError, UsageError
from devenv.execute import Tell
from devenv.plan import Cluster, Observed
from devenv.stack import Stack

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


def build(settings: Settings, names: list[str], tell: Tell, say: Say) -> None:
    some_steps(settings, names, "images build", (ObtainImage,), tell, say)


def load(settings: Settings, names: list[str], tell: Tell, say: Say) -> None:
    some_steps(settings, names, "images load", (ObtainImage, LoadImage), tell, say)


def some_steps(settings: Settings, names: list[str], doing: str, acts: tuple[type, ...], tell: Tell, say: Say) -> None:
    """Perform the part of the plan that is about images."""
    where = provider.place(settings)
    with state.locked(where, doing, say):
        want = sources.load(settings)
        if unknown := [name for name in names if name not in want.images]:
            raise UsageError(f"no image {', '.join(unknown)}; there are: {', '.join(want.images)}")
        have = observe.snapshot(want, where)
        if LoadImage in acts and have.cluster is not Cluster.RUNNING:
            raise DevenvError(f"cluster {settings.project.name} is not running; next: devenv up")
        chosen = planning.image_plan(want, have, names or want.roots)
        steps = [s for s in chosen if isinstance(s.act, acts)]
        execute.perform(steps, want, where, tell)
        say(f"{len(steps)} done" if steps else "nothing was left to do")
