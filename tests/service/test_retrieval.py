"""Scores, softmax, residual and rank (contract 3 and 6.4)."""

from math import exp

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from somabrain.learning import Weights
from somabrain.memory import number
from somabrain.ranking import GATHERED, Block, Rows, Scan, scan, universe_key
from somabrain.retrieval import recency, residual, scores, softmax

taus = st.floats(0.4, 1.2)
many_scores = st.lists(st.floats(-20, 20), min_size=1, max_size=20).map(np.array)


@given(st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=20).map(np.array), taus)
def test_weights_are_positive_and_sum_to_one(raw: NDArray[np.float64], tau: float) -> None:
    weights = softmax(raw, tau)
    assert (weights > 0).all()
    assert float(weights.sum()) == pytest.approx(1.0, abs=1e-9)


@given(many_scores, taus, st.floats(-1e3, 1e3))
def test_only_differences_of_scores_count(raw: NDArray[np.float64], tau: float, shift: float) -> None:
    assert softmax(raw + shift, tau) == pytest.approx(softmax(raw, tau), rel=1e-6)


@given(many_scores, taus)
def test_a_higher_score_never_weighs_less(raw: NDArray[np.float64], tau: float) -> None:
    order = np.argsort(raw, kind="stable")
    assert (np.diff(softmax(raw, tau)[order]) >= 0).all()


@given(st.floats(-1, 1), st.floats(0, 1), st.floats(0, 1))
def test_a_score_is_the_promised_sum(cosine: float, graph: float, recent: float) -> None:
    weights = Weights(alpha=2.0, beta=0.2, gamma=0.3)
    (found,) = scores(weights, np.array([cosine]), np.array([graph]), np.array([recent]))
    assert found == pytest.approx(2.0 * cosine + 0.2 * graph + 0.3 * recent, abs=1e-12)


def test_recency_falls_by_e_each_minute() -> None:
    assert recency(1000.0, 1000.0) == recency(2000.0, 1000.0) == 1.0
    assert recency(1000.0, 1060.0) == pytest.approx(exp(-1))
    assert recency(0.0, 1e12) == recency(None, 1000.0) == 0.0


@given(st.lists(st.lists(st.floats(-1, 1), min_size=8, max_size=8), min_size=1, max_size=20).map(np.array))
def test_a_residual_is_a_unit_vector_or_nothing(vectors: NDArray[np.float64]) -> None:
    found = residual(np.full(len(vectors), 1 / len(vectors)), vectors)
    assert len(found) == 0 or float(np.linalg.norm(found)) == pytest.approx(1.0, abs=1e-9)


def test_without_memories_or_without_a_direction_there_is_no_residual() -> None:
    assert len(residual(np.empty(0), np.empty((0, 8)))) == 0
    assert len(residual(np.array([0.5, 0.5]), np.array([[1.0, 0.0], [-1.0, 0.0]]))) == 0


# Few values, so that there are many ties.
rows = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.sampled_from(["real", "dream"])), max_size=40)


@given(rows, st.integers(1, 45), st.sampled_from(["real", "dream", None]))
def test_rank_is_by_cosine_then_by_time_then_by_number(
    given_rows: list[tuple[int, int, str]], k: int, universe: str | None
) -> None:
    n = len(given_rows)
    seen = Scan(
        np.arange(1, n + 1, dtype=np.int64),
        np.array([at for _, at, _ in given_rows], np.float64),
        np.array([universe_key(name) for _, _, name in given_rows], np.int64),
        np.array([cosine for cosine, _, _ in given_rows], np.float32),
    )
    held = [i for i, row in enumerate(given_rows) if universe in (None, row[2])]
    by_cosine = sorted(held, key=lambda i: (given_rows[i][0], given_rows[i][1], i), reverse=True)
    by_time = sorted(held, key=lambda i: (given_rows[i][1], i), reverse=True)
    assert seen.nearest(k, seen.rows(universe)).tolist() == by_cosine[:k]
    assert seen.newest(k, seen.rows(universe)).tolist() == by_time[:k]


def everything(seen: Scan) -> Rows:
    return seen.rows(None)


@given(st.integers(1, 30), st.integers(1, 30))
def test_cosines_do_not_depend_on_how_memories_are_kept(n: int, size: int) -> None:
    vectors = np.random.default_rng(n * 31 + size).standard_normal((n, 256)).astype(np.float32)
    vectors[n // 2] = vectors[0]
    seq, at, universe = np.arange(n, dtype=np.int64), np.zeros(n), np.zeros(n, np.int64)
    cuts = [slice(i, i + size) for i in range(0, n, size)]
    whole = scan([Block(seq, at, universe, vectors)], vectors[0], everything)
    parts = scan([Block(seq[c], at[c], universe[c], vectors[c]) for c in cuts], vectors[0], everything)
    assert whole.cosine.tolist() == parts.cosine.tolist()
    assert whole.cosine[n // 2] == whole.cosine[0]


def test_what_is_left_out_on_the_way_is_what_is_not_wanted() -> None:
    """More rows than come together, with many ties; the first of all are the first of the parts' first."""
    n, k = 3 * GATHERED + 5, 7
    chance = np.random.default_rng(1)
    vectors = chance.integers(-1, 2, (n, 256)).astype(np.float32)[chance.integers(0, n // 50, n)] * np.float32(0.0625)
    seq, at = np.arange(1, n + 1, dtype=np.int64), chance.integers(0, 9, n).astype(np.float64)
    universe = np.array([universe_key("real"), universe_key("dream")])[chance.integers(0, 2, n)]
    cuts = [slice(start, start + 1000) for start in range(0, n, 1000)]
    blocks = [Block(seq[c], at[c], universe[c], vectors[c]) for c in cuts]
    query, largest = vectors[0], 0

    def wanted(seen: Scan) -> Rows:
        nonlocal largest
        largest = max(largest, len(seen))
        rows = seen.rows("dream")
        return np.union1d(seen.nearest(k, rows), seen.newest(k, rows))

    every, some = scan(blocks, query, everything), scan(blocks, query, wanted)
    for first in (Scan.nearest, Scan.newest):
        of_all = first(every, k, every.rows("dream"))
        assert some.seq[first(some, k, some.rows("dream"))].tolist() == every.seq[of_all].tolist()
    assert largest < GATHERED + 1000 + 2 * k


def test_a_number_is_neither_a_truth_nor_beyond_a_double() -> None:
    assert number(0)
    assert number(-1.5)
    assert not any(number(value) for value in (True, None, "1", 10**400, float("inf"), float("nan")))
