"""Readiness and liveness (contract 2): every dependency is asked at the same time, and none may hold up the answer."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from redis import Redis
from sqlalchemy import Engine

from somabrain import memories
from somabrain.answers import HealthDocument, Life
from somabrain.caller import caller_of, named_tenant
from somabrain.database import open_engine, schema_head, schema_version
from somabrain.documented import ECHOED, TENANT, documented
from somabrain.embedding import DIM, embed
from somabrain.policy import NoAnswer, Policy, question
from somabrain.service import Service, open_redis
from somabrain.settings import Settings
from somabrain.wire import Json

T = TypeVar("T")
ANSWER_S = 0.7  # what is left of a second goes to the network and to us
router = APIRouter(tags=["health"])


class Probe:
    """Asks one dependency in a thread of its own. While a question is open, no other is put: the same one waits for
    the same answer, so that many who ask at once are not taken for a dependency that is slow."""

    def __init__(self, name: str) -> None:
        self.thread = ThreadPoolExecutor(1, thread_name_prefix=f"probe-{name}")
        self.asking: Future[Any] = Future()
        self.asking.set_result(None)
        self.about: object = None

    def open(self) -> bool:
        return not self.asking.done()

    async def ask(self, question: Callable[[], T], about: object = None) -> T | None:
        """The answer; None if it did not come in time or is an error. Equal `about`, equal question."""
        end = asyncio.get_running_loop().time() + ANSWER_S / 2
        while self.open() and about != self.about:
            left_s = end - asyncio.get_running_loop().time()
            if left_s <= 0:
                return None
            await asyncio.wait([here(self.asking)], timeout=left_s)
        if not self.open():
            self.asking, self.about = self.thread.submit(question), about
        asked = here(self.asking)
        await asyncio.wait([asked], timeout=ANSWER_S / 2)
        # Whatever it failed with, the dependency did not answer.
        return asked.result() if asked.done() and asked.exception() is None else None


def here(asked: Future[T]) -> asyncio.Future[T]:
    """The answer as this loop waits for it. That it is an error is no news once nobody waits any more."""
    waited = asyncio.wrap_future(asked)
    waited.add_done_callback(lambda done: done.exception())
    return waited


@dataclass(frozen=True)
class Stored:
    """What Postgres says about itself."""

    at_head: bool
    memories: int | None


class Health:
    """The probes of one process, with connections of their own: a pool in use up to its limit is not a failure."""

    def __init__(self, settings: Settings, policy: Policy | None) -> None:
        self.policy = policy
        self.head = schema_head()
        self.engine: Engine = open_engine(settings, 2, ANSWER_S)
        self.redis: Redis = open_redis(settings)
        self.postgres_probe, self.redis_probe, self.metrics_probe = map(Probe, ("postgres", "redis", "metrics"))

    def close(self) -> None:
        self.engine.dispose()
        self.redis.close()
        for probe in (self.postgres_probe, self.redis_probe, self.metrics_probe):
            probe.thread.shutdown(wait=False, cancel_futures=True)

    def stored(self, tenant: str) -> Stored:
        with self.engine.begin() as connection:
            at_head = schema_version(connection) == self.head
            return Stored(at_head, memories.count(connection, tenant) if at_head else None)

    async def opa(self, tenant: str) -> bool | None:
        """Whether OPA has an answer, whichever; None if there is no OPA to ask."""
        if self.policy is None:
            return None
        try:
            await self.policy.ask(question("GET", "/health", tenant, None), ANSWER_S / 2)
        except NoAnswer:
            return False
        return True

    async def look(self, tenant: str) -> tuple[Stored | None, bool, bool | None]:
        stored, redis, opa = await asyncio.gather(
            self.postgres_probe.ask(lambda: self.stored(tenant), about=tenant),
            self.redis_probe.ask(self.redis.ping),
            self.opa(tenant),
        )
        return stored, redis is not None, opa


def embeds() -> bool:
    vector = embed("health")
    return len(vector) == DIM and abs(float(vector @ vector) - 1.0) < 1e-5


@router.get(
    "/health",
    **documented(
        "Whether the service is ready, and what it finds behind it",
        HealthDocument,
        400,
        503,
        headers=(TENANT, *ECHOED),
        query=True,
        open_to_all=True,
        refusals={503: {"model": HealthDocument, "description": "Not ready: `alerts` names what failed."}},
    ),
)
async def health(request: Request) -> JSONResponse:
    """Ready: Postgres with the schema this service knows, Redis, and whatever else is required, answer."""
    service: Service = request.app.state.service
    caller = caller_of(request, service.settings, named_tenant(request, None))
    probes: Health = request.app.state.health
    stored, redis, opa = await probes.look(caller.tenant)
    postgres = stored is not None and stored.at_head
    embedder = embeds()
    checks = {
        "postgres": stored is not None,
        "schema": stored is None or stored.at_head,
        "redis": redis,
        "embedder": embedder,
        "opa": opa is not False,
    }
    alerts = [name for name, holds in checks.items() if not holds]
    opa_required = service.settings.opa_required
    ok = all(name == "opa" and not opa_required for name in alerts)
    items = stored.memories if stored else None
    document: Json = {
        "ok": ok,
        "ready": ok,
        "components": {
            "memory": {"http": postgres},
            "postgres": postgres,
            "redis": redis,
            "opa": opa,
            "wm_items": "tenant-scoped",
            "api_version": 1,
        },
        "items": items,
        "memory_items": items,
        **caller.envelope(),
        "embedder": {"provider": "hashed-features", "dim": DIM},
        "memory_ok": postgres,
        "embedder_ok": embedder,
        "opa_ok": opa,
        "opa_required": opa_required,
        "alerts": alerts,
    }
    return JSONResponse(document, 200 if ok else 503)


@router.get("/healthz", **documented("Whether the process serves", Life, open_to_all=True))
async def healthz() -> Json:
    """Alive: the process serves. No dependency is asked."""
    return {"ok": True}
