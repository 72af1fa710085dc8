"""GET and POST /neuromodulators (contract 5)."""

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from pydantic import ConfigDict, Field

from somabrain import neuromodulators
from somabrain.adaptation_routes import TENANT_IN_QUERY
from somabrain.caller import Asking
from somabrain.guard import check_token
from somabrain.neuromodulators import BOUNDS
from somabrain.service import Served
from somabrain.wire import Body, Number, StrictRoute, Text

router = APIRouter(prefix="/neuromodulators", route_class=StrictRoute, tags=["neuromodulators"])


def clipped_to(name: str, meaning: str) -> str:
    low, high = BOUNDS[name]
    return f"{meaning}; clipped to [{low:g}, {high:g}]"


DOPAMINE = clipped_to("dopamine", "raises the learning rate and weighs prediction errors")
SEROTONIN = clipped_to("serotonin", "kept for the tenant")
NORADRENALINE = clipped_to("noradrenaline", "raises the bar for what /act stores")
ACETYLCHOLINE = clipped_to("acetylcholine", "raises the salience of every task")


class NeuromodulatorLevels(Body):
    """The levels of a tenant as they are stored."""

    dopamine: Annotated[float, Field(description=DOPAMINE)]
    serotonin: Annotated[float, Field(description=SEROTONIN)]
    noradrenaline: Annotated[float, Field(description=NORADRENALINE)]
    acetylcholine: Annotated[float, Field(description=ACETYLCHOLINE)]

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"dopamine": 0.4, "serotonin": 0.5, "noradrenaline": 0.0, "acetylcholine": 0.0}]
        }
    )


class SetNeuromodulators(Body):
    """The levels to set. One that is not named stays as it is."""

    dopamine: Annotated[Number | None, Field(description=DOPAMINE)] = None
    serotonin: Annotated[Number | None, Field(description=SEROTONIN)] = None
    noradrenaline: Annotated[Number | None, Field(description=NORADRENALINE)] = None
    acetylcholine: Annotated[Number | None, Field(description=ACETYLCHOLINE)] = None
    tenant_id: Text | None = None

    model_config = ConfigDict(json_schema_extra={"examples": [{"dopamine": 0.8}, {"acetylcholine": 0.1}]})

    def given(self) -> dict[str, float]:
        levels = self.model_dump(include=set(BOUNDS), exclude_none=True)
        return {name: float(level) for name, level in levels.items()}


async def admin(request: Request, service: Served) -> None:
    """Where an admin token is configured, only its bearer changes levels, with authorization off too."""
    if service.settings.admin_token is not None:
        check_token(request.headers, service.settings.admin_token)


@router.get("", openapi_extra=TENANT_IN_QUERY)
def levels(service: Served, caller: Asking) -> NeuromodulatorLevels:
    """The neuromodulators of a tenant: what was set last, within the bounds, or the defaults."""
    with service.engine.begin() as connection:
        return NeuromodulatorLevels(**asdict(neuromodulators.read(connection, caller.tenant)))


@router.post("", dependencies=[Depends(admin)])
def set_levels(service: Served, caller: Asking, body: SetNeuromodulators) -> NeuromodulatorLevels:
    """Set neuromodulators of a tenant and answer all four as they are stored.

    The dopamine set here drives the learning rate of the next step. Needs the admin token where one is configured.
    """
    with service.engine.begin() as connection:
        stored = neuromodulators.write(connection, caller.tenant, body.given())
    return NeuromodulatorLevels(**asdict(stored))
