"""The answers as the OpenAPI document shows them. They are shown only: the routes write their JSON themselves."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from somabrain.wire import Json

Payload = dict[str, Any]
PAYLOAD: Json = {
    "task": "water the garden",
    "content": "the tomatoes need two litres",
    "importance": 1.0,
    "memory_type": "episodic",
    "universe": "real",
    "timestamp": 1764072000.0,
    "coordinate": [0.31, -0.87, 0.02],
}
ENVELOPE: Json = {
    "namespace": "somabrain_ns:sandbox",
    "trace_id": "4f6c0d3b9e2a4c7f8d1b5a6e7c8d9e0f",
    "deadline_ms": None,
    "idempotency_key": None,
}


def example(**fields: Any) -> ConfigDict:
    """An answer has these fields and no others; they show what it looks like."""
    return ConfigDict(extra="forbid", json_schema_extra={"examples": [fields]})


class Refusal(BaseModel):
    model_config = example(detail="invalid tenant")
    detail: str


class Fault(BaseModel):
    model_config = ConfigDict(extra="forbid")
    type: str
    loc: list[str | int]
    msg: str


class Faults(BaseModel):
    model_config = example(detail=[{"type": "missing", "loc": ["body", "query"], "msg": "Field required"}])
    detail: Annotated[list[Fault], Field(min_length=1)]


class Envelope(BaseModel):
    namespace: str
    trace_id: str
    deadline_ms: str | None
    idempotency_key: str | None


Alert = Literal["postgres", "schema", "schema-ahead", "items", "redis", "embedder", "opa"]


class Life(BaseModel):
    model_config = example(ok=True)
    ok: Literal[True]


class Readiness(BaseModel):
    model_config = example(ok=True, alerts=[])
    ok: bool
    alerts: list[Alert]


class MemoryAddress(BaseModel):
    model_config = ConfigDict(extra="forbid")
    http: bool


class Components(BaseModel):
    model_config = ConfigDict(extra="forbid")
    memory: MemoryAddress
    postgres: bool
    redis: bool
    opa: bool | None
    wm_items: Literal["tenant-scoped"]
    api_version: int


class Embedder(BaseModel):
    model_config = ConfigDict(extra="forbid")
    provider: str
    dim: int


class HealthDocument(Envelope):
    model_config = example(
        ok=True,
        ready=True,
        components={
            "memory": {"http": True},
            "postgres": True,
            "redis": True,
            "opa": True,
            "wm_items": "tenant-scoped",
            "api_version": 1,
        },
        items=2,
        memory_items=2,
        **ENVELOPE,
        embedder={"provider": "hashed-features", "dim": 256},
        memory_ok=True,
        embedder_ok=True,
        opa_ok=True,
        opa_required=True,
        alerts=[],
        overridden=[],
    )
    ok: bool
    ready: bool
    components: Components
    items: int | None
    memory_items: int | None
    embedder: Embedder
    memory_ok: bool
    embedder_ok: bool
    opa_ok: bool | None
    opa_required: bool
    alerts: list[Alert]
    overridden: list[str] = Field(description="Files that were put in the place of the image's own.")


Truncated = Annotated[
    bool, Field(description="Whether payloads were left out, because a list of an answer holds 2 MiB of them at most.")
]


class Remembered(Envelope):
    model_config = example(ok=True, success=True, **ENVELOPE)
    ok: Literal[True]
    success: Literal[True]


class Scored(BaseModel):
    model_config = ConfigDict(extra="forbid")
    score: Annotated[float, Field(ge=-1, le=1)]
    payload: Payload


class Reality(BaseModel):
    model_config = ConfigDict(extra="forbid")
    ok: bool
    sources: Annotated[int, Field(ge=0)]
    confidence: Annotated[float, Field(ge=0, le=1)]


class Recalled(Envelope):
    model_config = example(
        wm=[{"score": 0.71, "payload": PAYLOAD}],
        memory=[PAYLOAD],
        results=[PAYLOAD],
        **ENVELOPE,
        reality={"ok": True, "sources": 1, "confidence": 0.5},
    )
    wm: list[Scored]
    memory: list[Payload]
    results: list[Payload]
    reality: Reality
    truncated: Truncated = False


class Weighed(BaseModel):
    model_config = ConfigDict(extra="forbid")
    id: str
    score: float
    metadata: Payload
    embedding: list[float] | None = None


class Thought(BaseModel):
    model_config = ConfigDict(extra="forbid")
    ts: float
    query: str
    prompt: str
    memory_ids: list[str]


PROMPT = "[water the garden]\nthe tomatoes need two litres\n\nwhat do the tomatoes need?"
MEMORY_ID = "9c1f0d6a5b7e4c3d8a2f1e0b9d8c7a6b"


class Evaluated(BaseModel):
    model_config = example(
        query="what do the tomatoes need?",
        prompt=PROMPT,
        tenant_id="sandbox",
        memories=[{"id": MEMORY_ID, "score": 1.0, "metadata": PAYLOAD}],
        weights=[1.0],
        residual_vector=[1.0, 0.0],
        working_memory=[
            {"ts": 1764072060.5, "query": "what do the tomatoes need?", "prompt": PROMPT, "memory_ids": [MEMORY_ID]}
        ],
        constitution_checksum=None,
    )
    query: str
    prompt: Annotated[str, Field(min_length=1, max_length=4096)]
    tenant_id: str
    memories: Annotated[list[Weighed], Field(max_length=20)]
    weights: list[Annotated[float, Field(gt=0, le=1)]]
    residual_vector: list[float]
    working_memory: Annotated[list[Thought], Field(min_length=1, max_length=10)]
    constitution_checksum: None
    truncated: Truncated = False


class Accepted(BaseModel):
    model_config = example(accepted=True, adaptation_applied=True)
    accepted: Literal[True]
    adaptation_applied: bool


class Deleted(BaseModel):
    model_config = example(ok=True)
    ok: Literal[True]


class TenantDeleted(BaseModel):
    model_config = example(ok=True, tenant_id="sandbox", memories=2)
    ok: Literal[True]
    tenant_id: str
    memories: Annotated[int, Field(ge=0)]


class AdaptationState(BaseModel):
    model_config = example(
        retrieval={"alpha": 1.0405, "beta": 0.2, "gamma": 0.07975, "tau": 0.7},
        utility={"lambda_": 1.0405, "mu": 0.089875, "nu": 0.039875},
        history_len=1,
        learning_rate=0.045,
        gains={"alpha": 1.0, "gamma": -0.5, "lambda_": 1.0, "mu": -0.25, "nu": -0.25},
        constraints={
            **{"alpha_min": 0.1, "alpha_max": 5.0, "gamma_min": 0.0, "gamma_max": 1.0, "lambda_min": 0.1},
            **{"lambda_max": 5.0, "mu_min": 0.01, "mu_max": 5.0, "nu_min": 0.01, "nu_max": 5.0},
        },
    )
    retrieval: dict[Literal["alpha", "beta", "gamma", "tau"], float]
    utility: dict[Literal["lambda_", "mu", "nu"], float]
    history_len: Annotated[int, Field(ge=0)]
    learning_rate: float
    gains: dict[str, float]
    constraints: dict[str, float]


class Restarted(BaseModel):
    model_config = example(ok=True, tenant_id="sandbox")
    ok: Literal[True]
    tenant_id: str
