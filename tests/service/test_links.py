"""The ends of links, and whom they join (contract 5 and 6.4)."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from somabrain.errors import Refused
from somabrain.links import joined, key_end, place_end
from somabrain.memory import memory_from, place_digest, task_digest

places = st.tuples(*[st.floats(-1e6, 1e6)] * 3)
members = st.sets(st.integers(0, 5))


@given(st.text(min_size=1))
def test_a_key_is_found_by_the_task_it_names(key: str) -> None:
    end = key_end(key)
    assert (end.digest, end.text) == (task_digest(key), key.strip())


@given(places)
def test_a_coordinate_is_found_by_the_memory_at_it(place: tuple[float, float, float]) -> None:
    coord = ",".join(map(repr, place))
    there = memory_from({"coord": coord, "payload": {"task": "a"}}, "an-id", 0.0)
    end = place_end(f" {coord} ")
    assert (end.digest, end.text) == (there.place_digest, coord)


@given(places, places)
def test_only_equal_coordinates_have_one_digest(a: tuple[float, ...], b: tuple[float, ...]) -> None:
    assert (place_digest(a) == place_digest(b)) is (a == b)
    assert place_digest(a) != task_digest(",".join(map(repr, a)))


def test_zero_has_no_sign() -> None:
    assert place_digest([0.0, -0.0, 1.0]) == place_digest([-0.0, 0.0, 1.0])


@pytest.mark.parametrize("coord", ["1,2", "1,2,3,4", "a,b,c", "1,2,nan", "1,2,inf", "1,2,1000001"])
def test_a_coordinate_that_is_none_is_refused(coord: str) -> None:
    with pytest.raises(Refused, match="Invalid input"):
        place_end(coord)


@given(members, members)
def test_who_is_joined_is_joined_with_another(begins: set[int], ends: set[int]) -> None:
    pairs = {frozenset(pair) for pair in product(begins, ends) if pair[0] != pair[1]}
    assert joined(begins, ends) == set().union(*pairs)
