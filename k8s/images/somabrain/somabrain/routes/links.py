"""POST /link (contract 5)."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from pydantic import Field

from somabrain import links
from somabrain.caller import Asking, linkable_universe_of
from somabrain.errors import Refused
from somabrain.links import End, Link, key_end, place_end
from somabrain.memory import COORD_LENGTH, TASK_LENGTH, UNIVERSE_LENGTH, bounded
from somabrain.openapi import request_bodies
from somabrain.openapi.operations import TENANT, documented
from somabrain.openapi.task_responses import Linked
from somabrain.routes.limited import work_rate
from somabrain.service import Served
from somabrain.wire import Body, Json, StrictRoute, TenantId, Text, shown

router = APIRouter(route_class=StrictRoute, tags=["link"], dependencies=[Depends(work_rate)])
Coord = Annotated[Text, Field(max_length=COORD_LENGTH, description='"x,y,z": the memories at this place.')]
LinkType = Annotated[Text, Field(max_length=64, pattern=r"\S")]
Universe = Annotated[Text, shown(maxLength=UNIVERSE_LENGTH)]
Key = Annotated[Text, shown(maxLength=TASK_LENGTH), Field(description="Every memory with this task.")]


class LinkBody(Body):
    """Two ends, each a key or a coordinate (which decides where both are given), and what links them."""

    from_key: Key | None = None
    from_coord: Coord | None = None
    to_key: Key | None = None
    to_coord: Coord | None = None
    type: LinkType = "related"
    weight: Annotated[float, Field(ge=1e-6, le=1e6)] = 1.0
    universe: Universe | None = None
    tenant_id: TenantId | None = None


def end_of(name: str, key: str | None, coord: str | None) -> End:
    """The end that is named, or a refusal."""
    if coord is not None and coord.strip():
        return place_end(coord)
    if key is None or not key.strip():
        raise Refused(400, f"missing end: neither {name}_key nor {name}_coord")
    return key_end(bounded(f"{name}_key", key))


@router.post(
    "/link",
    **documented(
        "Link memories",
        Linked,
        *(422, 503),
        headers=(TENANT, "X-Universe"),
        body=request_bodies.LINK,
    ),
)
def link(request: Request, service: Served, caller: Asking, body: LinkBody) -> Json:
    """Link two ends. Plans follow the link from the first to the second; evaluations see it from both.

    The same ends and type again give the link the new weight.
    """
    universe = linkable_universe_of(request, body.universe)
    begin = end_of("from", body.from_key, body.from_coord)
    end = end_of("to", body.to_key, body.to_coord)
    with service.engine.begin() as connection:
        links.write(connection, caller.tenant, universe, Link(begin, end, body.type, body.weight))
    return {"ok": True}
