"""POST /link (contract 5)."""

from typing import Annotated, Literal

from fastapi import APIRouter, Request
from pydantic import ConfigDict, Field

from somabrain import links
from somabrain.caller import Asking, universe_of
from somabrain.errors import Refused
from somabrain.links import End, Link, key_end, place_end
from somabrain.memory import TASK_LENGTH
from somabrain.service import Served
from somabrain.wire import Body, StrictRoute, Text

router = APIRouter(route_class=StrictRoute, tags=["link"])
Coord = Annotated[Text, Field(max_length=128, description='"x,y,z": the memories at this place')]
LinkType = Annotated[Text, Field(max_length=64, pattern=r"\S")]
Key = Annotated[Text, Field(description="every memory with this task")]


class LinkBody(Body):
    """Two ends, each a key or a coordinate (which decides where both are given), and what links them."""

    from_key: Key | None = None
    from_coord: Coord | None = None
    to_key: Key | None = None
    to_coord: Coord | None = None
    type: LinkType = "related"
    weight: Annotated[float, Field(ge=1e-6, le=1e6)] = 1.0
    universe: Text | None = None
    tenant_id: Text | None = None

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"from_key": "make coffee", "to_key": "boil water", "type": "depends_on", "weight": 1.0},
                {"from_coord": "0.1,0.2,0.3", "to_key": "boil water"},
            ]
        }
    )


class Linked(Body):
    ok: Literal[True] = True

    model_config = ConfigDict(json_schema_extra={"examples": [{"ok": True}]})


def end_of(name: str, key: str | None, coord: str | None) -> End:
    """The end that is named, or a refusal."""
    if coord is not None and coord.strip():
        return place_end(coord)
    if key is None or not key.strip():
        raise Refused(400, f"missing end: neither {name}_key nor {name}_coord")
    if len(key) > TASK_LENGTH:
        raise Refused(400, f"Invalid input: {name}_key is over {TASK_LENGTH} characters")
    return key_end(key)


@router.post("/link")
def link(request: Request, service: Served, caller: Asking, body: LinkBody) -> Linked:
    """Link two ends. Plans follow the link from the first to the second; evaluations see it from both.

    The same ends and type again give the link the new weight.
    """
    universe = universe_of(request, body.universe)
    begin = end_of("from", body.from_key, body.from_coord)
    end = end_of("to", body.to_key, body.to_coord)
    with service.engine.begin() as connection:
        links.write(connection, caller.tenant, universe, Link(begin, end, body.type, body.weight))
    return Linked()
