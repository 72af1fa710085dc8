"""Links between memories, and how strongly the returned ones are linked (contract 5 and 6.4).

An end of a link is a key, which stands for every memory with that task, or a coordinate, which stands for the memories
at that place. Neither has to be there yet.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sqlalchemy import Connection, func, select
from sqlalchemy.dialects.postgresql import insert

from somabrain.found import Found
from somabrain.memory import coordinates, place_digest, task_digest
from somabrain.retrieval import Floats
from somabrain.tables import links


@dataclass(frozen=True)
class End:
    """One end of a link: what it is found by, and how it is shown where no memory is."""

    digest: bytes
    text: str


def key_end(key: str) -> End:
    return End(task_digest(key), key.strip())


def place_end(coord: str) -> End:
    place = coordinates(coord)
    return End(place_digest(place), ",".join(map(repr, place)))


@dataclass(frozen=True)
class Link:
    begin: End
    end: End
    type: str
    weight: float


def write(connection: Connection, tenant: str, universe: str, link: Link) -> None:
    """Keep a link. One of the same ends and type takes the new weight."""
    upsert = insert(links).values(
        tenant_id=tenant,
        universe=universe,
        from_digest=link.begin.digest,
        to_digest=link.end.digest,
        type=link.type,
        weight=link.weight,
        from_key=link.begin.text,
        to_key=link.end.text,
    )
    connection.execute(
        upsert.on_conflict_do_update(constraint=links.primary_key, set_={"weight": upsert.excluded.weight})
    )


def strongest(connection: Connection, tenant: str, found: Sequence[Found]) -> Floats:
    """For each memory the weight, within [0, 1], of its strongest link with another of these; 0 without one."""
    graph = np.zeros(len(found))
    if len(found) < 2:
        return graph
    names = [{f.task_digest, place_digest(f.payload["coordinate"])} for f in found]
    digests = list(set().union(*names))
    c = links.c
    rows = connection.execute(
        select(c.from_digest, c.to_digest, func.max(c.weight).label("weight"))
        .where(c.tenant_id == tenant, c.from_digest.in_(digests), c.to_digest.in_(digests))
        .where(c.from_digest != c.to_digest)
        .group_by(c.from_digest, c.to_digest)
    ).all()
    for row in rows:
        weight = min(max(row.weight, 0.0), 1.0)
        begins = {i for i, known in enumerate(names) if row.from_digest in known}
        ends = {i for i, known in enumerate(names) if row.to_digest in known}
        for i in joined(begins, ends):
            graph[i] = max(graph[i], weight)
    return graph


def joined(begins: set[int], ends: set[int]) -> set[int]:
    """Who is linked with another one, where everybody in the one set is linked with everybody in the other."""
    return {i for i in begins if ends - {i}} | {i for i in ends if begins - {i}}
