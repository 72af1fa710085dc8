"""The working memory of a session: its last evaluations, in Redis (contract 7)."""

import json
import re
from typing import cast

from redis import Redis

from somabrain.wire import Json, dumps

KEPT = 32
SHOWN = 10


def key(tenant: str, session_id: str) -> str:
    """The first colon after the prefix ends the tenant: one in its name is written %3A, so that no two keys meet."""
    return f"{prefix(tenant)}{session_id}"


def prefix(tenant: str) -> str:
    return f"somabrain:wm:{tenant.replace('%', '%25').replace(':', '%3A')}:"


def forget(redis: Redis, tenant: str) -> None:
    """Delete what is held of all sessions of the tenant."""
    pattern = re.sub(r"([\\*?\[\]^])", r"\\\1", prefix(tenant)) + "*"
    for name in redis.scan_iter(match=pattern, count=1000):
        redis.delete(name)


def remember(redis: Redis, tenant: str, session_id: str, entry: Json, ttl_s: int) -> list[Json]:
    """Add an evaluation and return the newest ones, oldest first. All of it happens at once or not at all."""
    name = key(tenant, session_id)
    with redis.pipeline(transaction=True) as together:
        together.lpush(name, dumps(entry))
        together.ltrim(name, 0, KEPT - 1)
        together.expire(name, ttl_s)
        together.lrange(name, 0, SHOWN - 1)
        newest = cast(list[str], together.execute()[-1])
    return [json.loads(item) for item in reversed(newest)]
