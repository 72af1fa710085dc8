"""Links, what they do to an evaluation, and the plans that follow them (contract 5, 6.4 and 6.6)."""

import os
from importlib.util import module_from_spec, spec_from_file_location
from math import exp
from typing import Any

import pytest
from somabrain import settings
from somabrain.database import open_engine
from somabrain.schema import VERSIONS
from sqlalchemy import text

from tests.service.live.brain import LONG_AGO, Brain, Json, refusal


def at(brain: Brain, coord: str, task: str, **fields: object) -> None:
    brain.fine("/remember", {"coord": coord, "payload": {"task": task, "timestamp": LONG_AGO, **fields}})


def weighed(brain: Brain, query: str) -> dict[str, float]:
    """The weights of an evaluation, by coordinate."""
    answer = brain.evaluate(query)
    return {
        ",".join(f"{c:g}" for c in m["metadata"]["coordinate"]): w
        for m, w in zip(answer["memories"], answer["weights"], strict=True)
    }


def three(brain: Brain) -> None:
    """Three memories that only a link can tell apart in weight: the same text, made of different tasks."""
    at(brain, "1,0,0", "alpha beta", content="gamma")
    at(brain, "0,1,0", "alpha", content="beta gamma")
    at(brain, "0,0,1", "alpha beta gamma")


def links(brain: Brain) -> list[tuple[Any, ...]]:
    return brain.service.rows(
        "SELECT from_key, to_key, type, weight, universe FROM links WHERE tenant_id = %s ORDER BY 1, 2", brain.tenant
    )


ENDS = [
    {"from_key": "alpha beta", "to_key": " ALPHA "},
    {"from_key": "alpha", "to_key": "Alpha Beta"},
    {"from_coord": "1,0,0", "to_coord": "0,1,0"},
    {"from_coord": "1.0, 0, -0.0", "to_key": "alpha"},
    {"from_key": "alpha beta", "to_coord": "0,1,0"},
]


@pytest.mark.parametrize("ends", ENDS)
@pytest.mark.parametrize(("weight", "graph"), [(None, 1.0), (0.5, 0.5), (7, 1.0)])
def test_a_link_raises_the_weights_of_both_its_ends(
    brain: Brain, ends: Json, weight: float | None, graph: float
) -> None:
    three(brain)
    given = ends if weight is None else {**ends, "weight": weight}
    assert brain.fine("/link", given) == {"ok": True}
    found = weighed(brain, "alpha beta gamma")
    assert found["1,0,0"] == pytest.approx(found["0,1,0"])
    assert found["1,0,0"] / found["0,0,1"] == pytest.approx(exp(0.2 * graph / 0.7), rel=1e-6)


def test_the_strongest_link_counts_and_only_one_to_another_returned_memory(brain: Brain) -> None:
    three(brain)
    brain.link("alpha", "alpha beta", weight=0.25)
    brain.link("alpha", "alpha beta", weight=0.75, type="causes")
    brain.link("alpha beta gamma", "alpha beta gamma")
    brain.link("alpha beta gamma", "what nobody remembers")
    found = weighed(brain, "alpha beta gamma")
    assert found["1,0,0"] / found["0,0,1"] == pytest.approx(exp(0.2 * 0.75 / 0.7), rel=1e-6)


def test_a_coordinate_tells_memories_of_one_task_apart(brain: Brain) -> None:
    for coord in ("1,0,0", "0,1,0", "0,0,1"):
        at(brain, coord, "the same words")
    brain.fine("/link", {"from_coord": "0,1,0", "to_coord": "0,0,1"})
    found = weighed(brain, "the same words")
    assert found["0,1,0"] == pytest.approx(found["0,0,1"])
    assert found["0,1,0"] / found["1,0,0"] == pytest.approx(exp(0.2 / 0.7), rel=1e-6)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"from_key": "a"},
        {"to_key": "a"},
        {"from_coord": "1,2,3"},
        {"to_coord": "1,2,3"},
        {"from_key": "a", "to_key": ""},
        {"from_key": " \n", "to_key": "a"},
        {"from_key": "a", "to_key": None, "to_coord": None},
        {"from_key": "a", "to_coord": ""},
    ],
)
def test_a_missing_end_is_refused(brain: Brain, body: Json) -> None:
    status, detail = refusal(brain.post("/link", body))
    assert (status, detail.startswith("missing end")) == (400, True)
    assert links(brain) == []


@pytest.mark.parametrize(
    "body",
    [
        {"from_key": "a", "to_coord": "1,2"},
        {"from_key": "a", "to_coord": "1,2,nan"},
        {"from_coord": "1,2,1000001", "to_key": "a"},
        {"from_coord": "here", "from_key": "a", "to_key": "b"},
        {"from_key": "a" * 10_001, "to_key": "b"},
        {"from_key": "a", "to_key": "b" * 10_001},
        {"from_key": "a", "to_key": "b", "universe": "u" * 129},
    ],
)
def test_an_end_that_is_none_is_refused(brain: Brain, body: Json) -> None:
    status, detail = refusal(brain.post("/link", body))
    assert (status, detail.startswith("Invalid input")) == (400, True)
    assert links(brain) == []


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"1e999", b"0", b"-0.0", b"1e-300"])
def test_a_weight_is_a_finite_positive_number(brain: Brain, number: bytes) -> None:
    assert brain.post("/link", b'{"from_key":"a","to_key":"b","weight":%s}' % number).status_code == 422
    assert links(brain) == []


