"""GET /metrics (contract 8): what was counted, and the weights as they are stored."""

import os
from collections.abc import Iterable, Sequence
from typing import Any

from anyio.to_thread import run_sync
from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector
from sqlalchemy import Engine, Row, select

from somabrain.health import Health
from somabrain.metrics import MULTIPROCESS, TENANTS
from somabrain.tables import adaptation_state

router = APIRouter(tags=["health"])
GAUGES = {
    "alpha": "somabrain_learning_retrieval_alpha",
    "beta": "somabrain_learning_retrieval_beta",
    "gamma": "somabrain_learning_retrieval_gamma",
    "tau": "somabrain_learning_retrieval_tau",
    "lambda_": "somabrain_learning_utility_lambda",
    "mu": "somabrain_learning_utility_mu",
    "nu": "somabrain_learning_utility_nu",
    "learning_rate": "somabrain_learning_effective_lr",
}
# The tenants that learned last. What other processes stored is read like our own.
NEWEST = (
    select(adaptation_state.c.tenant_id, *(adaptation_state.c[name] for name in GAUGES))
    .order_by(adaptation_state.c.last_feedback_at.desc().nulls_last(), adaptation_state.c.tenant_id)
    .limit(TENANTS)
)


class Stored:
    """The stored weights as gauges; none where Postgres did not answer, for then they are not known."""

    def __init__(self, rows: Sequence[Row[Any]]) -> None:
        self.rows = rows

    def collect(self) -> Iterable[GaugeMetricFamily]:
        for column, name in GAUGES.items():
            gauge = GaugeMetricFamily(name, f"The stored {column.rstrip('_')} of a tenant.", labels=["tenant_id"])
            for row in self.rows:
                gauge.add_metric([row.tenant_id], getattr(row, column))
            yield gauge


def newest(engine: Engine) -> Sequence[Row[Any]]:
    with engine.begin() as connection:
        return connection.execute(NEWEST).all()


def exposition(rows: Sequence[Row[Any]]) -> bytes:
    counted, stored = REGISTRY, CollectorRegistry()
    if MULTIPROCESS in os.environ:
        counted = CollectorRegistry()
        MultiProcessCollector(counted)  # type: ignore[no-untyped-call]
    stored.register(Stored(rows))
    return generate_latest(counted) + generate_latest(stored)


@router.get(
    "/metrics",
    response_class=PlainTextResponse,
    summary="What was counted, and the stored weights, for Prometheus",
)
async def metrics(request: Request) -> Response:
    """Everything in Prometheus' text format. It is answered whether or not Postgres is there."""
    probes: Health = request.app.state.health
    rows = await probes.metrics_probe.ask(lambda: newest(probes.engine))
    return Response(await run_sync(exposition, rows or ()), media_type=CONTENT_TYPE_LATEST)
