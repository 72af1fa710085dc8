"""The prompt of an evaluation: what is remembered, then the query (contract 4 and 6.6)."""

from collections.abc import Sequence
from dataclasses import dataclass

from somabrain.learning import Weights

LIMIT = 4096
GAP = "\n\n"
TITLE = 64
LEAST = 96  # a block of fewer characters says nothing


@dataclass(frozen=True)
class Entry:
    """A memory as the prompt shows it."""

    title: str
    text: str


def shortened(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def block(entry: Entry, length: int) -> str:
    title = shortened(" ".join(entry.title.split()), TITLE)
    return shortened(f"[{title}]\n{entry.text}", length)


def compose(query: str, entries: Sequence[Entry]) -> str:
    """Memories in their order, each with a fair share of the room, then the whole query."""
    room = LIMIT - len(query)
    entries = entries[: max(0, room) // (LEAST + len(GAP))]
    blocks: list[str] = []
    for left, entry in zip(range(len(entries), 0, -1), entries, strict=True):
        blocks.append(block(entry, room // left - len(GAP)))
        room -= len(blocks[-1]) + len(GAP)
    return GAP.join([*blocks, query])


def score(weights: Weights, extent: float, total: float, characters: int, n: int) -> float:
    """What a prompt is worth: the gain of its context less the price of its length and of its memories."""
    return weights.lambda_ * extent * total - weights.mu * characters / 1024 - weights.nu * n / 10


def best(weights: Weights, query: str, entries: Sequence[Entry], shares: Sequence[float]) -> str:
    """The better of the prompt with all memories and the prompts with one alone; the full one on ties."""
    if not entries:
        return query
    total = sum(shares)
    full = compose(query, entries)
    ranked = [(score(weights, 1.0, total, len(full), len(entries)), full)]
    for entry, share in zip(entries, shares, strict=True):
        alone = compose(query, [entry])
        ranked.append((score(weights, share, total, len(alone), 1), alone))
    return max(ranked, key=lambda pair: pair[0])[1]
