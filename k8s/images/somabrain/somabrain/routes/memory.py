"""POST /remember and POST /recall (contract 3)."""

import time
from typing import Annotated, Any
from uuid import uuid4

from fastapi import APIRouter, Body, Depends, Request
from pydantic import Field
from sqlalchemy.exc import SQLAlchemyError

from somabrain import wire
from somabrain.caller import Asking, universe_of
from somabrain.embedding import embed
from somabrain.errors import Refused, log, reason
from somabrain.memories import store
from somabrain.memory import TASK_LENGTH, bounded, memory_from
from somabrain.openapi import request_bodies
from somabrain.openapi.operations import ECHOED, TENANT, documented
from somabrain.openapi.responses import Recalled, Remembered
from somabrain.routes.limited import memory_rate
from somabrain.service import Served
from somabrain.wire import Json, StrictRoute, TenantId, Text, shown

router = APIRouter(route_class=StrictRoute, tags=["memory"], dependencies=[Depends(memory_rate)])


class Recall(wire.Body):
    query: Annotated[Text, shown(maxLength=TASK_LENGTH)] | None = None
    top_k: Annotated[int, Field(ge=1, le=100)] = 3
    universe: Text | None = None
    tenant_id: TenantId | None = None


def unavailable(what: str, error: Exception) -> Refused:
    log.warning("%s: %s", what, reason(error))
    return Refused(503, "memory backend unavailable")


@router.post(
    "/remember",
    **documented("Store a memory", Remembered, 422, 429, 503, headers=(TENANT, *ECHOED), body=request_bodies.REMEMBER),
)
def remember(service: Served, caller: Asking, body: Annotated[Any, Body()]) -> Json:
    """Store a memory. The answer is sent only after the memory is durable."""
    memory = memory_from(body, uuid4().hex, time.time())
    try:
        with service.engine.connect() as connection:
            if store(connection, caller.tenant, memory, service.settings.writes_per_day, caller.idempotency_key):
                connection.commit()
    except SQLAlchemyError as error:
        raise unavailable("a memory was not stored", error) from error
    return {"ok": True, "success": True, **caller.envelope()}


@router.post(
    "/recall",
    **documented(
        "Find memories",
        Recalled,
        422,
        429,
        503,
        headers=(TENANT, *ECHOED, "X-Universe", "X-Min-Sources"),
        body=request_bodies.RECALL,
    ),
)
def recall(request: Request, service: Served, caller: Asking, body: Recall) -> Json:
    """Find memories: by their task, by their words, or simply the newest."""
    universe = universe_of(request, body.universe)
    # As long as a task may be: a query finds the memories of its very task.
    vector = None if body.query is None else embed(bounded("query", body.query))
    try:
        with service.engine.begin() as connection:
            found = service.memories.recall(connection, caller.tenant, body.query, vector, body.top_k, universe)
    except SQLAlchemyError as error:
        raise unavailable("memories were not recalled", error) from error
    return {
        "wm": [{"score": score, "payload": payload} for score, payload in found.window],
        "memory": found.memories,
        "results": found.memories,
        **caller.envelope(),
        "reality": reality(len(found.memories), least_sources(request)),
        **({"truncated": True} if found.truncated else {}),
    }


def least_sources(request: Request) -> int:
    try:
        return int(request.headers.get("x-min-sources", "1"))
    except ValueError:
        return 1


def reality(sources: int, least: int) -> Json:
    return {"ok": sources >= least, "sources": sources, "confidence": min(1.0, sources / max(1, 2 * least))}
