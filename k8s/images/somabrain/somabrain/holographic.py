"""Holographic vectors: structure in vectors of a fixed length, by circular convolution (contract 6.7).

Everything here is a pure function of vectors, or of a name: what is drawn from a name is the same in every process.
"""

from collections.abc import Mapping
from functools import lru_cache
from hashlib import blake2b, shake_256

import numpy as np
from numpy.typing import NDArray

from somabrain.retrieval import Floats, cosine

EPS = 1e-9


def bind(a: Floats, b: Floats) -> Floats:
    """The circular convolution of two vectors: a vector like neither of them."""
    return np.fft.irfft(np.fft.rfft(a) * np.fft.rfft(b), len(a))


def unbind(a: Floats, b: Floats, eps: float = EPS) -> Floats:
    """What was bound with b to give a. Where b says nothing of a frequency, eps keeps the quotient finite."""
    bound, key = np.fft.rfft(a), np.fft.rfft(b)
    return np.fft.irfft(np.conj(key) * bound / (np.abs(key) ** 2 + eps), len(a))


def unit(vector: Floats) -> Floats:
    """The vector at length one; ValueError if it has no direction."""
    length = float(np.linalg.norm(vector))
    if length == 0.0:
        raise ValueError("a vector of length zero has no direction")
    return vector / length


def superpose(*vectors: Floats) -> Floats:
    """The unit vector along the sum: like each of its parts."""
    return unit(np.sum(vectors, axis=0))


@lru_cache
def order(dim: int) -> NDArray[np.intp]:
    """The fixed permutation of so many places, the same on every machine."""
    return np.array(sorted(range(dim), key=lambda i: blake2b(i.to_bytes(8, "little")).digest()), dtype=np.intp)


def permute(vector: Floats, times: int = 1) -> Floats:
    """The vector with its numbers moved by the fixed permutation, so many times; backwards if negative."""
    step = order(len(vector)) if times >= 0 else np.argsort(order(len(vector)))
    for _ in range(abs(times)):
        vector = vector[step]
    return vector


def cleanup(vector: Floats, known: Mapping[str, Floats]) -> tuple[str, float]:
    """The name of the known vector nearest by cosine, and that cosine; the first of equals. ValueError for none."""
    if not known:
        raise ValueError("nothing is known")
    found = {name: cosine(vector, one) for name, one in known.items()}
    name = max(found, key=lambda one: found[one])
    return name, found[name]


def uniform(name: str, count: int) -> Floats:
    """Numbers in (0, 1), drawn from a name."""
    drawn = np.frombuffer(shake_256(name.encode()).digest(8 * count), "<u8")
    return ((drawn >> np.uint64(11)).astype(np.float64) + 0.5) / 2.0**53


def atom(name: str, dim: int) -> Floats:
    """A random unit vector, drawn from a name: every direction is equally likely."""
    radius, angle = uniform(f"atom:{name}", 2 * dim).reshape(2, dim)
    return unit(np.sqrt(-2.0 * np.log(radius)) * np.cos(2.0 * np.pi * angle))


def role(name: str, dim: int) -> Floats:
    """A vector of unit modulus in every frequency, drawn from a name: binding with it only turns phases."""
    turned = np.exp(2j * np.pi * uniform(f"role:{name}", dim // 2 + 1))
    turned[0] = 1.0
    if dim % 2 == 0:
        turned[-1] = 1.0  # Nyquist
    return np.fft.irfft(turned, dim)
