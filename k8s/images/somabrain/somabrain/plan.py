"""A plan: what is linked to a task, the cheapest first (contract 6.6)."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

RANKED = ("depends_on", "causes", "part_of", "motivates", "related")
DEEPEST = 100  # links from the key: no plan is worth a longer walk
Node = bytes


@dataclass(frozen=True)
class Edge:
    """A link as a plan follows it: to whom it leads, under which text, and how strongly."""

    to: Node
    text: str
    type: str
    weight: float


EdgesFrom = Callable[[Sequence[Node]], Iterable[Edge]]


def rank(link_type: str) -> int:
    """The place of a link type in its order. A type that has none comes after all that have."""
    return RANKED.index(link_type) if link_type in RANKED else len(RANKED)


def cost(depth: int, edge: Edge) -> float:
    """What a step costs that is so many links away, the last of them this one. Weights are positive."""
    return depth + rank(edge.type) + 1.0 / edge.weight


def same(text: str) -> str:
    """Equal for texts that are the same but for case and outer space."""
    return text.strip().casefold()


def suggest(key: str, start: Node, edges_from: EdgesFrom, max_steps: int) -> list[str]:
    """The texts that links lead to from the start, each once and at its lowest cost; never the key itself.

    The walk is breadth-first. It ends when what lies deeper can only cost more than what it has: a step costs more
    than its depth.
    """
    best: dict[str, tuple[float, int, str]] = {}
    seen, frontier, depth = {start}, [start], 0
    while frontier and depth < DEEPEST and not settled([found[0] for found in best.values()], max_steps, depth + 1):
        depth += 1
        edges = list(edges_from(frontier))
        for edge in edges:
            if same(edge.text) != same(key):
                offer = (cost(depth, edge), depth, edge.text)
                best[same(edge.text)] = min(best.get(same(edge.text), offer), offer)
        frontier = list(dict.fromkeys(edge.to for edge in edges if edge.to not in seen))
        seen.update(frontier)
    return [text for _, _, text in sorted(best.values())[:max_steps]]


def settled(costs: Sequence[float], max_steps: int, depth: int) -> bool:
    """Whether no step at this depth or deeper can be among the cheapest any more."""
    return sum(cost <= depth for cost in costs) >= max_steps
