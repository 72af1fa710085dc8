"""The answers about tasks as the OpenAPI document shows them: neuromodulators, acts, plans and links (contract 5)."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from somabrain.neuromodulators import BOUNDS
from somabrain.openapi.responses import example

Share = Annotated[float, Field(ge=0, le=1)]
PLAN = ["boil water", "grind the beans"]


def within(name: str) -> Any:
    low, high = BOUNDS[name]
    return Field(ge=low, le=high)


class Levels(BaseModel):
    model_config = example(dopamine=0.4, serotonin=0.5, noradrenaline=0.0, acetylcholine=0.0)
    dopamine: Annotated[float, within("dopamine")]
    serotonin: Annotated[float, within("serotonin")]
    noradrenaline: Annotated[float, within("noradrenaline")]
    acetylcholine: Annotated[float, within("acetylcholine")]


class ActStep(BaseModel):
    model_config = ConfigDict(extra="forbid")
    step: str
    novelty: Annotated[Share, Field(description="1 less the best cosine among the memories; 1 without any.")]
    pred_error: Annotated[Share, Field(description="Half of 1 less the cosine with the mean of what was recalled.")]
    salience: Annotated[Share, Field(description="What both come to.")]
    stored: Annotated[bool, Field(description="Whether the task was salient enough and so became a memory.")]
    wm_hits: Annotated[int, Field(ge=0, le=64, description="Memories found among the newest 64, at most top_k.")]
    memory_hits: Annotated[int, Field(ge=0, le=100, description="Memories found, at most top_k.")]
    policy: None


class Acted(BaseModel):
    model_config = example(
        task="make coffee",
        results=[
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
        plan=PLAN,
        plan_universe="real",
    )
    task: str
    results: Annotated[list[ActStep], Field(min_length=1, max_length=1)]
    plan: Annotated[list[str], Field(max_length=5)]
    plan_universe: str


class Planned(BaseModel):
    model_config = example(plan=PLAN)
    plan: Annotated[list[str], Field(max_length=100)]


class Linked(BaseModel):
    model_config = example(ok=True)
    ok: Literal[True]