def test_a_link_is_related_and_of_weight_one_unless_told_and_kept_once(brain: Brain) -> None:
    brain.link(" a ", "b")
    assert links(brain) == [("a", "b", "related", 1.0, "real")]
    brain.link("A", "b", weight=2.5)
    assert links(brain) == [("a", "b", "related", 2.5, "real")]
    brain.link("b", "c", type="causes", universe="dream")
    brain.fine("/link", {"from_key": "c", "to_coord": "1,2,-0.5"}, X_Universe="dream")
    assert links(brain)[1:] == [("b", "c", "causes", 1.0, "dream"), ("c", "1.0,2.0,-0.5", "related", 1.0, "dream")]


def test_the_longest_link_is_kept(brain: Brain) -> None:
    longest = {"from_key": "👋" * 10_000, "to_key": "ß" * 10_000, "type": "👋" * 64, "universe": "👋" * 128}
    assert brain.fine("/link", longest) == {"ok": True}
    assert brain.plan("👋" * 10_000, universe="👋" * 128, rel_types=["👋" * 64]) == ["ß" * 10_000]


def test_a_plan_is_the_cheapest_first(brain: Brain) -> None:
    for n, kind in enumerate(("related", "motivates", "part_of", "causes", "depends_on", "invented")):
        brain.link("start", f"step {n}", type=kind)
    brain.link("start", "strong", weight=100)
    brain.link("step 4", "deep", type="depends_on")
    order = ["step 4", "step 3", "deep", "step 2", "step 1", "strong", "step 0", "step 5"]
    assert brain.plan("start", max_steps=100) == order
    assert brain.plan("  START ") == order[:5]
    assert brain.plan("start", max_steps=1) == order[:1]
    assert brain.plan("start", rel_types=["related", "causes"]) == ["step 3", "strong", "step 0"]
    assert brain.plan("start", rel_types=["part_of"]) == ["step 2"]
    assert brain.plan("start", rel_types=["unheard of"]) == []
    assert brain.plan("start", rel_types=[]) == brain.plan("start", rel_types=None) == order[:5]
    assert brain.plan("nothing") == []


def test_texts_are_distinct_and_circles_end(brain: Brain) -> None:
    brain.link("a", "b")
    brain.link("b", "c")
    brain.link("c", "a")
    brain.link("a", "c", type="causes")
    brain.link("b", "B")
    assert brain.plan("a") == ["c", "b"]


def test_plans_are_of_one_tenant_and_one_universe(brain: Brain, other: Brain) -> None:
    brain.link("a", "b")
    brain.link("a", "dreamt", universe="dream")
    assert other.plan("a") == []
    assert other.plan("a", tenant_id=brain.tenant) == ["b"]
    assert brain.plan("a", universe="dream") == ["dreamt"]
    assert brain.fine("/plan/suggest", {"task_key": "a"}, X_Universe="dream") == {"plan": ["dreamt"]}


def test_a_coordinate_in_a_plan_shows_the_memory_that_is_there(brain: Brain) -> None:
    brain.fine("/link", {"from_key": "a", "to_coord": "1,2,3"})
    assert brain.plan("a") == ["1.0,2.0,3.0"]
    at(brain, "1,2,3", "dreamt", universe="dream")
    at(brain, "1,2,3", "an older one", timestamp=1.0)
    assert brain.plan("a") == ["an older one"]
    at(brain, "1,2,3", "fetch water")
    assert brain.plan("a") == ["fetch water"]
    at(brain, "1,2,3", "", content="only a content", timestamp=LONG_AGO + 1)
    assert brain.plan("a") == ["only a content"]


def test_a_plan_goes_on_from_a_place_to_its_task_and_from_a_task_to_its_places(brain: Brain) -> None:
    at(brain, "1,2,3", "fetch water")
    at(brain, "4,5,6", "make tea")
    brain.fine("/link", {"from_coord": "4,5,6", "to_coord": "1,2,3", "type": "depends_on"})
    brain.link("fetch water", "find a well", type="depends_on")
    assert brain.plan("make tea") == ["fetch water", "find a well"]


@pytest.mark.parametrize("body", [{}, {"task_key": ""}, {"task_key": " \n\t"}])
def test_a_plan_for_nothing_is_refused(brain: Brain, body: Json) -> None:
    assert refusal(brain.post("/plan/suggest", body)) == (400, "missing task_key")


def test_a_key_has_an_end(brain: Brain) -> None:
    status, detail = refusal(brain.post("/plan/suggest", {"task_key": "a" * 10_001}))
    assert (status, detail) == (400, "Invalid input: task_key is over 10000 characters")
    assert brain.plan("a" * 10_000) == []
    assert refusal(brain.post("/plan/suggest", {"task_key": "a"}, X_Universe="u" * 129))[0] == 400


def test_memories_from_before_there_were_places_get_theirs(brain: Brain) -> None:
    """The step of the migration that fills the column, over memories that lack it as old ones do."""
    at(brain, "1,2,3", "placed")
    brain.remember("anywhere")
    digests = "SELECT seq, place_digest FROM memories WHERE tenant_id = %s ORDER BY seq"
    before = brain.service.rows(digests, brain.tenant)
    spec = spec_from_file_location("places", VERSIONS / "0004_places.py")
    assert spec is not None
    assert spec.loader is not None
    places = module_from_spec(spec)
    spec.loader.exec_module(places)
    vars(places)["PAGE"] = 1
    engine = open_engine(settings.load(os.environ), 1)
    try:
        with engine.begin() as connection:
            here = {"tenant": brain.tenant}
            connection.execute(text("UPDATE memories SET place_digest = NULL WHERE tenant_id = :tenant"), here)
            after = ("", 0)
            while after := places.fill(connection, after):
                pass
    finally:
        engine.dispose()
    assert brain.service.rows(digests, brain.tenant) == before
    assert all(digest is not None for _, digest in before)
