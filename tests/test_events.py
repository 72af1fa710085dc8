"""Events: what is told of the environment's objects and of nobody else's, in order of time, as it happens."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from devenv.kube import events
from devenv.kube.objects import Id, Object
from tests import looking
from tests.looking import EVENTS, Machine
from tests.waiting import eventually

WEB = Id("apps", "Deployment", "shop", "web", "shop")


def event(name: str, about: tuple[str, str], second: int, message: str = "", **more: Any) -> dict[str, Any]:
    kind, what = about
    version = "apps/v1" if kind in ("Deployment", "StatefulSet", "ReplicaSet") else "v1"
    about_ = {"apiVersion": version, "kind": kind, "name": what, "namespace": "shop"}
    meta = {"name": name, "namespace": "shop", "creationTimestamp": "2026-01-01T09:00:00Z"}
    told = {"lastTimestamp": f"2026-01-01T10:00:{second:02}Z"} if second else {}
    said = {"type": "Normal", "reason": "Seen", "message": message, "source": {"component": "kubelet"}}
    return {"apiVersion": "v1", "kind": "Event", "metadata": meta, "involvedObject": about_, **told, **said, **more}


@pytest.mark.parametrize(
    ("more", "time", "count"),
    [
        ({"lastTimestamp": "2026-01-01T10:00:01Z", "count": 3}, "10:00:01.000000000", 3),
        ({"lastTimestamp": None, "eventTime": "2026-01-01T10:00:02.000005Z", "count": None}, "10:00:02.000005000", 1),
        (
            {
                "eventTime": "2026-01-01T10:00:02.000005Z",
                "series": {"lastObservedTime": "2026-01-01T10:00:07.5Z", "count": 9},
            },
            "10:00:07.500000000",
            9,
        ),
        ({}, "09:00:00.000000000", 1),
    ],
)
def test_time_and_count_are_read_where_the_teller_has_put_them(more: dict[str, Any], time: str, count: int) -> None:
    told = events.told(event("e", ("Pod", "p"), 0, **more), "shop")
    assert (told.time, told.count) == (f"2026-01-01T{time}Z", count)


def test_a_row_is_one_line_with_how_often_it_was_told() -> None:
    told = events.told(event("e", ("Pod", "p"), 1, "a\n  b\n", count=4), "shop")
    assert events.row(told)[1:] == ("Normal", "Seen", "pod/p", "a b (x4)")


def test_what_was_made_for_an_object_counts_also_when_it_is_gone_and_others_do_not() -> None:
    found = [
        event("1", ("Pod", "web-6c9f7d5b8-x2x7p"), 3),
        event("2", ("Deployment", "web"), 1),
        event("3", ("Pod", "stranger-6c9f7d5b8-x2x7p"), 2),
        event("4", ("ReplicaSet", "web-6c9f7d5b8"), 2),
    ]
    told = events.wanted([Object.parse(e, "shop") for e in found], [WEB], "shop")
    assert [t.object for t in told] == ["deployment/web", "replicaset/web-6c9f7d5b8", "pod/web-6c9f7d5b8-x2x7p"]


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    with looking.machine(tmp_path) as made:
        made.cluster.put(f"{EVENTS}/b", event("b", ("Pod", "db-0"), 5, "the password is hunter2secret"))
        made.cluster.put(f"{EVENTS}/a", event("a", ("Deployment", "web"), 1, "scaled"))
        made.cluster.put(f"{EVENTS}/c", event("c", ("Pod", "other"), 3, "nobody's"))
        yield made


def test_events_are_printed_in_order_of_time_without_passwords(machine: Machine) -> None:
    lines = machine.fine("events")
    assert [line.split() for line in lines] == [
        ["TIME", "TYPE", "REASON", "OBJECT", "MESSAGE"],
        [*lines[1].split()[:2], "Normal", "Seen", "deployment/web", "scaled"],
        [*lines[2].split()[:2], "Normal", "Seen", "pod/db-0", "the", "password", "is", "***"],
    ]
    assert json.loads(machine.fine("events", "-o", "json")[1]) == {
        "time": "2026-01-01T10:00:05.000000000Z", "object": "pod/db-0", "namespace": "shop", "type": "Normal",
        "reason": "Seen", "message": "the password is ***", "count": 1, "source": "kubelet",
    }  # fmt: skip


def test_follow_tells_each_event_once_also_where_the_watch_breaks(machine: Machine) -> None:
    with machine.following("events", "-f", "-o", "json") as told:
        eventually(lambda: any("watch" in line for line in machine.cluster.asked))
        machine.cluster.put(f"{EVENTS}/d", event("d", ("Pod", "db-0"), 6, "first"))
        eventually(lambda: len(told.lines) == 3)
        machine.cluster.cut()
        eventually(lambda: sum("watch" in line for line in machine.cluster.asked) == 2)
        machine.cluster.put(f"{EVENTS}/d", event("d", ("Pod", "db-0"), 7, "first", count=2))
        eventually(lambda: len(told.lines) == 4)
    found = [json.loads(line) for line in told.lines]
    assert [(f["message"], f["count"]) for f in found[2:]] == [("first", 1), ("first", 2)]
