"""GET /context/adaptation/state and POST /context/adaptation/reset (contract 4)."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends
from pydantic import Field
from redis.exceptions import RedisError

from somabrain import adaptation
from somabrain.adaptation import Reset
from somabrain.errors import Refused, log, reason
from somabrain.openapi import request_bodies
from somabrain.openapi.operations import TENANT as TENANT_HEADER
from somabrain.openapi.operations import documented
from somabrain.openapi.responses import AdaptationState, Restarted
from somabrain.routes.context import Tenant, publish
from somabrain.routes.limited import work_rate
from somabrain.service import Served
from somabrain.wire import Body, Json, StrictRoute, TenantId

router = APIRouter(
    prefix="/context/adaptation", route_class=StrictRoute, tags=["context"], dependencies=[Depends(work_rate)]
)

# Within these, no step overflows on its way to the bounds.
Weight = Annotated[float, Field(ge=-1e6, le=1e6)]
Rate = Annotated[float, Field(ge=0, le=1e3)]
Bound = Literal[
    "alpha_min",
    "alpha_max",
    "gamma_min",
    "gamma_max",
    "lambda_min",
    "lambda_max",
    "mu_min",
    "mu_max",
    "nu_min",
    "nu_max",
]


class Start(Body):
    """Where the weights of a tenant start again, and how they learn from there."""

    tenant_id: TenantId | None = None
    base_lr: Rate | None = None
    reset_history: bool = True
    retrieval_defaults: dict[Literal["alpha", "beta", "gamma", "tau"], Weight] | None = None
    utility_defaults: dict[Literal["lambda_", "mu", "nu"], Weight] | None = None
    gains: dict[Literal["alpha", "gamma", "lambda_", "mu", "nu"], Weight] | None = None
    constraints: dict[Bound, Weight] | None = None

    def wanted(self) -> Reset:
        weights: dict[str, float] = {}
        for given in (self.retrieval_defaults, self.utility_defaults):
            weights.update((name, x) for name, x in (given or {}).items())
        overrides = {"gains": self.gains, "constraints": self.constraints}
        return Reset(
            weights=weights,
            overrides={name: given for name, given in overrides.items() if given},
            base_rate=self.base_lr,
            forget=self.reset_history,
        )


async def in_dev_only(service: Served) -> None:
    if service.settings.mode != "dev":
        raise Refused(403, "the adaptation state is reset in mode dev only")


@router.get(
    "/state",
    **documented("What a tenant has learned", AdaptationState, 503, headers=(TENANT_HEADER,), query=True),
)
def adaptation_state(service: Served, tenant: Tenant) -> Json:
    """The weights of a tenant as they are stored. A copy in Redis that is missing or old is written again."""
    with service.engine.begin() as connection:
        state = adaptation.read(connection, tenant, service.settings.rules)
    try:
        if adaptation.stale(service.redis, tenant, state):
            publish(service, tenant)
    except RedisError as error:
        log.warning("the copy of the adaptation state of %s was not read: %s", tenant, reason(error))
    return state.shown()


@router.post(
    "/reset",
    dependencies=[Depends(in_dev_only)],
    **documented(
        "Put the weights of a tenant back to the start (mode dev only)",
        Restarted,
        *(422, 503),
        headers=(TENANT_HEADER,),
        body=request_bodies.RESET,
    ),
)
def reset_adaptation(service: Served, tenant: Tenant, body: Start | None = None) -> Json:
    """Put the weights of a tenant back to the start. What is not named returns to its default."""
    with service.engine.begin() as connection:
        adaptation.reset(connection, tenant, service.settings.rules, (body or Start()).wanted())
    publish(service, tenant)
    return {"ok": True, "tenant_id": tenant}
