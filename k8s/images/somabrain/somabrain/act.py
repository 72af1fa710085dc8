"""Acting on a task: what is known of it, whether it is worth remembering, and what follows (contract 5 and 6.6)."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from uuid import uuid4

from sqlalchemy import Connection, func, select

from somabrain import neuromodulators, paths, salience
from somabrain.embedding import embed
from somabrain.memories import Memories
from somabrain.memory import Memory, memory_from, task_digest


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
    """Judge a task by what is remembered, and hand it to `keep` if it is worth that.

    Its novelty is that among the tenant's memories of every universe; everything else is of its own universe.

    It counts as stored when `keep` says that it was: a repeated idempotency key stores once.
    """
    vector = embed(task)
    take_turn(connection, tenant, task)
    levels = neuromodulators.read(connection, tenant)
    known = memories.recall(connection, tenant, task, vector, top_k, universe)
    new = salience.novelty(vector, known.nearest)
    error = salience.pred_error(vector, known.vectors)
    found = salience.salience(new, error, levels)
    plan = paths.suggest(connection, tenant, universe, task)
    worth = salience.worth_storing(found, levels)
    return Acted(
        novelty=new,
        pred_error=error,
        salience=found,
        stored=worth and keep(remembered(task, universe)),
        wm_hits=known.window_hits,
        memory_hits=len(known.vectors),
        plan=plan,
    )


def take_turn(connection: Connection, tenant: str, task: str) -> None:
    """Hold the task until the transaction ends. Who judges it at the same time waits, and then sees what was stored."""
    name = sha256(b"act\x00" + task_digest(task) + tenant.encode()).digest()
    connection.execute(select(func.pg_advisory_xact_lock(int.from_bytes(name[:8], "big", signed=True))))


def remembered(task: str, universe: str) -> Memory:
    """A task as a memory of its own."""
    return memory_from({"payload": {"task": task, "universe": universe}}, uuid4().hex, time.time())
