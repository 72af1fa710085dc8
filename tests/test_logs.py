"""Logs: which there are of a pod, their lines in order of time, and what `devenv logs` prints of them."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devenv.cli import lines as rendered
from devenv.kube import logs
from devenv.kube.logs import Line, Source, Window
from devenv.kube.objects import Id, Object
from tests import looking
from tests.looking import PODS, Machine, at, container, owner, pod
from tests.waiting import eventually

WEB = Id("apps", "Deployment", "shop", "web", "shop")
POD = Id("", "Pod", "shop", "web-1-abcde", "shop")
SOURCE = Source(WEB, POD, "web", "r", False, True)


@pytest.mark.parametrize("state", ["waiting", "running", "terminated", "none"])
@pytest.mark.parametrize("ran_before", [True, False])
def test_each_run_of_a_container_that_has_a_log_is_read_once(state: str, ran_before: bool) -> None:
    """All states of a container. While it waits to run again, the API has the run before for both."""
    now = {"terminated": {"containerID": "r2"}} if state == "terminated" else {} if state == "none" else {state: {}}
    seen: dict[str, Any] = {"name": "web", "state": now, "containerID": "r2" if state != "waiting" else "r1"}
    seen |= {"lastState": {"terminated": {"containerID": "r1"}}} if ran_before else {}
    made = pod("web-1-abcde", owner("ReplicaSet", "web-1"), seen)
    found = [(s.run, s.previous, s.runs) for s in logs.sources(WEB, Object.parse(made, "shop"))]
    before = [("r1", True, False)] if ran_before else []
    current = {"running": [("r2", False, True)], "terminated": [("r2", False, False)]}
    assert found == before + current.get(state, [])


def test_init_containers_come_first() -> None:
    made = pod("p", owner("ReplicaSet", "web-1"), container("web", "r2"), init=(container("copy", "r1", runs=False),))
    assert [s.container for s in logs.sources(WEB, Object.parse(made, "shop"))] == ["copy", "web"]


@given(st.binary(max_size=200), st.lists(st.integers(0, 200)))
def test_lines_are_the_same_wherever_a_stream_is_cut(data: bytes, cuts: list[int]) -> None:
    bounds = [0, *sorted(cuts), 200]
    pieces = [data[a:b] for a, b in pairwise(bounds)]
    whole = data.split(b"\n")
    assert [*logs.split(pieces)] == (whole if whole[-1] else whole[:-1])


@given(st.lists(st.binary(max_size=60)), st.integers(1, 9))
def test_a_line_without_an_end_is_cut_and_nothing_of_it_is_lost(pieces: list[bytes], longest: int) -> None:
    found = [*logs.split(pieces, longest)]
    assert b"".join(found) == b"".join(pieces).replace(b"\n", b"")
    assert all(len(line) <= longest + 60 for line in found)


def lines_of(times: list[int], source: Source = SOURCE) -> list[Line]:
    return [Line(f"{time:09}", str(number), source) for number, time in enumerate(times)]


@given(st.lists(st.lists(st.integers(0, 99)).map(sorted), max_size=5))
def test_several_logs_become_one_in_order_of_time_and_each_keeps_its_own_order(logs_: list[list[int]]) -> None:
    streams = [lines_of(times, Source(WEB, POD, str(n), "r", False, True)) for n, times in enumerate(logs_)]
    found = [*logs.merged(map(iter, streams))]
    assert [line.time for line in found] == sorted(line.time for line in found)
    for number, lines in enumerate(streams):
        assert [line for line in found if line.source.container == str(number)] == lines


def test_no_more_of_a_log_is_read_than_one_line_ahead() -> None:
    read = [0, 0]

    def log(number: int) -> Iterator[Line]:
        for time in range(1000):
            read[number] += 1
            yield Line(f"{time:09}", "", SOURCE)

    found = logs.merged([log(0), log(1)])
    for _ in range(10):
        next(found)
    assert max(read) <= 10 // 2 + 2


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 3))), st.integers(1, 20), st.integers(1, 9))
def test_what_comes_at_once_is_put_in_order_and_never_held_longer_or_in_greater_number(
    steps: list[tuple[int, int]], hold: int, limit: int
) -> None:
    window, now, arrived, out = Window(hold, limit), 0, dict[int, int](), list[Line]()
    for number, (time, pause) in enumerate(steps):
        now += pause
        arrived[number] = now
        window.add(Line(f"{time:09}", str(number), SOURCE), now)
        batch = [*window.due(now)]
        assert [line.time for line in batch] == sorted(line.time for line in batch)
        out += batch
        held = [at for n, at in arrived.items() if str(n) not in {line.text for line in out}]
        assert len(held) <= limit
        assert all(now - at < hold for at in held)
    out += window.due(now + hold)
    assert sorted(int(line.text) for line in out) == [*range(len(steps))]


@pytest.mark.parametrize(
    ("stamp", "time"),
    [
        ("2026-01-01T10:00:00.000000001Z", "2026-01-01T10:00:00.000000001Z"),
        ("2026-01-01T10:00:00Z", "2026-01-01T10:00:00.000000000Z"),
        ("2026-01-01T10:00:00.5Z", "2026-01-01T10:00:00.500000000Z"),
        ("2026-01-01T12:00:00.123456789+02:00", "2026-01-01T10:00:00.123456789Z"),
        ("2026-13-01T10:00:00Z", ""),
        ("0001-01-01T00:00:00+01:00", ""),
        ("hello", ""),
        ("", ""),
    ],
)
def test_times_sort_as_text_whatever_their_zone_and_digits(stamp: str, time: str) -> None:
    assert logs.canonical(stamp) == time


def test_what_has_no_time_follows_the_line_before_and_what_was_read_is_not_read_again() -> None:
    raw = [at(1, "a").encode(), b"the rest", at(2, "b \xff").encode("latin-1"), at(3, "").encode()]
    found = [(line.time[17:19], line.text) for line in logs.lines(raw, SOURCE)]
    assert found == [("01", "a"), ("01", "the rest"), ("02", "b �"), ("03", "")]
    later = [line.text for line in logs.lines(raw, SOURCE, after=logs.canonical(at(1, "").split()[0]))]
    assert later == ["b �", ""]


def test_a_label_says_which_pod_and_container_in_few_characters() -> None:
    labels = {
        Source(WEB, POD, "web", "r", False, True): "web-abcde",
        Source(WEB, POD, "copy", "r", True, False): "web-abcde/copy (previous)",
        Source(Id("apps", "StatefulSet", "shop", "db"), Id("", "Pod", "shop", "db-0"), "db", "r", False, True): "db-0",
        Source(Id("x", "Cluster", "shop", "pg"), Id("", "Pod", "shop", "other"), "c", "r", False, True): "other/c",
    }
    assert {source: source.label for source in labels} == labels


def test_lines_are_coloured_by_part_and_no_colour_runs_on() -> None:
    db = Source(Id("apps", "StatefulSet", "shop", "db"), Id("", "Pod", "shop", "db-0"), "db", "r", False, True)
    plain, bright = rendered.Rendering(), rendered.Rendering(rendered.colours((WEB, db.part)))
    shown = [plain.text(Line("", "x", SOURCE), "x\x1b[1my"), plain.text(Line("", "x", db), "z")]
    assert shown == ["web-abcde | x\x1b[1my\n", "db-0      | z\n"]
    assert bright.text(Line("", "x", SOURCE), "x\x1b[1my") == "\x1b[36mweb-abcde |\x1b[0m x\x1b[1my\x1b[0m\n"
    assert bright.text(Line("", "x", db), "z").startswith("\x1b[33m")


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """A machine where two pods of web, one of db and one of a stranger have said something."""
    with looking.machine(tmp_path) as made:
        cluster = made.cluster
        first = container("web", "w1", last="w0")
        copy = container("copy", "c1", runs=False)
        cluster.put(f"{PODS}/web-1-aaaaa", pod("web-1-aaaaa", owner("ReplicaSet", "web-1"), first, init=(copy,)))
        cluster.put(f"{PODS}/db-0", pod("db-0", owner("StatefulSet", "db"), container("db", "d1")))
        cluster.put(f"{PODS}/other", pod("other", owner("ReplicaSet", "gone"), container("other", "o1")))
        cluster.say("c1", at(1, "copied"))
        cluster.say("w0", at(2, "crashes"))
        cluster.say("w1", at(4, "up again"), at(6, "password is hunter2secret"))
        cluster.say("d1", at(3, "ready"), at(5, "checkpoint"))
        cluster.say("o1", at(1, "nobody's"))
        yield made


WHOLE = [
    "web-aaaaa/copy       | copied",
    "web-aaaaa (previous) | crashes",
    "db-0                 | ready",
    "web-aaaaa            | up again",
    "db-0                 | checkpoint",
    "web-aaaaa            | password is ***",
]


def squeezed(lines: list[str]) -> list[str]:
    """Return lines whatever the width of their labels, which grows with the labels that came."""
    return [re.sub(r" +\|", " |", line) for line in lines]


def test_all_containers_speak_in_order_of_time_init_and_previous_ones_too(machine: Machine) -> None:
    assert squeezed(machine.fine("logs")) == squeezed(WHOLE)


def test_a_part_is_named_as_status_names_it_or_in_short(machine: Machine) -> None:
    for name in ("statefulset/db", "sts/db", "db", "db@shop"):
        assert machine.fine("logs", name) == ["db-0 | ready", "db-0 | checkpoint"], name
    assert len(machine.fine("logs", "db", "deploy/web")) == len(WHOLE)
    wrong = machine.run("logs", "dbb")
    assert wrong.returncode == 2
    assert "nothing here is named dbb; there are: deployment/web, job/move, statefulset/db" in wrong.stderr


def test_few_lines_can_be_asked_for(machine: Machine) -> None:
    assert machine.fine("logs", "db", "--tail", "1") == ["db-0 | checkpoint"]
    assert machine.fine("logs", "--grep", "^(re|che)") == ["db-0 | ready", "db-0 | checkpoint"]
    assert machine.fine("logs", "--grep", "hunter2") == []
    assert "--grep (: " in machine.run("logs", "--grep", "(").stderr
    machine.fine("logs", "--since", "90s")
    assert any("sinceSeconds=90" in line for line in machine.cluster.asked)


def test_json_has_a_line_for_each_with_all_that_is_known_of_it(machine: Machine) -> None:
    found = [json.loads(line) for line in machine.fine("logs", "-o", "json")]
    assert found[1] == {
        "time": "2026-01-01T10:00:02.000000000Z", "part": "deployment/web", "namespace": "shop", "pod": "web-1-aaaaa",
        "container": "web", "previous": True, "text": "crashes",
    }  # fmt: skip
    assert found[5]["text"] == "password is ***"


def test_follow_goes_on_over_a_restart_a_new_pod_and_a_broken_connection(machine: Machine) -> None:
    cluster = machine.cluster
    with machine.following("logs", "web", "-f") as told:
        eventually(lambda: len(told.lines) == 4 and cluster.streams() == 1)
        cluster.say("w1", at(7, "seven"))
        eventually(lambda: len(told.lines) == 5)
        # Its container starts again in place, and says something before its former run is read to its end.
        cluster.logs["w2"] = [at(9, "nine")]
        cluster.put(
            f"{PODS}/web-1-aaaaa", pod("web-1-aaaaa", owner("ReplicaSet", "web-1"), container("web", "w2", last="w1"))
        )
        cluster.say("w1", at(8, "eight"))
        cluster.end("w1")
        eventually(lambda: len(told.lines) == 7)
        cluster.cut()
        eventually(lambda: cluster.streams() == 3)
        cluster.say("w2", at(10, "ten"))
        eventually(lambda: len(told.lines) == 8)
        cluster.logs["v1"] = [at(11, "eleven")]
        cluster.put(f"{PODS}/web-2-bbbbb", pod("web-2-bbbbb", owner("ReplicaSet", "web-2"), container("web", "v1")))
        eventually(lambda: len(told.lines) == 9)
    said = [line.rpartition("| ")[2] for line in told.lines[4:]]
    assert said == ["seven", "eight", "nine", "ten", "eleven"]
    assert told.lines[-1].startswith("web-bbbbb")
    # What had ended was read to its end by the history.
    assert sum("container=copy" in line for line in cluster.asked) == 1


def test_what_is_followed_starts_where_the_history_ended(machine: Machine) -> None:
    with machine.following("logs", "db", "-f", "--tail", "1") as told:
        eventually(lambda: machine.cluster.streams() == 1)
        machine.cluster.say("d1", at(5.5, "new"))
        eventually(lambda: len(told.lines) == 2)
    assert told.lines == ["db-0 | checkpoint", "db-0 | new"]


COUNT = 100_000  # of each of two containers


def test_long_logs_are_printed_whole_and_in_order_and_never_held(machine: Machine) -> None:
    """A child that may have no more memory than a small part of what it prints."""
    text = "x" * 400
    machine.cluster.logs["w1"] = [at(n / 100, text) for n in range(COUNT)]
    machine.cluster.logs["d1"] = [at(n / 100 + 0.005, text) for n in range(COUNT)]
    code = (
        "import sys; sys.argv = ['devenv', 'logs', '-o', 'json']; from devenv.cli import app\n"
        "app.leave = lambda code: print(open('/proc/self/status').read(), file=sys.stderr)\n"
        "app.main()"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code], cwd=machine.root, env=machine.environ, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert child.stdout
    assert child.stderr
    last, count = "", 0
    for line in child.stdout:
        time = line[10:40]
        assert time >= last
        last, count = time, count + 1
    assert count == 2 * COUNT + 2
    (kib,) = map(int, re.findall(r"VmHWM:\s*(\d+) kB", child.stderr.read()))  # the most that it had at once
    assert kib < 110_000, f"{kib} KiB for {2 * COUNT * 400 >> 20} MiB"
    assert child.wait() == 0
