"""Plans: what is reached, at what cost, and in which order (contract 6.6)."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from somabrain.plan import DEEPEST, RANKED, Edge, cost, rank, suggest

NAMES = "abcdefg"
types = st.sampled_from([*RANKED, "unheard of"])
links = st.lists(
    st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES), types, st.sampled_from([0.1, 0.5, 1.0, 2.0, 100.0])),
    max_size=25,
)
Links = Sequence[tuple[str, str, str, float]]


def plan(given_links: Links, max_steps: int, key: str = "a", looked: list[int] | None = None) -> list[str]:
    """The plan over links in memory; `looked` counts how often the next links were asked for."""

    def edges_from(nodes: Sequence[bytes]) -> list[Edge]:
        if looked is not None:
            looked.append(len(nodes))
        return [Edge(b.encode(), b, kind, w) for a, b, kind, w in given_links if a.encode() in nodes]

    return suggest(key, key.encode(), edges_from, max_steps)


def depths(given_links: Links) -> dict[str, int]:
    """How many links each name is away from `a`, found by relaxing all links until nothing changes."""
    found = {"a": 0}
    for _ in NAMES:
        for a, b, _, _ in given_links:
            if a in found:
                found[b] = min(found.get(b, 99), found[a] + 1)
    return found


def all_costs(given_links: Links) -> dict[str, float]:
    away = depths(given_links)
    offers: dict[str, float] = {}
    for a, b, kind, weight in given_links:
        if a in away and b != "a":
            offers[b] = min(offers.get(b, 1e9), away[a] + 1 + rank(kind) + 1 / weight)
    return offers


def test_types_are_ranked_in_their_order_and_others_come_last() -> None:
    assert [rank(kind) for kind in ("depends_on", "causes", "part_of", "motivates", "related", "other")] == [*range(6)]


@given(st.integers(1, 9), types, st.floats(1e-6, 1e6))
def test_a_cost_is_depth_and_rank_and_the_inverse_of_the_weight(depth: int, kind: str, weight: float) -> None:
    assert cost(depth, Edge(b"x", "x", kind, weight)) == pytest.approx(depth + rank(kind) + 1 / weight)


@given(links, st.integers(1, 8))
def test_a_plan_holds_the_cheapest_of_all_that_is_reached(given_links: Links, max_steps: int) -> None:
    costs = all_costs(given_links)
    found = plan(given_links, max_steps)
    assert len(found) == min(max_steps, len(costs))
    assert [costs[text] for text in found] == pytest.approx(sorted(costs.values())[:max_steps])


@given(links, st.integers(1, 8))
def test_a_plan_has_distinct_texts_and_never_its_own_key(given_links: Links, max_steps: int) -> None:
    found = plan(given_links, max_steps)
    assert len(set(found)) == len(found)
    assert "a" not in found


@given(links, st.integers(1, 8), st.randoms(use_true_random=False))
def test_a_plan_does_not_depend_on_the_order_of_the_links(given_links: Links, max_steps: int, random: object) -> None:
    shuffled = sorted(given_links, key=lambda _: random.random())  # type: ignore[attr-defined]
    assert plan(shuffled, max_steps) == plan(given_links, max_steps)


def test_the_same_text_in_another_case_is_one_step() -> None:
    given_links = [("a", "b", "related", 1.0), ("a", " B ", "causes", 1.0), ("b", "A", "causes", 1.0)]
    assert plan(given_links, 5) == [" B "]


def test_a_longer_way_over_a_better_link_may_be_cheaper() -> None:
    given_links = [("a", "b", "depends_on", 1.0), ("a", "d", "related", 1.0), ("b", "c", "depends_on", 1.0)]
    assert plan(given_links, 5) == ["b", "c", "d"]


def test_the_walk_goes_on_while_what_is_deeper_may_be_cheaper() -> None:
    given_links = [("a", "b", "causes", 2.0), ("b", "c", "depends_on", 100.0)]
    assert plan(given_links, 1) == ["c"]  # 2.01, and b costs 2.5


def test_a_circle_is_walked_once() -> None:
    looked: list[int] = []
    assert plan([("a", "b", "causes", 1.0), ("b", "a", "causes", 1.0)], 5, looked=looked) == ["b"]
    assert looked == [1, 1]


def test_nothing_is_planned_where_nothing_is_linked() -> None:
    assert plan([("b", "a", "related", 1.0)], 5) == []  # links lead one way


def test_the_walk_ends_when_what_is_deeper_can_only_cost_more() -> None:
    chain = [(f"n{i}", f"n{i + 1}", "depends_on", 1.0) for i in range(3 * DEEPEST)]
    looked: list[int] = []
    assert plan(chain, 3, "n0", looked) == ["n1", "n2", "n3"]
    assert len(looked) == 3
    assert len(plan(chain, 3 * DEEPEST, "n0")) == DEEPEST
