"""What the routes work with: the settings, the pools and the copy of the vectors, made once per process."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry
from sqlalchemy import Engine

from somabrain import deadline
from somabrain.database import open_engine
from somabrain.limits import WORK, Limiter
from somabrain.memories import Memories
from somabrain.settings import Settings
from somabrain.vectors import VectorCache

THREADS = 16  # more than the pool has connections: not every step of a request needs one
REDIS_ANSWER_S = 0.5


@dataclass(frozen=True)
class Service:
    settings: Settings
    engine: Engine
    redis: Redis
    memories: Memories
    limiter: Limiter  # of /remember and /recall
    work_limiter: Limiter

    def close(self) -> None:
        self.engine.dispose()
        self.redis.close()


def open_redis(settings: Settings) -> Redis:
    """A client that soon says so when Redis does not answer, and finds a restarted one again."""
    return Redis.from_url(
        settings.redis_url,
        decode_responses=True,
        socket_timeout=REDIS_ANSWER_S,
        socket_connect_timeout=REDIS_ANSWER_S,
        retry=Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,)),
        retry_on_error=[RedisConnectionError],
    )


def open_service(settings: Settings) -> Service:
    """Nothing connects yet: the first request does."""
    redis = open_redis(settings)
    engine = open_engine(settings, settings.db_connections)
    deadline.keep(engine)
    return Service(
        settings,
        engine,
        redis,
        Memories(VectorCache(settings.vector_cache_bytes)),
        Limiter(redis, settings.rate_per_s, settings.rate_burst),
        Limiter(redis, settings.work_rate_per_s, settings.work_rate_burst, WORK),
    )


async def service_of(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


Served = Annotated[Service, Depends(service_of)]
