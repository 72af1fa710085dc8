"""Acting on a task: what is known of it, whether it is worth remembering, and what follows (contract 5 and 6.6)."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from uuid import uuid4

from sqlalchemy import Connection

from somabrain import neuromodulators, paths, salience
from somabrain.embedding import embed
from somabrain.memories import Memories
from somabrain.memory import Memory, memory_from


@dataclass(frozen=True)
class Acted:
    """What a task came to."""

    novelty: float
    pred_error: float
    salience: float
    stored: bool
    wm_hits: int
    memory_hits: int
    plan: list[str]


def act(
    connection: Connection,
    memories: Memories,
    tenant: str,
    task: str,
    top_k: int,
    universe: str,
    keep: Callable[[Memory], bool],
) -> Acted:
    """Judge a task by the memories of its universe, and hand it to `keep` if it is worth that.

    It counts as stored when `keep` says that it was: a repeated idempotency key stores once.
    """
    vector = embed(task)
    levels = neuromodulators.read(connection, tenant)
    known = memories.recall(connection, tenant, task, vector, top_k, universe)
    new = salience.novelty(vector, None if known.nearest is None else known.nearest.vector)
    error = salience.pred_error(vector, [found.vector for found in known.found])
    found = salience.salience(new, error, levels)
    plan = paths.suggest(connection, tenant, universe, task)
    worth = salience.worth_storing(found, levels)
    return Acted(
        novelty=new,
        pred_error=error,
        salience=found,
        stored=worth and keep(remembered(task, universe)),
        wm_hits=len(known.window),
        memory_hits=len(known.found),
        plan=plan,
    )


def remembered(task: str, universe: str) -> Memory:
    """A task as a memory of its own."""
    return memory_from({"payload": {"task": task, "universe": universe}}, uuid4().hex, time.time())
