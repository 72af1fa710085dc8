"""The neuromodulators of a tenant (contract 5)."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.service.live.brain import Brain, Json, invalid, refusal

START = {"dopamine": 0.4, "serotonin": 0.5, "noradrenaline": 0.0, "acetylcholine": 0.0}
HIGHEST = {"dopamine": 0.8, "serotonin": 1.0, "noradrenaline": 0.1, "acetylcholine": 0.5}
LOWEST = dict.fromkeys(START, 0.0)


def levels(brain: Brain) -> Json:
    answer = brain.get("/neuromodulators")
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()
    return found


def test_a_tenant_starts_with_the_defaults(brain: Brain) -> None:
    assert levels(brain) == START


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ({name: 9 for name in START}, HIGHEST),
        ({name: -9.5 for name in START}, LOWEST),
        ({name: 1e300 for name in START}, HIGHEST),
        (HIGHEST, HIGHEST),
        ({"dopamine": 0.7, "acetylcholine": 0.25}, START | {"dopamine": 0.7, "acetylcholine": 0.25}),
        ({"serotonin": None, "noradrenaline": 0.05}, START | {"noradrenaline": 0.05}),
        ({}, START),
    ],
)
def test_what_is_set_is_stored_clipped(brain: Brain, given: Json, stored: Json) -> None:
    assert brain.modulate(**given) == levels(brain) == stored


def test_what_is_not_named_stays_as_it_is(brain: Brain) -> None:
    brain.modulate(dopamine=0.1, serotonin=0.9)
    assert brain.modulate(dopamine=0.2) == START | {"dopamine": 0.2, "serotonin": 0.9}


def test_levels_set_at_the_same_time_do_not_undo_each_other(brain: Brain) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda one: brain.modulate(**dict([one])), HIGHEST.items()))
    assert levels(brain) == HIGHEST


def test_each_tenant_has_its_own(brain: Brain, other: Brain) -> None:
    brain.modulate(dopamine=0.1, tenant_id=other.tenant)
    assert (levels(brain)["dopamine"], levels(other)["dopamine"]) == (0.4, 0.1)
    assert brain.get(f"/neuromodulators?tenant_id={other.tenant}").json() == levels(other)
    assert refusal(brain.get("/neuromodulators?tenant_id=")) == (400, "invalid tenant")


def test_they_are_kept_in_postgres_and_nowhere_else(brain: Brain) -> None:
    """So they outlive a restart, and every process has the same."""
    brain.modulate(dopamine=0.75, noradrenaline=0.5)
    sql = "SELECT dopamine, serotonin, noradrenaline, acetylcholine FROM neuromodulators WHERE tenant_id = %s"
    assert brain.service.rows(sql, brain.tenant) == [(0.75, 0.5, 0.1, 0.0)]
    brain.service.sql.execute("UPDATE neuromodulators SET serotonin = 0.25 WHERE tenant_id = %s", (brain.tenant,))
    assert levels(brain)["serotonin"] == 0.25
    brain.service.sql.execute("DELETE FROM neuromodulators WHERE tenant_id = %s", (brain.tenant,))
    assert levels(brain) == START


@pytest.mark.parametrize(("dopamine", "rate"), [(0.8, 0.06), (0.4, 0.045), (0.0, 0.025), (0.1, 0.03), (5, 0.06)])
def test_the_dopamine_set_here_drives_the_next_step(brain: Brain, dopamine: float, rate: float) -> None:
    brain.feedback(utility=1.0)
    before = brain.state()["retrieval"]["alpha"]
    brain.modulate(dopamine=dopamine)
    brain.feedback(utility=1.0)
    state = brain.state()
    assert state["learning_rate"] == pytest.approx(rate, abs=1e-12)
    assert state["retrieval"]["alpha"] - before == pytest.approx(rate, abs=1e-12)


@pytest.mark.parametrize("level", ["0.5", True, [], {}, 10**400])
def test_a_level_that_is_no_number_changes_nothing(brain: Brain, level: Any) -> None:
    brain.modulate(serotonin=0.75)
    assert invalid(brain.post("/neuromodulators", {"serotonin": 0.1, "dopamine": level}))
    assert levels(brain) == START | {"serotonin": 0.75}


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"1e999"])
def test_levels_are_finite(brain: Brain, number: bytes) -> None:
    assert invalid(brain.post("/neuromodulators", b'{"dopamine":%s}' % number))
    assert levels(brain) == START
