"""devenv dev: the stack up, and each change of its files on its way into it until the person ends that."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path, PurePath

from devenv.commands import export, retest
from devenv.commands.loop import Loop, Person
from devenv.project import sources
from devenv.reconcile import watched
from devenv.reconcile.environment import Environment
from devenv.reconcile.ways import Way, way_of
from devenv.system.follow import Following

LOOKS_EACH_S = 5.0  # for pods that were replaced


def explain(env: Environment, path: Path, test: str | None = None, args: Sequence[str] = ()) -> Way:
    """Return the way that a change of a path takes, also where a suite is to run after each. Asks no cluster."""
    files = retest.named([*export.known(env, test).run, *args], env.settings.root) if test else frozenset[PurePath]()
    return way_of(path.resolve().parent / path.name, watched.watched(sources.load(env.settings), files))


def suite(name: str, person: Person, env: Environment, args: list[str]) -> export.Suite:
    return export.suite(env, name, args, None, person.log)


def dev(env: Environment, person: Person, test: str | None = None, args: Sequence[str] = ()) -> None:
    """Bring the stack up and follow its files until the person interrupts that; the stack stays up. A suite to `test`
    runs once it is up, and again after each change.

    Raise DevenvError where it does not come up at first, or where it is taken down meanwhile.
    """
    following = Following()
    tests = None
    if test:
        export.known(env, test)
        tests = retest.Retest(test, [*args], partial(suite, test, person), person.log, person.error, following.wake)
    loop = Loop(env, person, following, tests)
    try:
        loop.bring_up()
        person.log(f"{env.project.name}: following its files; Ctrl-C ends this, and all stays up")
        if env.project.context and any(image.sync for image in env.project.images.values()):
            person.log("on an existing cluster no file is sent into a container: a change is built and pushed")
        loop.test_next()
        while True:
            if tests:
                tests.go_on(loop.env, following.waiting)
            loop.turn(following.take(LOOKS_EACH_S))
    except KeyboardInterrupt:
        if loop.busy:
            raise
        person.log(f"{env.project.name} stays up{loop.ahead()}; `devenv down` removes it")
    finally:
        following.end()
        if tests:
            tests.end()
