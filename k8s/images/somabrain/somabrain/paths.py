"""The links that a plan follows, read from Postgres step by step (contract 5 and 6.6)."""

import json
from collections.abc import Collection, Sequence

from sqlalchemy import ARRAY, Connection, LargeBinary, cast, func, select, union

from somabrain import plan
from somabrain.links import key_end
from somabrain.memory import TASK_LENGTH
from somabrain.plan import Edge, EdgesFrom, Node
from somabrain.prompt import shortened
from somabrain.tables import links, memories

WIDEST = 2000  # links of one step; of more, the strongest
MAX_STEPS = 5


def suggest(
    connection: Connection,
    tenant: str,
    universe: str,
    key: str,
    max_steps: int = MAX_STEPS,
    types: Collection[str] = (),
) -> list[str]:
    """The plan for a key, over links of these types; of all types if none is named."""
    return plan.suggest(key, key_end(key).digest, follow(connection, tenant, universe, types), max_steps)


def follow(connection: Connection, tenant: str, universe: str, types: Collection[str]) -> EdgesFrom:
    c, m = links.c, memories.c
    wanted = [c.tenant_id == tenant, c.universe == universe, *([c.type.in_(types)] if types else [])]
    here = [m.tenant_id == tenant, m.universe == universe]

    def edges_from(nodes: Sequence[Node]) -> list[Edge]:
        # A key leads on from the places of its memories too, and a place from the task that is remembered there.
        sources = union(
            select(func.unnest(cast(list(nodes), ARRAY(LargeBinary)))),
            select(m.place_digest).where(*here, m.task_digest.in_(nodes)),
            select(m.task_digest).where(*here, m.place_digest.in_(nodes)),
        )
        rows = connection.execute(
            select(c.to_digest, c.to_key, c.type, c.weight)
            .where(*wanted, c.from_digest.in_(sources))
            .order_by(c.weight.desc(), c.to_digest, c.type)
            .limit(WIDEST)
        ).all()
        there = texts_at([row.to_digest for row in rows])
        return [Edge(row.to_digest, there.get(row.to_digest, row.to_key), row.type, row.weight) for row in rows]

    def texts_at(places: Sequence[bytes]) -> dict[bytes, str]:
        """The text of the newest memory at each of these places where there is one."""
        rows = connection.execute(
            select(m.place_digest, m.payload_json)
            .where(*here, m.place_digest.in_(places))
            .distinct(m.place_digest)
            .order_by(m.place_digest, m.at.desc(), m.seq.desc())
        )
        return {row.place_digest: shown(json.loads(row.payload_json)) for row in rows}

    return edges_from


def shown(payload: dict[str, str | None]) -> str:
    """A memory in a plan: its task, else its content, no longer than a task may be."""
    return shortened((payload.get("task") or "").strip() or payload.get("content") or "", TASK_LENGTH)
