"""A suite of tests that runs again after each change: one run at a time, beside all else, ended by the next change."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from time import monotonic

from devenv.commands import export
from devenv.errors import CommandFailed, DevenvError
from devenv.reconcile.environment import Environment
from devenv.system import process
from devenv.system.cancel import Cancel

LIMIT_S = 24 * 3600.0  # of one run: a person is there, and ends one that hangs by the next save


@dataclass
class Run:
    """A suite that runs. `ended` is called in its thread when it has come to its end; `told` says then how it went."""

    suite: export.Suite
    log: Path
    ended: Callable[[], None]
    told: DevenvError | float | None = None  # why it failed, or after how many seconds it passed
    cancel: Cancel = field(default_factory=Cancel)

    def __post_init__(self) -> None:
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        begun, suite = monotonic(), self.suite
        try:
            process.run(
                suite.argv, cwd=suite.folder, env=suite.environment, log=self.log, within_s=LIMIT_S,
                cancel=self.cancel, holds=False,
            )  # fmt: skip
            self.told = monotonic() - begun
        except DevenvError as error:
            self.told = error
        self.ended()

    def end(self) -> None:
        """End it with all that it has started, and return when none of these lives."""
        self.cancel.request()
        self._thread.join()


@dataclass
class Retest:
    """A suite by its name, with the arguments that a person gave for it."""

    name: str
    args: list[str]
    prepare: Callable[[Environment, list[str]], export.Suite]  # what runs it against the stack, with arguments
    log: Callable[[str], None]
    error: Callable[[str], None]
    wake: Callable[[], None]  # called when a run has ended, from another thread
    due: bool = False
    run: Run | None = None

    def files(self, env: Environment) -> frozenset[PurePath]:
        """Return the files and folders of the project that the suite's command names."""
        return named([*export.known(env, self.name).run, *self.args], env.settings.root)

    def end(self) -> None:
        """End a run, for what it tests is changing; none is due until that has settled."""
        self.due = False
        if self.run:
            self.run.end()
        self.run = None

    def go_on(self, env: Environment, waiting: bool) -> None:
        """Tell of a run that has come to its end, and begin one that is due, unless another change is `waiting`."""
        if self.run and self.run.told is not None:
            self.tell(self.run)
            self.run = None
        if self.due and not waiting:
            self.end()
            try:
                self.run = self.begin(env)
            except DevenvError as error:
                self.error(f"{self.name}: {error}")

    def begin(self, env: Environment) -> Run:
        first = ["--failed-first"] if is_pytest(export.known(env, self.name).run) else []
        suite = self.prepare(env, [*first, *self.args])
        return Run(suite, env.folder.log(f"test-{self.name}"), self.wake)

    def tell(self, run: Run) -> None:
        match run.told:
            case CommandFailed(code=code, output=output):
                self.error(f"{self.name}: exit code {code}\n{output}\nhint: all of it is in {run.log}")
            case DevenvError() as error:
                self.error(f"{self.name}: {error}")
            case float(seconds):
                self.log(f"{self.name}: passed after {seconds:.1f} s")


def is_pytest(run: list[str]) -> bool:
    """Whether a command is pytest itself, which knows --failed-first unless it is to keep no cache."""
    program, module = PurePath(run[0]).name, run[1:3]
    runs = program in ("pytest", "py.test") or (program.startswith("python") and module == ["-m", "pytest"])
    return runs and not any("no:cacheprovider" in word for word in run)


def named(words: list[str], root: Path) -> frozenset[PurePath]:
    """Return what of the words of a command is a file or a folder below `root`: of `tests/a.py::test`, the file."""
    found = (root / word.partition("::")[0] for word in words if word and not word.startswith("-"))
    paths = {path.resolve() for path in found if exists(path)}
    return frozenset(path for path in paths if path.is_relative_to(root) and path != root)


def exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a word that is too long for a name, or that no name can be
        return False
