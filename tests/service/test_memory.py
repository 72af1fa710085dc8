"""What a memory is made of: payload, time, place, text (contract 3)."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from somabrain.errors import Refused
from somabrain.memory import (
    FIELD_BYTES,
    PAYLOAD_BYTES,
    coordinate,
    epoch_seconds,
    memory_from,
    payload_of,
    task_digest,
    text_of,
)

ids = st.uuids().map(lambda u: u.hex)
finite = st.floats(allow_nan=False, allow_infinity=False)


def made(body: Any) -> dict[str, Any]:
    return memory_from(body, "id", 1234.5).payload


@given(ids)
def test_a_memory_without_place_has_one_of_its_own(memory_id: str) -> None:
    place = coordinate(None, memory_id)
    assert len(place) == 3
    assert all(-1 <= c <= 1 for c in place)
    assert coordinate(None, memory_id) == place


def test_places_differ() -> None:
    places = {tuple(coordinate(None, str(i))) for i in range(2000)}
    assert len(places) == 2000
    assert all(min(p[axis] for p in places) < -0.9 and max(p[axis] for p in places) > 0.9 for axis in range(3))


@given(st.tuples(*[st.floats(-1e6, 1e6)] * 3))
def test_a_given_place_is_kept(place: tuple[float, float, float]) -> None:
    assert coordinate(",".join(map(repr, place)), "id") == list(place)


@pytest.mark.parametrize(
    "coord",
    ["", "1", "1,2", "1,2,3,4", "1;2;3", "1,2,x", "x,y,z", "1,2,nan", "1,2,inf", "inf,0,0", "0,0,1000001",
     "1,-1000000.1,3", "1e7,0,0", 5, [1, 2, 3], {}, {"x": 1}, True],
)  # fmt: skip
def test_a_place_that_is_none_is_refused(coord: Any) -> None:
    with pytest.raises(Refused, match="Invalid input"):
        made({"coord": coord, "payload": {"task": "t"}})


@given(finite)
def test_a_number_is_its_own_time(seconds: float) -> None:
    assert epoch_seconds(seconds) == epoch_seconds(repr(seconds)) == seconds


@given(st.datetimes(timezones=st.just(UTC), min_value=datetime(1970, 1, 1), max_value=datetime(2200, 1, 1)))
def test_iso_8601_is_read_in_its_zone_or_as_utc(moment: datetime) -> None:
    assert epoch_seconds(moment.isoformat()) == moment.timestamp()
    assert epoch_seconds(moment.replace(tzinfo=None).isoformat()) == moment.timestamp()
    assert epoch_seconds(moment.strftime("%Y-%m-%dT%H:%M:%SZ")) == moment.replace(microsecond=0).timestamp()


@pytest.mark.parametrize("value", ["", "soon", "nan", "inf", "1e999", True, [], {}, 10**400, "2026-13-01"])
def test_a_time_that_is_none_is_refused(value: Any) -> None:
    with pytest.raises(Refused, match="timestamp"):
        made({"task": "t", "timestamp": value})


def test_what_is_not_said_has_its_default() -> None:
    payload = made({"task": "t"})
    assert payload["timestamp"] == 1234.5
    assert (payload["importance"], payload["memory_type"], payload["universe"]) == (1.0, "episodic", "real")


def test_the_payload_may_stand_at_the_top() -> None:
    fields = {"task": "t", "who": "me", "domains": ["a"], "importance": 3}
    assert made({"payload": fields, "tenant_id": "x"}) == made({**fields, "tenant_id": "x", "coord": None})


@pytest.mark.parametrize("body", [[], ["task"], "text", 5, {"payload": []}, {"payload": "t"}, {"payload": None}])
def test_a_body_that_is_no_object_is_refused(body: Any) -> None:
    with pytest.raises(Refused, match="Invalid payload") as raised:
        payload_of(body)
    assert raised.value.status == 400


@pytest.mark.parametrize(
    "fields",
    [
        {"task": 5},
        {"content": ["a"]},
        {"content": 5},
        {"phase": []},
        {"memory_type": {}},
        {"universe": 5},
        {"reasoning_chain": {}},
        {"importance": True},
        {"task": "a\x00"},
        {"content": "a\x00b"},
        {"quality_score": "good"},
        {"importance": "high"},
        {"quality_score": True},
        {"domains": 5},
        {"universe": {}},
        {"note": float("inf")},
        {"deep": {"list": [float("nan")]}},
    ],
)
def test_a_field_of_a_wrong_type_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(Refused, match="Invalid payload") as raised:
        made({"task": "t", **fields})
    assert raised.value.status == 400


def test_a_task_has_an_end() -> None:
    assert made({"task": "a" * 10_000})["task"] == "a" * 10_000
    with pytest.raises(Refused, match="Invalid input"):
        made({"task": "a" * 10_001})


@pytest.mark.parametrize(("name", "limit"), FIELD_BYTES.items())
def test_a_field_has_an_end_in_bytes(name: str, limit: int) -> None:
    assert made({"task": "t", name: "ß" * (limit // 2)})[name] == "ß" * (limit // 2)
    with pytest.raises(Refused, match=f"Invalid input: {name} is over {limit} bytes") as raised:
        made({"task": "t", name: "ß" * (limit // 2) + "s"})
    assert raised.value.status == 400


@pytest.mark.parametrize("name", ["who", "did", "what", "where", "when", "why", "domains", "reasoning_chain"])
def test_a_field_that_is_no_text_ends_with_its_json(name: str) -> None:
    limit, frame = FIELD_BYTES[name], len('[""]')
    assert made({"task": "t", name: ["a" * (limit - frame)]})
    with pytest.raises(Refused, match=f"Invalid input: {name}"):
        made({"task": "t", name: ["a" * (limit - frame + 1)]})


def test_a_payload_has_an_end_whatever_its_fields_are_called() -> None:
    frame = len(memory_from({"task": "t", "note": ""}, "id", 0.0).payload_json)
    whole = memory_from({"task": "t", "note": "a" * (PAYLOAD_BYTES - frame)}, "id", 0.0)
    assert len(whole.payload_json) == PAYLOAD_BYTES
    with pytest.raises(Refused, match=f"Invalid input: payload is over {PAYLOAD_BYTES} bytes") as raised:
        made({"payload": {"task": "t", "note": "a" * (PAYLOAD_BYTES - frame + 1)}})
    assert raised.value.status == 400


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"task": "t", "universe": "u" * 129}, "Invalid input: universe is over 128 characters"),
        ({"task": "t", "coord": "1,2," + "3" * 125}, "Invalid input: coord is over 128 characters"),
    ],
)
def test_a_universe_and_a_coordinate_have_an_end(body: dict[str, Any], says: str) -> None:
    with pytest.raises(Refused, match=says):
        made(body)


@given(st.dictionaries(st.text(), st.recursive(st.none() | st.booleans() | finite | st.text(), st.lists, max_leaves=5)))
def test_fields_of_no_meaning_to_us_come_back_unchanged(note: dict[str, Any]) -> None:
    memory = memory_from({"payload": {"task": "t", "note": note}}, "id", 0.0)
    assert json.loads(memory.payload_json)["note"] == note


@given(st.text())
def test_tasks_are_the_same_but_for_case_and_outer_space(task: str) -> None:
    assert task_digest(f" \t{task}\n") == task_digest(task)
    assert task_digest(task.casefold()) == task_digest(task)


def test_a_text_is_task_and_content_together() -> None:
    assert text_of({"task": "a", "content": "b"}) == "a b"
    assert text_of({"task": "a", "content": None}) == "a"
    assert text_of({"content": "b", "who": "c"}) == "b"
