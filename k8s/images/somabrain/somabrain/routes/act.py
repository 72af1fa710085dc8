"""POST /act and POST /plan/suggest (contract 5)."""

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from pydantic import Field

from somabrain import paths
from somabrain.act import act
from somabrain.caller import Asking, linkable_universe_of
from somabrain.errors import Refused
from somabrain.memories import store
from somabrain.memory import TASK_LENGTH, Memory, bounded
from somabrain.openapi import request_bodies
from somabrain.openapi.operations import TENANT, documented
from somabrain.openapi.task_responses import Acted, Planned
from somabrain.routes.limited import work_rate
from somabrain.routes.links import LinkType, Universe
from somabrain.service import Served
from somabrain.wire import Body, Json, StrictRoute, TenantId, Text, shown

router = APIRouter(route_class=StrictRoute, tags=["act"], dependencies=[Depends(work_rate)])


class Act(Body):
    """A task, and how many memories to judge it by."""

    task: Annotated[Text, shown(maxLength=TASK_LENGTH)]
    top_k: Annotated[int, Field(ge=1, le=100)] = 3
    universe: Universe | None = None
    tenant_id: TenantId | None = None


class PlanFor(Body):
    """The key to start from, and how far to go."""

    task_key: Annotated[Text, shown(minLength=1, maxLength=TASK_LENGTH)] = ""
    max_steps: Annotated[int, Field(ge=1, le=100)] = paths.MAX_STEPS
    rel_types: Annotated[list[LinkType], Field(max_length=64)] | None = None
    universe: Universe | None = None
    tenant_id: TenantId | None = None


@router.post(
    "/act",
    **documented(
        "Judge a task, and store it if it is salient enough",
        Acted,
        *(422, 429, 503),
        headers=(TENANT, "X-Idempotency-Key", "X-Universe"),
        body=request_bodies.ACT,
    ),
)
def act_on(request: Request, service: Served, caller: Asking, body: Act) -> Json:
    """Judge a task by what is remembered, store it if it is salient enough, and plan what it depends on."""
    task, universe = bounded("task", body.task), linkable_universe_of(request, body.universe)
    writes_per_day, key = service.settings.writes_per_day, caller.idempotency_key
    with service.engine.connect() as connection:

        def keep(memory: Memory) -> bool:
            return store(connection, caller.tenant, memory, writes_per_day, key)

        acted = act(connection, service.memories, caller.tenant, task, body.top_k, universe, keep)
        if acted.stored:
            connection.commit()
    step = asdict(acted)
    plan = step.pop("plan")
    return {
        "task": task,
        "results": [{"step": task, **step, "policy": None}],
        "plan": plan,
        "plan_universe": universe,
    }


@router.post(
    "/plan/suggest",
    **documented(
        "Plan what follows from a key, along its links",
        Planned,
        *(422, 503),
        headers=(TENANT, "X-Universe"),
        body=request_bodies.PLAN,
    ),
)
def suggest_plan(request: Request, service: Served, caller: Asking, body: PlanFor) -> Json:
    """What is linked to a key, breadth-first: the cheapest first, each text once, the key itself never.

    A step costs its depth, the rank of its link's type (depends_on, causes, part_of, motivates, related, any other)
    and the inverse of the link's weight. Only links of `rel_types` are followed where that names any.
    """
    if not body.task_key.strip():
        raise Refused(400, "missing task_key")
    key, universe = bounded("task_key", body.task_key), linkable_universe_of(request, body.universe)
    with service.engine.begin() as connection:
        found = paths.suggest(connection, caller.tenant, universe, key, body.max_steps, body.rel_types or ())
    return {"plan": found}
