"""Novelty, prediction error, salience, and what is worth storing (contract 6.6)."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from somabrain.neuromodulators import Levels
from somabrain.retrieval import cosine
from somabrain.salience import novelty, pred_error, salience, worth_storing

Floats = NDArray[np.float64]
numbers = st.lists(st.floats(-10, 10), min_size=6, max_size=6).map(np.array)
vectors = numbers.filter(lambda v: bool(np.linalg.norm(v) > 1e-3))
shares = st.floats(0, 1)
levels = st.builds(Levels, st.floats(0, 0.8), st.floats(0, 1), st.floats(0, 0.1), st.floats(0, 0.5))


@given(vectors, vectors, st.floats(1e-3, 1e3))
def test_a_cosine_is_of_directions_alone(a: Floats, b: Floats, scale: float) -> None:
    found = cosine(a, b)
    assert -1.0 <= found <= 1.0
    assert cosine(b, a) == pytest.approx(found, abs=1e-12)
    assert cosine(scale * a, b) == pytest.approx(found, abs=1e-9)
    assert cosine(a, a) == pytest.approx(1.0, abs=1e-12)
    assert cosine(a, -a) == pytest.approx(-1.0, abs=1e-12)
    assert found == pytest.approx(sum(a * b) / (sum(a * a) * sum(b * b)) ** 0.5, abs=1e-9)


def test_a_vector_without_a_direction_is_like_none() -> None:
    assert cosine(np.zeros(3), np.ones(3)) == cosine(np.zeros(3), np.zeros(3)) == 0.0


def test_what_nothing_is_remembered_for_is_all_new() -> None:
    assert novelty(np.ones(3), None) == 1.0


@given(vectors, vectors)
def test_novelty_is_what_is_left_of_the_cosine(task: Floats, nearest: Floats) -> None:
    assert novelty(task, nearest) == 1.0 - max(0.0, cosine(task, nearest))
    assert 0.0 <= novelty(task, nearest) <= 1.0
    assert novelty(task, task) == pytest.approx(0.0, abs=1e-12)
    assert novelty(task, -task) == 1.0


@given(vectors, st.lists(vectors, min_size=1, max_size=5))
def test_the_error_is_half_of_what_the_mean_lacks(task: Floats, recalled: list[Floats]) -> None:
    error = pred_error(task, recalled)
    assert 0.0 <= error <= 1.0
    assert error == pytest.approx((1.0 - cosine(task, sum(recalled, np.zeros(6)) / len(recalled))) / 2.0, abs=1e-9)


@given(vectors)
def test_the_error_goes_from_none_along_the_task_to_one_against_it(task: Floats) -> None:
    assert pred_error(task, [task, 2 * task]) == pytest.approx(0.0, abs=1e-12)
    assert pred_error(task, [-task]) == pytest.approx(1.0, abs=1e-12)
    assert pred_error(task, []) == 1.0
    assert pred_error(task, [task, -task]) == 0.5  # the mean has no direction


@given(shares, shares, levels)
def test_salience_is_the_promised_sum_within_its_bounds(new: float, error: float, at: Levels) -> None:
    dopamine = 0.2 if at.dopamine < 0.2 else at.dopamine
    raw = 0.6 * new + dopamine * error + at.acetylcholine
    assert salience(new, error, at) == pytest.approx(min(raw, 1.0), abs=1e-12)


@given(shares, shares, st.floats(-5, 5), st.floats(0, 1))
def test_serotonin_and_dopamine_beyond_its_range_change_nothing(
    new: float, error: float, dopamine: float, serotonin: float
) -> None:
    held = 0.2 if dopamine < 0.2 else 0.8 if dopamine > 0.8 else dopamine
    assert salience(new, error, Levels(dopamine, serotonin)) == salience(new, error, Levels(held))


@pytest.mark.parametrize(
    ("new", "error", "at", "found"),
    [(1.0, 1.0, Levels(), 1.0), (0.5, 0.5, Levels(), 0.5), (0, 0, Levels(acetylcholine=0.3), 0.3)],
)
def test_some_saliences_worked_out_by_hand(new: float, error: float, at: Levels, found: float) -> None:
    assert salience(new, error, at) == pytest.approx(found, abs=1e-12)


@given(shares, st.floats(0, 0.1))
def test_noradrenaline_raises_the_bar(found: float, noradrenaline: float) -> None:
    assert worth_storing(found, Levels(noradrenaline=noradrenaline)) is (found >= 0.5 + noradrenaline)


def test_the_bar_itself_is_enough() -> None:
    assert worth_storing(0.5, Levels())
    assert not worth_storing(0.5, Levels(noradrenaline=0.1))
    assert not worth_storing(0.4999, Levels())
