"""Which memories come first: by cosine, and the newest first where cosines are equal (contract 3).

A Scan holds one row per memory that may still be wanted, so its size does not grow with the tenant's memories. Cosines
are summed row by row, without BLAS, so equal vectors have equal cosines wherever they stand, and a tie is a tie.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from somabrain.embedding import Vector

Rows = NDArray[np.int64]
Keys = NDArray[Any]

GATHERED = 32_768  # rows that come together before those which are not wanted are left out


@dataclass(frozen=True)
class Block:
    """Some memories of a tenant, ordered by their number."""

    seq: NDArray[np.int64]
    at: NDArray[np.float64]
    universe: NDArray[np.int64]
    vectors: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.seq)

    @property
    def nbytes(self) -> int:
        return self.seq.nbytes + self.at.nbytes + self.universe.nbytes + self.vectors.nbytes


def joined(a: Block, b: Block) -> Block:
    return Block(
        np.concatenate([a.seq, b.seq]),
        np.concatenate([a.at, b.at]),
        np.concatenate([a.universe, b.universe]),
        np.concatenate([a.vectors, b.vectors]),
    )


@dataclass(frozen=True)
class Scan:
    """Memories of a tenant as one column each; the vectors have become cosines (0 without a query)."""

    seq: NDArray[np.int64]
    at: NDArray[np.float64]
    universe: NDArray[np.int64]
    cosine: NDArray[np.float32]

    @classmethod
    def of(cls, block: Block, query: Vector | None) -> Self:
        found = np.zeros(len(block), np.float32) if query is None else cosines(block.vectors, query)
        return cls(block.seq, block.at, block.universe, found)

    @classmethod
    def joined(cls, parts: Iterable[Self]) -> Self:
        columns = zip(*((part.seq, part.at, part.universe, part.cosine) for part in parts), strict=True)
        return cls(*(np.concatenate(column) for column in columns))

    def only(self, rows: Rows) -> Self:
        return type(self)(self.seq[rows], self.at[rows], self.universe[rows], self.cosine[rows])

    def __len__(self) -> int:
        return len(self.seq)

    def rows(self, universe: str | None) -> Rows:
        """The rows of one universe, or all of them."""
        if universe is None:
            return np.arange(len(self), dtype=np.int64)
        return np.flatnonzero(self.universe == universe_key(universe)).astype(np.int64)

    def newest(self, k: int, rows: Rows) -> Rows:
        return top(k, rows, self.at, self.seq)

    def nearest(self, k: int, rows: Rows) -> Rows:
        return top(k, rows, self.cosine, self.at, self.seq)


def universe_key(name: str) -> int:
    """A universe as a number, so that a column of them can be compared at once. Postgres computes it too."""
    return int.from_bytes(sha256(name.encode()).digest()[:8], "big", signed=True)


def cosines(vectors: NDArray[np.float32], query: Vector) -> NDArray[np.float32]:
    found: NDArray[np.float32] = np.einsum("ij,j->i", vectors, query)
    return np.clip(found, -1.0, 1.0)


def scan(blocks: Iterable[Block], query: Vector | None, wanted: Callable[[Scan], Rows]) -> Scan:
    """The wanted rows of all blocks, which are read once, one after the other.

    Wanted is asked of a part at a time. So a row must be wanted among all only if it is wanted among any part of them,
    as the first k of an order are.
    """
    parts = [Scan(np.empty(0, np.int64), np.empty(0), np.empty(0, np.int64), np.empty(0, np.float32))]
    for block in blocks:
        parts.append(Scan.of(block, query))
        if sum(map(len, parts)) >= GATHERED:
            whole = Scan.joined(parts)
            parts = [whole.only(wanted(whole))]
    whole = Scan.joined(parts)
    return whole.only(wanted(whole))


def top(k: int, rows: Rows, *keys: Keys) -> Rows:
    """The k rows with the largest keys, largest first; a later key decides where the earlier ones are equal."""
    first = keys[0][rows]
    if 0 < k < len(rows):
        rows = rows[first >= np.partition(first, len(first) - k)[len(first) - k]]
    order = np.lexsort([key[rows] for key in reversed(keys)])[::-1]
    return rows[order[:k]]
