"""Acting on a task (contract 5 and 6.6)."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
from somabrain.embedding import embed

from tests.service.live.brain import LONG_AGO, Brain, refusal

NEW = {"novelty": 1.0, "pred_error": 1.0, "salience": 1.0, "stored": True, "wm_hits": 0, "memory_hits": 0}
ZERO = pytest.approx(0.0, abs=1e-9)


def cosine(a: Any, b: Any) -> float:
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def test_an_act_answers_in_one_shape(brain: Brain) -> None:
    brain.link("brew tea", "boil water")
    assert brain.fine("/act", {"task": "brew tea"}) == {
        "task": "brew tea",
        "results": [{"step": "brew tea", **NEW, "policy": None}],
        "plan": ["boil water"],
        "plan_universe": "real",
    }


def test_what_is_new_is_stored_and_what_is_known_is_not(brain: Brain) -> None:
    assert brain.act("water the plants")["stored"] is True
    assert brain.items() == 1
    (memory,) = brain.recall("water the plants")["memory"]
    assert (memory["task"], memory["universe"], memory["memory_type"]) == ("water the plants", "real", "episodic")
    again = brain.act("water the plants")
    assert (again["novelty"], again["pred_error"], again["salience"]) == (ZERO, ZERO, ZERO)
    assert (again["stored"], again["wm_hits"], again["memory_hits"]) == (False, 1, 1)
    assert brain.items() == 1


@pytest.mark.parametrize(
    "levels", [{}, {"dopamine": 0.8}, {"dopamine": 0.0}, {"acetylcholine": 0.2, "noradrenaline": 1}]
)
@pytest.mark.parametrize("top_k", [1, 2, 3, 100])
def test_scores_come_from_the_formulas(brain: Brain, levels: dict[str, float], top_k: int) -> None:
    known = ["a copper kettle on the stove", "a kettle of fish", "the stove is cold", "an unrelated umbrella"]
    for n, text in enumerate(known):
        brain.remember(text, timestamp=LONG_AGO + n)
    task = "put the kettle on the stove"
    vector = embed(task)
    near = sorted((embed(text) for text in known), key=lambda v: -cosine(vector, v))
    held = brain.modulate(**levels)
    novelty = 1.0 - max(0.0, cosine(vector, near[0]))
    error = (1.0 - cosine(vector, np.mean(near[:top_k], axis=0))) / 2.0
    salience = 0.6 * novelty + max(held["dopamine"], 0.2) * error + held["acetylcholine"]
    step = brain.act(task, top_k=top_k)
    assert (step["novelty"], step["pred_error"]) == pytest.approx((novelty, error), abs=1e-6)
    assert step["salience"] == pytest.approx(salience, abs=1e-6)
    assert abs(salience - 0.5 - held["noradrenaline"]) > 1e-3, "too near to the bar to tell"
    assert step["stored"] is (salience >= 0.5 + held["noradrenaline"])
    assert step["memory_hits"] == step["wm_hits"] == min(top_k, 4)
    assert brain.items() == 4 + step["stored"]


def test_novelty_counts_the_nearest_of_all_memories_not_only_those_recalled(brain: Brain) -> None:
    """A memory with the very task comes first, though its content makes it less similar than another."""
    brain.remember("sail", content="home across a wide and stormy sea with a torn jib")
    brain.remember("sail sail", timestamp=LONG_AGO)
    vector = embed("sail")
    assert brain.tasks("sail", top_k=1) == ["sail"]
    assert brain.act("sail", top_k=1)["novelty"] == pytest.approx(1 - cosine(vector, embed("sail sail")), abs=1e-6)


def test_novelty_is_among_the_memories_of_every_universe(brain: Brain) -> None:
    brain.remember("open the door", universe="dream")
    step = brain.act("open the door")
    assert (step["novelty"], step["pred_error"], step["memory_hits"]) == (ZERO, 1.0, 0)
    assert step["stored"] is False


def test_what_is_recalled_by_default_is_three(brain: Brain) -> None:
    for n in range(5):
        brain.remember(f"apple number {n}")
    assert brain.act("apple number")["memory_hits"] == 3


def test_noradrenaline_raises_the_bar_and_acetylcholine_the_salience(brain: Brain) -> None:
    brain.remember("a known thing")
    brain.modulate(acetylcholine=0.5, noradrenaline=0.1)
    step = brain.act("a known thing")
    assert (step["salience"], step["stored"]) == (pytest.approx(0.5), False)
    brain.modulate(noradrenaline=0)
    step = brain.act("a known thing")
    assert (step["salience"], step["stored"]) == (pytest.approx(0.5), True)
    assert brain.items() == 2


def test_tenants_know_nothing_of_each_other(brain: Brain, other: Brain) -> None:
    brain.act("a secret", tenant_id=other.tenant)
    other.link("a secret", "a plan")
    assert (brain.items(), other.items()) == (0, 1)
    answer = brain.fine("/act", {"task": "a secret"})
    assert (answer["results"][0]["novelty"], answer["plan"]) == (1.0, [])


def test_a_universe_has_its_own_memories_and_plans(brain: Brain) -> None:
    brain.remember("open the door", universe="dream")
    brain.link("open the door", "fly", universe="dream")
    answer = brain.fine("/act", {"task": "open the door"})
    assert (answer["plan_universe"], answer["plan"], answer["results"][0]["memory_hits"]) == ("real", [], 0)
    for body, headers in (({"universe": "dream"}, {}), ({}, {"X_Universe": "dream"})):
        answer = brain.fine("/act", {"task": "open the door", **body}, **headers)
        assert (answer["plan_universe"], answer["plan"], answer["results"][0]["novelty"]) == ("dream", ["fly"], ZERO)
    brain.act("climb the tree", universe="dream")
    assert brain.recall("climb", universe="dream")["memory"][0]["universe"] == "dream"
    assert "climb the tree" not in brain.tasks("climb the tree", universe="real")


def test_a_repeated_idempotency_key_stores_once(brain: Brain) -> None:
    stored = [
        brain.fine("/act", {"task": task}, X_Idempotency_Key="k")["results"][0]["stored"]
        for task in ("first things first", "quite another matter")
    ]
    assert (stored, brain.items()) == ([True, False], 1)
    assert brain.tasks(None) == ["first things first"]


def test_acts_at_the_same_time_store_a_task_once(brain: Brain) -> None:
    tasks = ["Water the garden", " water THE garden\n"] * 4
    with ThreadPoolExecutor(8) as pool:
        stored = list(pool.map(lambda task: brain.act(task)["stored"], tasks))
    assert (sum(stored), brain.items(), len(brain.tasks(None, top_k=10))) == (1, 1, 1)


def test_an_act_counts_as_a_write_when_it_stores(brain: Brain) -> None:
    brain.act("the first")
    brain.service.sql.execute("UPDATE tenants SET writes = 10000 WHERE tenant_id = %s", (brain.tenant,))
    assert refusal(brain.post("/act", {"task": "quite new"})) == (429, "daily write quota exceeded")
    assert brain.act("the first")["stored"] is False
    assert brain.items() == len(brain.tasks(None)) == 1


def test_an_act_that_cannot_be_stored_is_refused_whole(brain: Brain) -> None:
    """Here a rule of the database itself refuses the memory."""
    name, sql = f"refuse_{uuid4().hex}", brain.service.sql
    sql.execute(f"ALTER TABLE memories ADD CONSTRAINT {name} CHECK (tenant_id <> '{brain.tenant}') NOT VALID")
    try:
        assert refusal(brain.post("/act", {"task": "a task"}))[0] == 503
    finally:
        sql.execute(f"ALTER TABLE memories DROP CONSTRAINT {name}")
    assert brain.items() == 0
    assert brain.act("a task")["stored"] is True


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"task": ""}, "empty text"),
        ({"task": "?!"}, "empty text"),
        ({"task": "a" * 10_001}, "Invalid input: task is over 10000 characters"),
        ({"task": "a", "universe": "u" * 129}, "Invalid input: universe"),
    ],
)
def test_a_task_that_is_none_is_refused_and_not_stored(brain: Brain, body: Any, says: str) -> None:
    status, detail = refusal(brain.post("/act", body))
    assert (status, detail.startswith(says)) == (400, True)
    assert brain.items() == 0


def test_the_longest_task_is_stored_as_it_is(brain: Brain) -> None:
    longest = ("größe 👋 日本語 " * 1000)[:10_000]
    assert brain.act(longest, universe="u" * 128)["stored"] is True
    assert brain.tasks(longest, universe="u" * 128) == [longest]
