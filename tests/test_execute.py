"""Performing a plan and taking it back, with real files as the world."""

from pathlib import Path

import pytest

from devenv.project import settings
from devenv.reconcile import environment
from devenv.reconcile.actions import Step, WriteEnvFile
from devenv.reconcile.execute import Event, Executor
from devenv.reconcile.handlers import Handlers
from devenv.system.state import Folder
from tests.cluster.environment import CHECKOUT


def executor(folder: Path) -> tuple[Executor, list[str]]:
    here = settings.load(CHECKOUT / "tests/projects/hello/pyproject.toml", {}, {})
    env = environment.of(here, Folder(folder))
    said: list[str] = []

    def on_event(event: Event) -> None:
        said.append(f"{event.state} {event.step.name}")

    return Executor(Handlers(env), on_event), said


def write(file: Path, text: str, undo: str | None = None, needs: tuple[str, ...] = ()) -> Step:
    return Step(file.name, WriteEnvFile(file, text), "a test", 5, needs, WriteEnvFile(file, undo) if undo else None)


def test_a_step_comes_after_those_it_needs_and_says_when_it_starts_and_ends(tmp_path: Path) -> None:
    performs, said = executor(tmp_path)
    first, second = write(tmp_path / "a", "1"), write(tmp_path / "b", "2", needs=("a", "not in the plan"))
    performs.perform([second, first])
    assert said == ["started a", "done a", "started b", "done b"]
    assert [(tmp_path / name).read_text() for name in "ab"] == ["1", "2"]


def test_the_first_failure_is_raised_and_what_needs_the_step_is_not_begun(tmp_path: Path) -> None:
    performs, said = executor(tmp_path)
    broken = write(tmp_path / "missing/b", "2", needs=("a",))
    with pytest.raises(FileNotFoundError):
        performs.perform([write(tmp_path / "a", "1"), broken, write(tmp_path / "c", "3", needs=("b",))], drain=True)
    assert said == ["started a", "done a", "started b", "failed b"]
    assert not (tmp_path / "c").exists()
    assert performs.handlers.cancel.requested


def test_what_was_begun_is_taken_back_the_last_first_and_what_has_no_way_back_stays(tmp_path: Path) -> None:
    performs, said = executor(tmp_path)
    steps = [
        write(tmp_path / "a", "new", undo="old"),
        write(tmp_path / "b", "new", needs=("a",)),
        write(tmp_path / "c", "new", undo="old", needs=("b",)),
        write(tmp_path / "missing/d", "new", needs=("c",)),
        write(tmp_path / "e", "new", undo="old", needs=("d",)),
    ]
    with pytest.raises(FileNotFoundError):
        performs.perform(steps, drain=True)
    said.clear()
    performs.undo([write(tmp_path / "after", "seen")])
    assert said == [f"{state} {name}" for name in ("undo c", "undo a", "after") for state in ("started", "done")]
    assert {name: (tmp_path / name).read_text() for name in ("a", "b", "c")} == {"a": "old", "b": "new", "c": "old"}
    assert not (tmp_path / "e").exists()


def test_a_plan_without_steps_does_nothing(tmp_path: Path) -> None:
    performs, said = executor(tmp_path)
    performs.perform([])
    assert (said, [*tmp_path.iterdir()]) == ([], [])
