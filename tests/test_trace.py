"""A run and its pods as a Chrome trace, and the options that tell of a run: what is written, what is refused."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devenv.kube import pod_times
from devenv.kube.pod_times import Interval
from devenv.reconcile import runs, trace
from devenv.reconcile.runs import Run
from devenv.reconcile.timeline import Span, Timeline
from devenv.system.state import Folder
from tests.cluster.environment import CHECKOUT, MARK, Environment, copied

TIMES = st.tuples(st.integers(0, 20), st.integers(0, 20)).map(sorted).map(tuple)


def at(second: int) -> str:
    return f"2026-01-01T00:00:{second:02}Z"


def condition(kind: str, second: int, status: str = "True") -> dict[str, Any]:
    return {"type": kind, "status": status, "lastTransitionTime": at(second)}


def event(reason: str, second: int, **changes: Any) -> dict[str, Any]:
    involved = {"uid": "u", "fieldPath": "spec.containers{api}"}
    return {"reason": reason, "involvedObject": involved, "lastTimestamp": at(second), **changes}


POD: dict[str, Any] = {
    "metadata": {"name": "api-1", "namespace": "shop", "uid": "u", "creationTimestamp": at(1)},
    "status": {
        "conditions": [
            condition("PodScheduled", 2),
            condition("PodReadyToStartContainers", 4),
            condition("Initialized", 9),
            condition("ContainersReady", 20),
            condition("Ready", 21),
        ],
        "initContainerStatuses": [
            {"name": "wait", "state": {"terminated": {"startedAt": at(5), "finishedAt": at(8), "exitCode": 0}}},
            {"name": "proxy", "state": {"running": {"startedAt": at(8)}}},
        ],
        "containerStatuses": [
            {
                "name": "api",
                "state": {"running": {"startedAt": at(15)}},
                "lastState": {"terminated": {"startedAt": at(11), "finishedAt": at(13), "exitCode": 1}},
            }
        ],
    },
}
ZERO = pod_times.moment(at(0)) or 0.0


def told(pod: dict[str, Any], events: list[dict[str, Any]]) -> list[tuple[str, float, float]]:
    return [(i.name, i.start - ZERO, i.end - ZERO) for i in pod_times.intervals([pod], events)]


def test_a_pod_is_told_from_its_creation_until_it_is_ready() -> None:
    events = [event("Pulled", 10), event("Pulling", 9), event("Pulled", 14), event("Pulling", 1, involvedObject=None)]
    assert told(POD, events) == [
        ("scheduling", 1, 2),
        ("created", 1, 1),
        ("volumes and sandbox", 2, 4),
        ("init wait", 5, 8),
        ("init proxy until ready", 8, 9),
        ("image of api", 9, 10),
        ("api", 11, 13),
        ("image of api", 14, 14),
        ("api until ready", 15, 20),
        ("ready", 21, 21),
    ]


@pytest.mark.parametrize("name", ["deployment-ready", "statefulset-ready", "daemonset-ready"])
def test_a_recorded_pod_is_created_before_it_is_scheduled_and_ready_at_last(name: str) -> None:
    recorded = json.loads((CHECKOUT / f"tests/recorded/{name}.json").read_text())
    for pod in recorded["pods"]:
        found = {i.name: (i.start, i.end) for i in pod_times.intervals([pod], [])}
        assert {"created", "scheduling", "ready", "c until ready"} <= set(found)
        assert found["created"][0] == found["scheduling"][0]
        assert found["scheduling"][1] <= found["c until ready"][0] <= found["ready"][0]


@pytest.mark.parametrize("status", [{}, None, {"conditions": None, "containerStatuses": None}])
def test_of_a_pod_that_nobody_has_taken_up_only_its_creation_is_told(status: Any) -> None:
    assert told({**POD, "status": status}, [event("Scheduled", 3)]) == [("created", 1, 1)]


def test_what_does_not_hold_or_ends_before_it_begins_is_not_told() -> None:
    seen = [condition("PodScheduled", 0), condition("Ready", 5, "False")]
    assert told({**POD, "status": {"conditions": seen}}, []) == [("created", 1, 1)]


def test_newer_events_have_their_time_in_another_field() -> None:
    events = [event(r, 0, lastTimestamp=None, eventTime=at(s)) for r, s in (("Pulling", 3), ("Pulled", 6))]
    assert ("image of api", 3, 6) in told(POD, events)


@given(st.lists(TIMES))
def test_lanes_overlap_nowhere_and_are_as_few_as_there_can_be(times: list[tuple[int, int]]) -> None:
    times = sorted(times)
    placed = trace.lanes(times)
    for lane in set(placed):
        own = [t for t, n in zip(times, placed, strict=True) if n == lane]
        assert all(a[1] <= b[0] for a, b in pairwise(own))
    lasting = [sum(s <= moment < e for s, e in times) for moment in range(21)]
    assert len(set(placed)) <= max(lasting) + len([1 for s, e in times if s == e])


@given(st.lists(TIMES), st.lists(st.tuples(st.sampled_from(["a/x", "a/y"]), TIMES)))
def test_a_trace_has_each_span_and_each_pod_s_part_of_the_run_on_a_named_lane(
    spans: list[tuple[int, int]], pods: list[tuple[str, tuple[int, int]]]
) -> None:
    began = 1_700_000_000
    run = Timeline("up", began, 20, "done", tuple(Span(f"s{n}", *t, "done") for n, t in enumerate(spans)))
    intervals = [Interval(pod, "w", began + start - 5, began + end - 5) for pod, (start, end) in pods]
    events = json.loads(json.dumps(trace.chrome(run, intervals)))["traceEvents"]
    lanes = {(e["pid"], e["tid"]) for e in events if e["name"] == "thread_name"}
    timed = [e for e in events if e["ph"] in "Xi"]
    assert {(e["pid"], e["tid"]) for e in timed} == lanes
    assert sorted(e["name"] for e in timed if e["pid"] == trace.STEPS) == sorted(s.name for s in run.spans)
    during = [i for i in intervals if i.end >= began]
    expected = sorted([(began + s, began + e) for s, e in spans] + [(i.start, i.end) for i in during])
    assert sorted((e["ts"] / 1e6, (e["ts"] + e.get("dur", 0)) / 1e6) for e in timed) == expected
    assert all(e["ph"] == "i" or e["dur"] > 0 for e in timed)


@pytest.fixture
def project(tmp_path: Path) -> Environment:
    """The hello project, with nothing up and no Docker to bring it up."""
    root = copied(CHECKOUT / "tests/projects/hello", tmp_path, ("pyproject.toml", "app", "k8s"))
    return Environment(f"t{MARK}-timings", root, {}, extra={"DOCKER_HOST": "unix:///nowhere/docker.sock"})


def test_a_trace_that_could_not_be_written_is_refused_before_anything_begins(project: Environment) -> None:
    (project.root / "file").write_text("")
    for file, why in (
        ("missing/up.json", "No such file"),
        ("k8s", "Is a directory"),
        ("file/up.json", "Not a directory"),
        ("/proc/up.json", "No such file"),
    ):
        done = project.run("up", "--trace", file)
        assert (done.returncode, f"cannot write {file}: {why}" in " ".join(done.stderr.split())) == (2, True), done
        assert "Docker" not in done.stderr
    assert not (project.root / "missing").exists()


def test_a_run_that_failed_tells_its_time_on_standard_error_and_in_the_trace(project: Environment) -> None:
    done = project.run("up", "-o", "json", "--timings", "--trace", "up.json")
    assert (done.returncode, done.stdout) == (1, "")
    rows = [line.split() for line in done.stderr.splitlines()]
    assert ["BEGAN", "GAP", "TOOK", "STEP", "STATE"] in rows
    assert [row[-2:] for row in rows if row and row[0][0].isdigit()][-1] == ["end", "failed"]
    events = json.loads((project.root / "up.json").read_text())["traceEvents"]
    assert {"command line", "lock", "load", "snapshot"} <= {e["name"] for e in events if e["ph"] == "X"}
    assert "trace: up.json" in done.stderr


def test_timings_tell_of_the_last_run_and_of_those_before_it(project: Environment, tmp_path: Path) -> None:
    state = {"XDG_STATE_HOME": str(tmp_path / "state")}
    project.extra.update(state)
    assert "no run of" in project.run("timings").stderr
    folder = Folder(tmp_path / "state/devenv" / project.name)
    folder.make()
    for verb in ("up", "test all"):
        with runs.kept(Run(), folder, verb, pytest.fail):
            pass
    assert project.run("timings").stdout.startswith("test all, ")
    former = json.loads(project.run("timings", "1", "-o", "json", "--trace", "up.json").stdout)
    assert (former["verb"], former["spans"][0]["name"]) == ("up", "command line")
    assert json.loads((project.root / "up.json").read_text())["otherData"]["run"] == "devenv up"
    refused = project.run("timings", "2")
    assert (refused.returncode, "2 runs of" in refused.stderr) == (2, True)
