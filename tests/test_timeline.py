"""The timeline of a run and its critical path: over random plans, over real steps, and as it is kept."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devenv.errors import DevenvError
from devenv.reconcile import runs, timeline
from devenv.reconcile.execute import Executor
from devenv.reconcile.runs import Run
from devenv.reconcile.timeline import CUT_OFF, STARTED, Mark, Span
from devenv.system.state import Folder
from tests.test_execute import executor, write

MOMENT = st.integers(0, 5)


@st.composite
def recorded(draw: st.DrawFn) -> tuple[list[Mark], float]:
    """Return the marks of a run with phases and plans of any shape, in order, and its end. Times are whole numbers."""
    now, marks = draw(MOMENT), []
    for part in range(draw(st.integers(0, 4))):
        end = now + draw(MOMENT)
        marks += [Mark(f"phase {part}", STARTED, now), Mark(f"phase {part}", "done", end)]
        ends: dict[str, int] = {}
        # The same name in several plans of one run: the later one is meant.
        for number in range(draw(st.integers(0, 6))):
            needs = draw(st.lists(st.sampled_from([*ends, "not in the plan"]), max_size=3))
            start = max([end, *(ends[n] for n in needs if n in ends)]) + draw(MOMENT)
            ends[f"step {number}"] = start + draw(MOMENT)
            name = f"step {number}"
            marks += [Mark(name, STARTED, start, tuple(needs)), Mark(name, "done", ends[name], tuple(needs))]
        now = max([end, *ends.values()]) + draw(MOMENT)
    # Stable: what starts at the moment in which another ends comes after it, as the executor has it.
    return sorted(marks, key=lambda m: m.at), now


@given(recorded())
def test_the_critical_path_is_a_chain_of_needs_that_accounts_for_the_whole_run(run: tuple[list[Mark], float]) -> None:
    marks, ended = run
    spans = timeline.spans(marks, 0, ended)
    path = timeline.critical_path(spans)
    assert bool(path) == bool(spans)
    if not path:
        return
    assert path[-1].span.end == max(s.end for s in spans)
    assert path[0].after is None
    for before, link in pairwise(path):
        assert link.after is before.span
        needed = [spans[n] for n in link.span.needs]
        assert any(n is before.span for n in needed)
        assert before.span.end == max(n.end for n in needed) <= link.span.start
    assert all(link.gap >= 0 for link in path)
    whole = timeline.Timeline("up", 0, ended, "done", spans)
    assert sum(x.gap + x.span.end - x.span.start for x in path) + timeline.rest(whole) == ended


@given(recorded(), st.data())
def test_a_run_that_ends_early_has_its_open_spans_cut_off_at_its_end(
    run: tuple[list[Mark], float], data: st.DataObject
) -> None:
    marks, ended = run
    seen = marks[: data.draw(st.integers(0, len(marks)))]
    end = seen[-1].at if seen else ended
    spans = timeline.spans(seen, 0, end)
    assert len(spans) == len([m for m in seen if m.state == STARTED])
    assert [s.end for s in spans if s.state == CUT_OFF] == [end] * (2 * len(spans) - len(seen))
    path = timeline.critical_path(spans)
    whole = timeline.Timeline("up", 0, end, "interrupted", spans)
    assert sum(x.gap + x.span.end - x.span.start for x in path) + timeline.rest(whole) == end


@given(recorded())
def test_a_kept_timeline_is_read_as_it_was(run: tuple[list[Mark], float]) -> None:
    marks, ended = run
    whole = timeline.Timeline("test a", 1.5, ended, "failed", timeline.spans(marks, 0, ended), ("shop",))
    assert timeline.parse(timeline.as_json(whole)) == whole


@pytest.mark.parametrize("other", [None, [], {}, {"spans": [{}]}, {"verb": "up", "spans": [], "namespaces": []}])
def test_a_file_that_is_no_timeline_is_passed_over(other: Any) -> None:
    assert timeline.parse(other) is None


def perform(performs: Executor, folder: Path, verb: str = "up") -> None:
    run = performs.handlers.env.run
    with runs.kept(run, Folder(folder), verb, pytest.fail):
        with run.phase("load"):
            pass
        first, second = write(folder / "a", "1"), write(folder / "b", "2", needs=("a", "not in the plan"))
        performs.perform([first, second, write(folder / "c", "3", needs=("b",))])


def needs(span: Span, found: tuple[Span, ...]) -> list[str]:
    return [found[n].name for n in span.needs]


def test_real_steps_are_in_the_timeline_with_what_they_waited_for(tmp_path: Path) -> None:
    performs, _ = executor(tmp_path)
    perform(performs, tmp_path)
    kept = runs.kept_runs(Folder(tmp_path))[0]
    assert kept.spans == performs.handlers.env.run.timeline().spans
    assert [(s.name, s.state, needs(s, kept.spans)) for s in kept.spans] == [
        ("command line", "done", []),
        ("load", "done", ["command line"]),
        ("a", "done", ["load"]),
        ("b", "done", ["load", "a"]),
        ("c", "done", ["load", "b"]),
    ]
    assert [link.span.name for link in timeline.critical_path(kept.spans)] == ["command line", "load", "a", "b", "c"]
    assert (kept.verb, kept.outcome) == ("up", "done")


def test_a_run_that_fails_or_is_interrupted_is_kept_as_that_with_what_it_had_begun(tmp_path: Path) -> None:
    performs, _ = executor(tmp_path)
    run = performs.handlers.env.run
    with pytest.raises(FileNotFoundError), runs.kept(run, Folder(tmp_path), "up", pytest.fail):
        performs.perform([write(tmp_path / "missing/a", "1"), write(tmp_path / "b", "2", needs=("a",))], drain=True)
    with pytest.raises(KeyboardInterrupt), runs.kept(run, Folder(tmp_path), "up", pytest.fail), run.phase("load"):
        raise KeyboardInterrupt
    interrupted, failed = runs.kept_runs(Folder(tmp_path))
    assert (failed.outcome, [(s.name, s.state) for s in failed.spans][1:]) == ("failed", [("a", "failed")])
    assert (interrupted.outcome, [(s.name, s.state) for s in interrupted.spans][1:]) == (
        "interrupted",
        [("load", "failed")],
    )


def test_what_is_undone_follows_what_was_begun_and_each_other(tmp_path: Path) -> None:
    performs, _ = executor(tmp_path)
    run = performs.handlers.env.run
    a, b = write(tmp_path / "a", "new", undo="old"), write(tmp_path / "b", "new", undo="old", needs=("a",))
    with runs.kept(run, Folder(tmp_path), "promote staging", pytest.fail):
        with pytest.raises(FileNotFoundError):
            performs.perform([a, b, write(tmp_path / "missing/c", "new", needs=("b",))], drain=True)
        performs.undo([write(tmp_path / "after", "seen")])
    path = [link.span.name for link in timeline.critical_path(run.timeline().spans)]
    assert path == ["command line", "a", "b", "c", "undo b", "undo a", "after"]


def test_only_the_last_runs_are_kept_each_for_its_owner_alone(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    for number in range(runs.KEPT + 3):
        with runs.kept(Run(), folder, f"test {number}", pytest.fail):
            pass
    assert [run.verb for run in runs.kept_runs(folder)] == [f"test {n}" for n in range(runs.KEPT + 2, 2, -1)]
    assert folder.runs.stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o777 for file in folder.runs.iterdir()} == {0o600}


def test_a_run_without_a_folder_makes_none_and_one_that_cannot_be_kept_says_so(tmp_path: Path) -> None:
    with runs.kept(Run(), Folder(tmp_path / "gone"), "down", pytest.fail):
        pass
    assert not (tmp_path / "gone").exists()
    (tmp_path / "runs").write_text("in the way")
    said: list[str] = []
    with pytest.raises(DevenvError, match="the cause"), runs.kept(Run(), Folder(tmp_path), "up", said.append):
        raise DevenvError("the cause")
    assert [line.split(":")[0] for line in said] == ["the timeline of this run is not kept"]
