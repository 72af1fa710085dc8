"""The running service and its two stores. Where one does not answer, the tests fail and say which."""

import os
from collections.abc import Iterator
from uuid import uuid4

import httpx
import psycopg
import pytest
from redis import Redis
from redis.exceptions import RedisError

from tests.service.live.brain import Brain, Service, asked

ANSWER_S = 30


def unreachable(what: str, error: object) -> None:
    pytest.fail(f"{what} does not answer: {error}\nBring the stack up with `devenv up`.", pytrace=False)


def needed(name: str) -> str:
    value = os.environ.get(name, "")
    if not value:
        pytest.fail(f"{name} is not set: run these tests with `devenv test`.", pytrace=False)
    return value


@pytest.fixture(scope="session")
def service() -> Iterator[Service]:
    url, dsn, redis_url = map(needed, ("SOMA_API_URL", "SOMABRAIN_POSTGRES_DSN", "SOMABRAIN_REDIS_URL"))
    headers = {"X-Model-Confidence": "1"}
    if token := os.environ.get("SOMABRAIN_ADMIN_TOKEN") or os.environ.get("SOMABRAIN_API_TOKEN"):
        headers["Authorization"] = f"Bearer {token}"
    with (
        httpx.Client(base_url=url, headers=headers, timeout=ANSWER_S, trust_env=False) as api,
        Redis.from_url(redis_url, decode_responses=True, socket_timeout=10, socket_connect_timeout=10) as redis,
    ):
        try:
            ready = asked(api, "GET", "/health")
            if ready.status_code != 200:
                unreachable(f"The service at {url}", f"/health is {ready.status_code} {ready.text}")
            redis.ping()
            sql = psycopg.connect(dsn, autocommit=True, connect_timeout=10)
        except httpx.HTTPError as error:
            unreachable(f"The service at {url}", error)
        except RedisError as error:
            unreachable(f"Redis at {redis_url}", error)
        except psycopg.Error as error:
            unreachable("Postgres", error)
        else:
            with sql:
                yield Service(api, redis, sql)


@pytest.fixture
def brain(service: Service) -> Brain:
    """A tenant that nobody else knows."""
    return Brain(service, f"live-{uuid4().hex}")


@pytest.fixture
def other(service: Service) -> Brain:
    return Brain(service, f"live-{uuid4().hex}")
