"""Holographic vectors: binding, superposing, permuting, cleaning up, roles (contract 6.7)."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from somabrain.holographic import atom, bind, cleanup, order, permute, role, superpose, unbind, unit
from somabrain.retrieval import cosine

Floats = NDArray[np.float64]
names = st.text(max_size=20)
dims = st.integers(2, 130)
DIM = 256


def near(vector: Floats) -> object:
    return pytest.approx(vector, abs=1e-9)


@given(names, names, dims)
def test_binding_is_circular_convolution(a: str, b: str, dim: int) -> None:
    x, y = atom(a, dim), atom(b, dim)
    wanted = [sum(x[j] * y[(i - j) % dim] for j in range(dim)) for i in range(dim)]
    assert bind(x, y) == near(np.array(wanted))


@given(names, names, names, dims)
def test_binding_knows_no_order_and_spreads_over_sums(a: str, b: str, c: str, dim: int) -> None:
    x, y, z = atom(a, dim), atom(b, dim), atom(c, dim)
    assert bind(x, y) == near(bind(y, x))
    assert bind(bind(x, y), z) == near(bind(x, bind(y, z)))
    assert bind(x, y + z) == near(bind(x, y) + bind(x, z))


@given(names, names, dims, st.floats(1e-9, 1.0))
def test_unbinding_is_the_promised_quotient(a: str, b: str, dim: int, eps: float) -> None:
    x, y = atom(a, dim), atom(b, dim)
    over, under = np.fft.fft(x), np.fft.fft(y)  # the full transform, where the code uses the half
    wanted = np.fft.ifft(np.conj(under) * over / (np.abs(under) ** 2 + eps))
    assert np.abs(wanted.imag).max() < 1e-6 * max(1.0, float(np.abs(wanted.real).max()))
    assert unbind(x, y, eps) == pytest.approx(wanted.real, rel=1e-6, abs=1e-6)


def test_unbinding_with_what_says_nothing_stays_finite() -> None:
    assert unbind(atom("x", DIM), np.zeros(DIM)) == near(np.zeros(DIM))


@given(names, dims)
def test_a_role_has_unit_modulus_in_every_frequency(name: str, dim: int) -> None:
    bins = np.fft.fft(role(name, dim))
    assert np.abs(bins) == near(np.ones(dim))
    assert bins[0] == pytest.approx(1.0)
    if dim % 2 == 0:
        assert bins[dim // 2] == pytest.approx(1.0)  # Nyquist
    assert float(np.linalg.norm(role(name, dim))) == pytest.approx(1.0)


@given(names, names, dims, st.floats(1e-3, 1e3))
def test_binding_with_a_role_keeps_length_and_unbinding_restores(a: str, name: str, dim: int, length: float) -> None:
    vector = length * atom(a, dim)
    bound = bind(vector, role(name, dim))
    assert float(np.linalg.norm(bound)) == pytest.approx(length)
    restored = unbind(bound, role(name, dim))
    assert cosine(restored, vector) >= 0.999
    assert float(np.linalg.norm(restored)) == pytest.approx(length, rel=1e-6)


@given(st.lists(names, min_size=1, max_size=6, unique=True))
def test_a_superposition_is_the_unit_sum_and_like_each_part(parts: list[str]) -> None:
    vectors = [atom(name, DIM) for name in parts]
    found = superpose(*vectors)
    assert float(np.linalg.norm(found)) == pytest.approx(1.0)
    assert cosine(found, sum(vectors, np.zeros(DIM))) == pytest.approx(1.0)
    assert cleanup(found, {name: atom(name, DIM) for name in [*parts, "a stranger", "another"]})[0] in parts


def test_what_cancels_out_has_no_direction() -> None:
    with pytest.raises(ValueError, match="no direction"):
        superpose(atom("x", DIM), -atom("x", DIM))
    with pytest.raises(ValueError, match="no direction"):
        unit(np.zeros(DIM))


@given(names, names, dims, st.integers(-5, 5))
def test_a_permutation_moves_numbers_and_can_be_undone(a: str, b: str, dim: int, times: int) -> None:
    x, y = atom(a, dim), atom(b, dim)
    moved = permute(x, times)
    assert sorted(moved) == sorted(x)
    assert permute(moved, -times).tolist() == x.tolist()
    assert cosine(moved, permute(y, times)) == pytest.approx(cosine(x, y), abs=1e-12)
    assert permute(permute(x), 2).tolist() == permute(x, 3).tolist()


def test_the_permutation_is_fixed_and_moves_nearly_all() -> None:
    assert order(8).tolist() == [3, 4, 7, 0, 1, 6, 5, 2]  # on every machine
    assert sorted(order(DIM)) == list(range(DIM))
    assert sum(order(DIM) == np.arange(DIM)) < 10
    assert abs(cosine(atom("x", DIM), permute(atom("x", DIM)))) < 6 / DIM**0.5


@given(st.dictionaries(names, st.lists(st.integers(-3, 3), min_size=4, max_size=4).map(np.array), min_size=1))
def test_cleaning_up_finds_the_nearest_by_cosine(known: dict[str, Floats]) -> None:
    vector = np.array([1.0, 2.0, -1.0, 0.5])
    name, found = cleanup(vector, known)
    assert found == cosine(vector, known[name]) == max(cosine(vector, one) for one in known.values())


def test_cleaning_up_needs_something_known() -> None:
    with pytest.raises(ValueError, match="nothing is known"):
        cleanup(np.ones(4), {})


@given(st.sets(names, min_size=2, max_size=12), st.sampled_from([64, 256, 1024]))
def test_unrelated_random_vectors_are_nearly_orthogonal(drawn: set[str], dim: int) -> None:
    for a, b in combinations(sorted(drawn), 2):
        for one, other in ((atom(a, dim), atom(b, dim)), (role(a, dim), role(b, dim)), (atom(a, dim), role(a, dim))):
            assert abs(cosine(one, other)) < 6 / dim**0.5


@given(names, dims)
def test_a_name_gives_one_vector_of_length_one(name: str, dim: int) -> None:
    assert atom(name, dim).tolist() == atom(name, dim).tolist()
    assert float(np.linalg.norm(atom(name, dim))) == pytest.approx(1.0)


def test_a_record_of_roles_gives_back_each_filler() -> None:
    known = {word: atom(word, DIM) for word in ("cat", "mouse", "kitchen", "dog", "garden", "night")}
    said = {"who": "cat", "whom": "mouse", "where": "kitchen"}
    record = superpose(*(bind(role(name, DIM), known[word]) for name, word in said.items()))
    assert {name: cleanup(unbind(record, role(name, DIM)), known)[0] for name in said} == said
