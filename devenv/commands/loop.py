"""The loop of devenv dev: changed paths in, the running stack as its files are, a line for the person out."""

import os
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

from devenv.commands.retest import Retest
from devenv.commands.up import up
from devenv.errors import DevenvError, UsageError
from devenv.project import isolated, sources
from devenv.project.settings import Settings
from devenv.project.stack import Stack
from devenv.reconcile import environment
from devenv.reconcile import watched as project_files
from devenv.reconcile.environment import Environment
from devenv.reconcile.execute import OnEvent
from devenv.reconcile.sync import Sent, Syncer
from devenv.reconcile.ways import Kind, Watched, merged, way_of
from devenv.system import state
from devenv.system.follow import Following

SHOWN = 3  # names of files in a line
IDENTITY = ("name", "namespace", "context", "registry")  # of an environment: another is another's affair


class TakenDown(DevenvError):
    """Another command has removed what is followed."""


@dataclass
class Person:
    """How a person hears of changes, and answers."""

    on_event: OnEvent
    log: Callable[[str], None]
    error: Callable[[str], None]
    agreed: Callable[[str], None]
    read_again: Callable[[Settings], None]  # told of settings that hold other passwords


@dataclass
class Loop:
    """One change at a time; what comes meanwhile is the next."""

    env: Environment
    person: Person
    following: Following
    tests: Retest | None = None  # what runs after each change that settled
    busy: bool = False  # with steps that an interrupt leaves half done
    whole: bool = False  # the stack was brought up to its end
    sent: bool = False  # the change under way has reached a container
    open: dict[tuple[str, str], Sent] = field(default_factory=dict)  # what containers were not seen to take yet
    what: list[Path] = field(default_factory=list)  # files of it
    told: str = ""  # the last error of looking after pods: the same again is no news
    identity: dict[str, str | None] = field(default_factory=dict)
    syncer: Syncer | None = None

    def turn(self, changed: Collection[Path]) -> None:
        """Bring in what has changed, or look after pods that were replaced. Tell how it went in one line."""
        self.require_up()
        if not changed:
            self.look_after()
            return
        assert self.syncer
        # A folder that was put in the place of another, as by git, is another one to the system too.
        if any(self.following.follows(path) and not path.is_file() for path in changed):
            self.following.follow(project_files.paths(self.syncer.watched), anew=True)
        ways = {path: way_of(path, self.syncer.watched) for path in changed if not self.is_known(path)}
        way = merged(ways.values())
        if way.kind is Kind.IGNORED:
            self.look_after()  # what came before it may have been left for it
            return
        self.what = [path for path, one in ways.items() if one.kind is not Kind.IGNORED]
        if self.tests:
            self.tests.end()
        start, self.sent = monotonic(), False
        try:
            if way.kind is Kind.TEST and self.whole:
                how = ""
            elif way.kind is Kind.SYNC and self.whole:
                how = self.sync()
            else:
                self.bring_up(again=not self.whole or way.kind in (Kind.TABLE, Kind.ENV))
                how = f"{way.kind.name.lower()}, answers"
        except TakenDown:
            raise
        except DevenvError as error:
            goes_on = "what was sent is what runs" if self.sent else "what was not replaced goes on as it was"
            self.person.error(f"{self.shown(self.what)}: {error}\nhint: mend it and save again; {goes_on}")
        else:
            if how:
                self.person.log(f"{self.shown(self.what)}: {how} after {monotonic() - start:.1f} s")
            self.test_next()

    def test_next(self) -> None:
        """Have the suite run, for what it tests is in place."""
        if self.tests:
            self.tests.due = True

    def is_known(self, path: Path) -> bool:
        """Whether a path is the env-file with the settings that the stack has: the first `up` itself writes it."""
        assert self.syncer
        if path != self.syncer.watched.env_file or not self.whole:
            return False
        try:
            return sources.environment(self.env.settings)[0] == self.syncer.desired.env_file
        except UsageError:  # told on its way
            return False

    def bring_up(self, again: bool = False) -> None:
        """Bring the stack to what its files say now, with the settings read `again`."""
        self.whole = False
        if again or not self.identity:
            self.read_settings()
        desired = self.desired_and_followed()
        with self.working():
            up(self.env, self.person.on_event, lambda _: None, self.person.agreed, desired=desired)
        self.syncer, self.whole, self.open = Syncer(self.env, desired, self.layout(desired)), True, {}

    def layout(self, desired: Stack) -> Watched:
        return project_files.watched(desired, self.tests.files(self.env) if self.tests else frozenset())

    def desired_and_followed(self) -> Stack:
        """Return the stack as its files are now; what changes from now on is heard of."""
        desired = sources.load(self.env.settings)
        of = self.layout(desired)
        project_files.require_reachable(desired, of)
        others = self.following.follow(project_files.paths(of))
        return sources.load(self.env.settings) if others else desired  # it may have changed before it was followed

    def read_settings(self) -> None:
        """Read the table and the env-file again. Raise UsageError where they are another environment's."""
        now, file = self.env.project, self.env.settings.file
        own = self.env.settings.isolation
        isolate = own is not None and not own.auto  # what the table itself asks for, it goes on asking for
        plain = isolated.load(file, os.environ, {}, isolate=isolate).project
        found = {key: getattr(plain, key) for key in IDENTITY}
        if self.identity and found != self.identity:
            keys = ", ".join(key for key in IDENTITY if found[key] != self.identity[key])
            raise UsageError(f"{file}: {keys}: another environment than the one that is followed\nhint: run it again")
        self.identity = found
        flags = {key: getattr(now, key) for key in IDENTITY if key != "name"}
        settings = isolated.load(file, os.environ, flags, isolate=isolate)
        self.person.read_again(settings)
        self.env = environment.of(settings, self.env.folder)

    def sync(self) -> str:
        """Send what changed, and return how it went; where nothing runs the image any more, bring the stack up."""
        assert self.syncer
        self.what = self.syncer.read() or self.what  # not what was there for a moment
        sent = self.send()
        if self.syncer.homeless:
            self.bring_up()
            return "nothing ran its image any more: up, answers"
        self.sent = bool(sent)
        return self.settled(sent)

    def send(self) -> list[Sent]:
        """Send what is lacking, when no other command changes the environment."""
        assert self.syncer
        with state.locked(self.env.folder, "dev", self.person.log):
            try:
                self.require_up()
            except TakenDown:
                state.remove_lock(self.env.folder)  # ours: `down` leaves nothing behind, and neither do we
                raise
            return self.syncer.send()

    def require_up(self) -> None:
        """Raise TakenDown where the environment is gone."""
        if not self.env.folder.path.exists():
            raise TakenDown(f"{self.env.project.name} was taken down: nothing is followed any more")

    def settled(self, sent: list[Sent]) -> str:
        """Wait for containers to take what they were `sent`, now or before, and return how that went.

        Where another change comes meanwhile, they are waited for after that one.
        """
        assert self.syncer
        waited, self.open = {**self.open, **{one.target.key: one for one in sent}}, {}
        if not waited:
            return ""
        whole = self.syncer.settle(waited.values(), lambda: self.following.waiting)
        self.open = {} if whole else waited
        pods = f"{len(waited)} container{'s' if len(waited) > 1 else ''}"
        return f"sent to {pods}, answers" if whole else f"sent to {pods}, and followed by another change"

    def look_after(self) -> None:
        """Send pods that were replaced what those before them had once they are there."""
        assert self.syncer
        if not (self.whole and (self.syncer.ahead or self.open)):
            return
        begun = monotonic()
        try:
            if self.open:
                how = self.settled(self.send())
                self.person.log(f"{self.shown(self.what)}: {how} after {monotonic() - begun:.1f} s more")
            elif sent := self.send():
                self.person.log(f"{self.shown(Path(s.target.pod.id.name) for s in sent)}: {self.settled(sent)} again")
        except TakenDown:
            raise
        except DevenvError as error:
            if (told := str(error)) != self.told:
                self.person.error(f"pods that were replaced may run their image's code: {told}")
            self.told = told
        else:
            self.told = ""

    def ahead(self) -> str:
        """Return how far its containers are ahead of their images, as the end of a sentence."""
        count = self.syncer.ahead if self.syncer else 0
        return f", {count} file{'s' if count > 1 else ''} ahead of its images" if count else ""

    @contextmanager
    def working(self) -> Iterator[None]:
        self.busy = True
        try:
            yield
        except Exception:
            self.busy = False
            raise
        self.busy = False

    def shown(self, paths: Iterable[Path]) -> str:
        """Return the names of files as a person has them, the first few of many."""
        root = self.env.settings.root
        found = sorted(str(path.relative_to(root)) if path.is_relative_to(root) else str(path) for path in paths)
        more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
        return ", ".join(found[:SHOWN]) + more
