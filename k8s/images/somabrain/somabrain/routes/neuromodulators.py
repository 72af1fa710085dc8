"""GET and POST /neuromodulators (contract 5)."""

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from pydantic import Field

from somabrain import neuromodulators
from somabrain.caller import Asking
from somabrain.guard import check_token
from somabrain.neuromodulators import BOUNDS
from somabrain.openapi import request_bodies
from somabrain.openapi.operations import TENANT, documented
from somabrain.openapi.task_responses import Levels
from somabrain.routes.limited import work_rate
from somabrain.service import Served
from somabrain.wire import Body, Json, Number, StrictRoute, TenantId

router = APIRouter(
    prefix="/neuromodulators", route_class=StrictRoute, tags=["neuromodulators"], dependencies=[Depends(work_rate)]
)


def clipped_to(name: str, meaning: str) -> str:
    low, high = BOUNDS[name]
    return f"{meaning}; clipped to [{low:g}, {high:g}]."


DOPAMINE = clipped_to("dopamine", "Raises the learning rate and weighs prediction errors")
SEROTONIN = clipped_to("serotonin", "Kept for the tenant")
NORADRENALINE = clipped_to("noradrenaline", "Raises the bar for what /act stores")
ACETYLCHOLINE = clipped_to("acetylcholine", "Raises the salience of every task")


class SetNeuromodulators(Body):
    """The levels to set. One that is not named stays as it is."""

    dopamine: Annotated[Number | None, Field(description=DOPAMINE)] = None
    serotonin: Annotated[Number | None, Field(description=SEROTONIN)] = None
    noradrenaline: Annotated[Number | None, Field(description=NORADRENALINE)] = None
    acetylcholine: Annotated[Number | None, Field(description=ACETYLCHOLINE)] = None
    tenant_id: TenantId | None = None

    def given(self) -> dict[str, float]:
        levels = self.model_dump(include=set(BOUNDS), exclude_none=True)
        return {name: float(level) for name, level in levels.items()}


async def admin(request: Request, service: Served) -> None:
    """Where an admin token is configured, only its bearer changes levels, with authorization off too."""
    if service.settings.admin_token is not None:
        check_token(request.headers, service.settings.admin_token)


@router.get("", **documented("The neuromodulators of a tenant", Levels, 503, headers=(TENANT,), query=True))
def levels(service: Served, caller: Asking) -> Json:
    """What was set last, within the bounds, or the defaults."""
    with service.engine.begin() as connection:
        return asdict(neuromodulators.read(connection, caller.tenant))


@router.post(
    "",
    dependencies=[Depends(admin)],
    **documented(
        "Set neuromodulators of a tenant",
        Levels,
        *(422, 503),
        headers=(TENANT,),
        body=request_bodies.LEVELS,
    ),
)
def set_levels(service: Served, caller: Asking, body: SetNeuromodulators) -> Json:
    """Set neuromodulators and answer all four as they are stored.

    The dopamine set here drives the learning rate of the next step. Needs the admin token where one is configured.
    """
    with service.engine.begin() as connection:
        return asdict(neuromodulators.write(connection, caller.tenant, body.given()))
