"""Text to vector (contract 6.1): the same text gives the same 256 numbers on every machine.

Every word and every trigram of its letters is hashed to a place and a sign. A word shared outweighs trigrams shared, so
texts with common words lie closer than texts without. The sums are exact or taken in the order of the text, and the
square roots are IEEE's: no step depends on a library's summation order or on Python's string hash.
"""

import re
from collections import Counter
from collections.abc import Iterator
from hashlib import blake2b
from math import fsum, sqrt
from unicodedata import normalize

import numpy as np
from numpy.typing import NDArray

DIM = 256
WORD_WEIGHT, TRIGRAM_WEIGHT = 1.0, 0.25
PLACES_OF_A_WORD = 4  # a word marks several places, so that two words seldom collide in all of them
WORD = re.compile(r"[^\W_]+")

Vector = NDArray[np.float32]


class EmptyText(ValueError):
    """The text has no letter of any script and no digit."""


def words(text: str) -> list[str]:
    return WORD.findall(normalize("NFKC", text).casefold())


def features(text: str) -> Iterator[tuple[str, float]]:
    """The distinct features of a text, in order of appearance, each with its weight."""
    counts = Counter(words(text))
    for word, count in counts.items():
        for place in range(PLACES_OF_A_WORD):
            yield f"{place}:{word}", WORD_WEIGHT * sqrt(count / PLACES_OF_A_WORD)
    trigrams: Counter[str] = Counter()
    for word, count in counts.items():
        padded = f"^{word}$"
        for start in range(len(padded) - 2):
            trigrams[padded[start : start + 3]] += count
    for trigram, count in trigrams.items():
        yield f"t:{trigram}", TRIGRAM_WEIGHT * sqrt(count)


def place_and_sign(feature: str) -> tuple[int, int]:
    number = int.from_bytes(blake2b(feature.encode(), digest_size=8).digest(), "little")
    return number % DIM, 1 if number >> 63 else -1


def embed(text: str) -> Vector:
    """Return the unit vector of a text; EmptyText if there is nothing in it to hash."""
    sums = [0.0] * DIM
    for feature, weight in features(text):
        place, sign = place_and_sign(feature)
        sums[place] += sign * weight
    length = sqrt(fsum(x * x for x in sums))
    if length == 0.0:
        found = words(text)
        if not found:
            raise EmptyText("empty text")
        # Every feature met its opposite: the text as a whole is then the one feature.
        place, sign = place_and_sign(" ".join(found))
        sums[place], length = float(sign), 1.0
    return np.array([x / length for x in sums], dtype="<f4")


def to_bytes(vector: Vector) -> bytes:
    return vector.astype("<f4", copy=False).tobytes()


def from_bytes(data: bytes) -> Vector:
    return np.frombuffer(data, dtype="<f4")
