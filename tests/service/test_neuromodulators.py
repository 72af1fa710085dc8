"""The neuromodulators: their defaults and their bounds (contract 5)."""

from dataclasses import asdict

from hypothesis import given
from hypothesis import strategies as st
from somabrain.neuromodulators import BOUNDS, Levels, clipped

some_levels = st.dictionaries(st.sampled_from(list(BOUNDS)), st.floats(-1e9, 1e9))


def test_the_defaults_and_the_bounds_are_those_of_the_contract() -> None:
    assert asdict(Levels()) == {"dopamine": 0.4, "serotonin": 0.5, "noradrenaline": 0.0, "acetylcholine": 0.0}
    assert dict(BOUNDS) == {
        "dopamine": (0.0, 0.8),
        "serotonin": (0.0, 1.0),
        "noradrenaline": (0.0, 0.1),
        "acetylcholine": (0.0, 0.5),
    }


@given(some_levels)
def test_a_level_outside_its_bounds_is_moved_to_the_nearest(levels: dict[str, float]) -> None:
    held = clipped(levels)
    assert held.keys() == levels.keys()
    assert clipped(held) == held
    for name, level in levels.items():
        low, high = BOUNDS[name]
        assert held[name] == (low if level < low else high if level > high else level)
