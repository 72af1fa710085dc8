"""Readiness and liveness (contract 2): every dependency is asked at the same time, and none may hold up the answer."""

import asyncio
import time
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from redis import Redis
from sqlalchemy import Engine

from somabrain import memories
from somabrain.apply_overrides import listed
from somabrain.caller import caller_of, named_tenant
from somabrain.database import open_engine
from somabrain.embedding import DIM
from somabrain.findings import TOLERATED, Findings, schema_alerts
from somabrain.openapi.operations import ECHOED, TENANT, documented
from somabrain.openapi.responses import HealthDocument, Life, Readiness
from somabrain.policy import NoAnswer, Policy, question
from somabrain.probe import ANSWER_S, Probe
from somabrain.schema import Revisions, Standing, state_of
from somabrain.service import Service, open_redis
from somabrain.settings import Settings
from somabrain.wire import Json

FRESH_S = 1.0  # who asks more often gets the last answer: a flood of questions is no load on what stands behind us
START_S = 15.0  # after which a process serves without Redis or OPA, too
CONNECTIONS = 3  # of the probes: the schema's, the items' and the metrics'
router = APIRouter(tags=["health"])


class Health:
    """The probes of one process, with connections of their own: a pool in use up to its limit is not a failure."""

    def __init__(self, settings: Settings, policy: Policy | None) -> None:
        self.settings, self.policy = settings, policy
        self.begun, self.seen_whole = time.monotonic(), False
        self.revisions = Revisions.here()
        self.overridden = listed(Path(__file__).parents[1])
        # What is asked of a tenant stands in a line of its own: whoever asks for many delays nobody's readiness.
        self.postgres_probe, self.items_probe, self.metrics_probe = map(Probe, ("postgres", "items", "metrics"))
        self.redis_probe = Probe("redis")
        self.engine: Engine = open_engine(settings, CONNECTIONS, ANSWER_S)
        self.redis: Redis = open_redis(settings)

    def starting(self) -> bool:
        return not self.seen_whole and time.monotonic() - self.begun < START_S

    def close(self) -> None:
        self.engine.dispose()
        self.redis.close()
        for probe in (self.postgres_probe, self.items_probe, self.metrics_probe, self.redis_probe):
            probe.thread.shutdown(wait=False, cancel_futures=True)

    def stands(self) -> Standing:
        with self.engine.begin() as connection:
            return self.revisions.standing(*state_of(connection))

    def count(self, tenant: str) -> int:
        with self.engine.begin() as connection:
            return memories.count(connection, tenant)

    async def schema(self) -> Standing | None:
        """How the schema stands; None if Postgres does not answer."""
        return await self.postgres_probe.ask(self.stands, fresh_s=FRESH_S)

    async def items(self, tenant: str) -> int | None:
        return await self.items_probe.ask(lambda: self.count(tenant), about=tenant)

    async def opa(self) -> bool | None:
        """Whether OPA has an answer, whichever; None if there is no OPA to ask."""
        if self.policy is None:
            return None
        try:
            await self.policy.ask(question("GET", "/health", self.settings.default_tenant, None), ANSWER_S / 2)
        except NoAnswer:
            return False
        return True

    async def look(self, tenant: str) -> Findings:
        schema, items, redis, opa = await asyncio.gather(
            self.schema(), self.items(tenant), self.redis_probe.ask(self.redis.ping, fresh_s=FRESH_S), self.opa()
        )
        return Findings(schema, items, redis is not None, opa, self.settings.opa_required)


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
    """Ready: Postgres with a schema this service can live with, Redis, and whatever else is required, answer."""
    service: Service = request.app.state.service
    caller = caller_of(request, service.settings, named_tenant(request, None))
    probes: Health = request.app.state.health
    found = await probes.look(caller.tenant)
    ok = found.ready()
    document: Json = {
        "ok": ok,
        "ready": ok,
        "components": {
            "memory": {"http": found.postgres},
            "postgres": found.postgres,
            "redis": found.redis,
            "opa": found.opa,
            "wm_items": "tenant-scoped",
            "api_version": 1,
        },
        "items": found.items,
        "memory_items": found.items,
        **caller.envelope(),
        "embedder": {"provider": "hashed-features", "dim": DIM},
        "memory_ok": found.postgres,
        "embedder_ok": found.embedder,
        "opa_ok": found.opa,
        "opa_required": found.opa_required,
        "alerts": found.alerts(),
        "overridden": probes.overridden,
    }
    return JSONResponse(document, 200 if ok else 503)


@router.get(
    "/readyz",
    **documented(
        "Whether this process is to be sent requests",
        Readiness,
        503,
        open_to_all=True,
        refusals={503: {"model": Readiness, "description": "No route can do its work: `alerts` names why."}},
    ),
)
async def readyz(request: Request) -> JSONResponse:
    """What the kubelet asks: at the start for all that the service needs, so that no pod is sent requests before its
    ways are open. Later without Redis and OPA: then some routes work, and the others say what they lack.
    """
    probes: Health = request.app.state.health
    if probes.starting():
        found = await probes.look(probes.settings.default_tenant)
        probes.seen_whole = found.ready()
        alerts, ok = found.alerts(), probes.seen_whole
    else:
        alerts = schema_alerts(await probes.schema())
        ok = set(alerts) <= TOLERATED
    return JSONResponse({"ok": ok, "alerts": alerts}, 200 if ok else 503)


@router.get("/healthz", **documented("Whether the process serves", Life, open_to_all=True))
async def healthz() -> Json:
    """Alive: the process serves. No dependency is asked."""
    return {"ok": True}
