"""The timelines of the last runs: recorded while a command runs, kept in the environment's folder."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic, time
from typing import ClassVar

from devenv.errors import Interrupted
from devenv.reconcile import timeline
from devenv.reconcile.timeline import STARTED, Mark, Timeline
from devenv.system import process, state
from devenv.system.state import Folder

KEPT = 10  # runs of an environment


class Run:
    """What a command does, as it does it. Threads may share it."""

    first: ClassVar[bool] = True  # no run of this process has begun

    def __init__(self) -> None:
        self.verb, self.outcome = "", "done"
        self.namespaces: tuple[str, ...] = ()
        self._marks: list[Mark] = []
        self._began = self._ended = monotonic()

    def begin(self, verb: str) -> None:
        """Count a process's first run from its start: Python's own and the reading of the settings are a phase too."""
        now = monotonic()
        self.verb, self._began = verb, now - (process.age() if Run.first else 0.0)
        Run.first = False  # `devenv dev` has one after another
        self._ended = self._began
        self._marks = [Mark("command line", STARTED, self._began), Mark("command line", "done", now)]

    def mark(self, mark: Mark) -> None:
        self._marks.append(mark)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Record what is done in the block as one part of the run."""
        self.mark(Mark(name, STARTED, monotonic()))
        try:
            yield
        except BaseException:
            self.mark(Mark(name, "failed", monotonic()))
            raise
        self.mark(Mark(name, "done", monotonic()))

    def end(self, outcome: str) -> None:
        self.outcome, self._ended = outcome, monotonic()

    def timeline(self) -> Timeline:
        """Return the run up to its end; threads of a run that was interrupted may go on for a moment."""
        marks = [mark for mark in tuple(self._marks) if mark.at <= self._ended]
        seconds, began = self._ended - self._began, time() - (monotonic() - self._began)
        found = timeline.spans(marks, self._began, self._ended)
        return Timeline(self.verb, began, seconds, self.outcome, found, self.namespaces)


@contextmanager
def locked(run: Run, folder: Folder, doing: str, log: Callable[[str], None]) -> Iterator[None]:
    """Hold the folder's lock (`state.locked`). The wait for it is a phase of the run."""
    with ExitStack() as held:
        with run.phase("lock"):
            held.enter_context(state.locked(folder, doing, log))
        yield


@contextmanager
def kept(run: Run, folder: Folder, verb: str, log: Callable[[str], None]) -> Iterator[None]:
    """Record the block as a run of the verb and keep its timeline, however it ends, where the environment has a folder.

    Without one nothing was begun, or everything was removed. A timeline that cannot be kept is no failure.
    """
    run.begin(verb)
    outcome = "failed"
    try:
        yield
        outcome = "done"
    except (KeyboardInterrupt, Interrupted):
        outcome = "interrupted"
        raise
    finally:
        run.end(outcome)
        try:
            keep(folder, run.timeline())
        except OSError as error:
            log(f"the timeline of this run is not kept: {error}")


def keep(folder: Folder, run: Timeline) -> None:
    """Write a timeline (0600) and remove those of all but the last few runs."""
    if not folder.path.exists():
        return
    folder.runs.mkdir(mode=0o700, exist_ok=True)
    state.write(folder.runs / f"{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}.json", json.dumps(timeline.as_json(run)))
    for old in files(folder)[KEPT:]:
        with suppress(FileNotFoundError):
            old.unlink()


def files(folder: Folder) -> list[Path]:
    """Return the files of the kept runs, the latest first."""
    return sorted(folder.runs.glob("*.json"), reverse=True)


def kept_runs(folder: Folder) -> list[Timeline]:
    """Return the kept runs, the latest first."""
    return [run for file in files(folder) if (run := timeline.parse(state.read_json(file)))]
