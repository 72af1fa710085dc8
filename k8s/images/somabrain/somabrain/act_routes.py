"""POST /act and POST /plan/suggest (contract 5)."""

from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import ConfigDict, Field

from somabrain import paths
from somabrain.act import act
from somabrain.caller import Asking, universe_of
from somabrain.errors import Refused
from somabrain.link_routes import LinkType
from somabrain.memories import store
from somabrain.memory import TASK_LENGTH, Memory
from somabrain.service import Served
from somabrain.wire import Body, StrictRoute, Text

router = APIRouter(route_class=StrictRoute, tags=["act"])


class Act(Body):
    """A task, and how many memories to judge it by."""

    task: Text
    top_k: Annotated[int, Field(ge=1, le=100)] = 3
    universe: Text | None = None
    tenant_id: Text | None = None

    model_config = ConfigDict(json_schema_extra={"examples": [{"task": "make coffee", "top_k": 3}]})


class ActStep(Body):
    """What the task came to."""

    step: str
    novelty: Annotated[float, Field(description="1 less the best cosine among the memories; 1 without any")]
    pred_error: Annotated[float, Field(description="half of 1 less the cosine with the mean of what was recalled")]
    salience: Annotated[float, Field(description="what both come to, within [0, 1]")]
    stored: Annotated[bool, Field(description="whether the task was salient enough and so became a memory")]
    wm_hits: Annotated[int, Field(description="memories found among the newest 64")]
    memory_hits: Annotated[int, Field(description="memories found, at most top_k")]
    policy: None = None


class ActAnswer(Body):
    """The task, judged, and the plan that links give for it."""

    task: str
    results: list[ActStep]
    plan: list[str]
    plan_universe: str

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "task": "make coffee",
                    "results": [
                        {
                            "step": "make coffee",
                            "novelty": 1.0,
                            "pred_error": 1.0,
                            "salience": 1.0,
                            "stored": True,
                            "wm_hits": 0,
                            "memory_hits": 0,
                            "policy": None,
                        }
                    ],
                    "plan": ["boil water", "grind the beans"],
                    "plan_universe": "real",
                }
            ]
        }
    )


class PlanFor(Body):
    """The key to start from, and how far to go."""

    task_key: Text = ""
    max_steps: Annotated[int, Field(ge=1, le=100)] = paths.MAX_STEPS
    rel_types: Annotated[list[LinkType], Field(max_length=64)] | None = None
    universe: Text | None = None
    tenant_id: Text | None = None

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"task_key": "make coffee", "max_steps": 5, "rel_types": ["depends_on"]}]}
    )


class Plan(Body):
    """The steps, the cheapest first."""

    plan: list[str]

    model_config = ConfigDict(json_schema_extra={"examples": [{"plan": ["boil water", "grind the beans"]}]})


def bounded(name: str, text: str) -> str:
    if len(text) > TASK_LENGTH:
        raise Refused(400, f"Invalid input: {name} is over {TASK_LENGTH} characters")
    return text


@router.post("/act")
def act_on(request: Request, service: Served, caller: Asking, body: Act) -> ActAnswer:
    """Judge a task by what is remembered, store it if it is salient enough, and plan what it depends on."""
    task, universe = bounded("task", body.task), universe_of(request, body.universe)
    writes_per_day, key = service.settings.writes_per_day, caller.idempotency_key
    with service.engine.connect() as connection:

        def keep(memory: Memory) -> bool:
            return store(connection, caller.tenant, memory, writes_per_day, key)

        acted = act(connection, service.memories, caller.tenant, task, body.top_k, universe, keep)
        if acted.stored:
            connection.commit()
    step = ActStep(
        step=task,
        novelty=acted.novelty,
        pred_error=acted.pred_error,
        salience=acted.salience,
        stored=acted.stored,
        wm_hits=acted.wm_hits,
        memory_hits=acted.memory_hits,
    )
    return ActAnswer(task=task, results=[step], plan=acted.plan, plan_universe=universe)


@router.post("/plan/suggest")
def suggest_plan(request: Request, service: Served, caller: Asking, body: PlanFor) -> Plan:
    """What is linked to a key, breadth-first: the cheapest first, each text once, the key itself never.

    A step costs its depth, the rank of its link's type (depends_on, causes, part_of, motivates, related, any other)
    and the inverse of the link's weight. Only links of `rel_types` are followed where that names any.
    """
    if not body.task_key.strip():
        raise Refused(400, "missing task_key")
    key, universe = bounded("task_key", body.task_key), universe_of(request, body.universe)
    with service.engine.begin() as connection:
        found = paths.suggest(connection, caller.tenant, universe, key, body.max_steps, body.rel_types or ())
    return Plan(plan=found)
