"""Which states of a database an image can live with: over all small chains of revisions."""

from itertools import product

import pytest
from somabrain.schema import Revisions, Standing

LONGEST = 4


def sources(floors: tuple[int, ...]) -> list[str]:
    """A chain, its revisions named by their place, each of which says the place it lives with."""
    lines = [
        f'revision = "{n}"\ndown_revision = {repr(str(n - 1)) if n else None}\nlives_with = "{floor}"\n'
        for n, floor in enumerate(floors)
    ]
    return lines[::-1]


CHAINS = [
    floors
    for length in range(1, LONGEST + 1)
    for floors in product(range(length), repeat=length)
    if all(floor <= place for place, floor in enumerate(floors))
]


@pytest.mark.parametrize("floors", CHAINS)
def test_an_image_is_ready_on_its_schema_and_on_later_ones_that_allow_it(floors: tuple[int, ...]) -> None:
    later = Revisions.of(sources(floors))
    assert later.order == tuple(map(str, range(len(floors))))
    for version in range(len(floors)):
        oldest = later.oldest(str(version))
        for head in range(len(floors)):
            image = Revisions.of(sources(floors[: head + 1]))
            if version < head:
                wanted = Standing.BEHIND
            elif version == head:
                wanted = Standing.CURRENT
            else:  # every step between may exclude it
                wanted = Standing.AHEAD if max(floors[: version + 1]) <= head else Standing.BEYOND
            assert image.standing(str(version), oldest) is wanted
            assert wanted.usable is (version >= head and wanted is not Standing.BEYOND)


def test_a_database_without_a_revision_is_behind_and_one_that_says_nothing_is_beyond() -> None:
    image = Revisions.of(sources((0, 0)))
    assert image.standing(None, None) is Standing.BEHIND
    assert image.standing("9", None) is Standing.BEYOND


@pytest.mark.parametrize(
    "wrong",
    [
        ['revision = "0"\n'],
        ['revision = "0"\nlives_with = "1"\n'],
        [*sources((0, 0)), 'revision = "x"\ndown_revision = "0"\nlives_with = "0"\n'],
        ['revision = "a"\ndown_revision = "b"\nlives_with = "a"\n', *sources((0,))],
    ],
)
def test_revisions_that_do_not_say_enough_or_are_no_chain_are_refused(wrong: list[str]) -> None:
    with pytest.raises(ValueError, match=r"lacks lives_with|not one chain"):
        Revisions.of(wrong)
