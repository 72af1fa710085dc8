"""Links between memories, and how strongly the returned ones are linked (contract 5 and 6.4)."""

from collections.abc import Sequence

import numpy as np
from sqlalchemy import Connection, func, select

from somabrain.memories import Found
from somabrain.retrieval import Floats
from somabrain.tables import links


def strongest(connection: Connection, tenant: str, found: Sequence[Found]) -> Floats:
    """For each memory the weight, within [0, 1], of its strongest link with another of these; 0 without one."""
    graph = np.zeros(len(found))
    digests = list({f.task_digest for f in found})
    if len(digests) < 2:
        return graph
    c = links.c
    rows = connection.execute(
        select(c.from_digest, c.to_digest, func.max(c.weight).label("weight"))
        .where(c.tenant_id == tenant, c.from_digest.in_(digests), c.to_digest.in_(digests))
        .where(c.from_digest != c.to_digest)
        .group_by(c.from_digest, c.to_digest)
    ).all()
    for row in rows:
        weight = min(max(row.weight, 0.0), 1.0)
        for i, one in enumerate(found):
            if one.task_digest in (row.from_digest, row.to_digest):
                graph[i] = max(graph[i], weight)
    return graph
