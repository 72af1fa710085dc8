"""devenv dev: the stack up, and each change of its files on its way into it until the person ends that."""

from pathlib import Path

from devenv.commands.loop import Loop, Person
from devenv.project import sources
from devenv.project.settings import Settings
from devenv.reconcile import watched
from devenv.reconcile.environment import Environment
from devenv.reconcile.ways import Way, way_of
from devenv.system.follow import Following

LOOKS_EACH_S = 5.0  # for pods that were replaced


def explain(settings: Settings, path: Path) -> Way:
    """Return the way that a change of a path takes. Asks no cluster."""
    return way_of(path.resolve().parent / path.name, watched.watched(sources.load(settings)))


def dev(env: Environment, person: Person) -> None:
    """Bring the stack up and follow its files until the person interrupts that; the stack stays up.

    Raise DevenvError where it does not come up at first, or where it is taken down meanwhile.
    """
    following = Following()
    loop = Loop(env, person, following)
    try:
        loop.bring_up()
        person.log(f"{env.project.name}: following its files; Ctrl-C ends this, and all stays up")
        if env.project.context and any(image.sync for image in env.project.images.values()):
            person.log("on an existing cluster no file is sent into a container: a change is built and pushed")
        while True:
            loop.turn(following.take(LOOKS_EACH_S))
    except KeyboardInterrupt:
        if loop.busy:
            raise
        person.log(f"{env.project.name} stays up{loop.ahead()}; `devenv down` removes it")
    finally:
        following.end()
