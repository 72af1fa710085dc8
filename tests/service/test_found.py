"""How much of what was found an answer carries."""

from itertools import product

from somabrain.found import fitting


def test_what_fits_is_the_longest_beginning_within_the_room() -> None:
    for length in range(5):
        for sizes in product((0, 1, 2, 5), repeat=length):
            for room in range(9):
                kept = fitting(sizes, room)
                assert kept >= min(1, length)
                assert kept <= 1 or sum(sizes[:kept]) <= room
                assert kept == length or sum(sizes[: kept + 1]) > room
