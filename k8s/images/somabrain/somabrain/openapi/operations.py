"""What the OpenAPI document says of a route besides its types: answers, refusals, headers, an example of the body."""

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel

from somabrain.openapi.responses import Faults, Refusal
from somabrain.wire import Json

WHY = {
    400: "The input is refused: `invalid tenant`, `unknown tenant`, `empty text`, or what is wrong with a field.",
    401: "`missing bearer token`, where authorization is on.",
    403: "`invalid token`, `OPA policy denied request`, `OPA policy unavailable` or `Rejected by utility guard`.",
    404: "`no such memory`.",
    413: "The body is larger than the service reads.",
    422: "The body is not JSON of this shape.",
    429: "`rate limit exceeded`, `too many requests at the same time` or `daily write quota exceeded`.",
    500: "It could not be done, and nothing of it was kept.",
    503: "A store that this needs does not answer, or `deadline exceeded`. Nothing was kept.",
}
# Behind the edge: the tenant, the token, the size, the policy, the tenant's share, the deadline.
EVERY = (400, 401, 403, 413, 429, 503)

TENANT = "X-Tenant-ID"
CONFIDENCE = "X-Model-Confidence"
DEADLINE = "X-Deadline-MS"
ECHOED = ("X-Request-ID", DEADLINE, "X-Idempotency-Key")
TENANT_ID: Json = {"type": "string", "minLength": 1, "maxLength": 128}
HEADERS: dict[str, Json] = {
    TENANT: {"description": "The tenant, where neither body nor query names one.", "schema": TENANT_ID},
    CONFIDENCE: {
        "description": "How sure the asking model is: at least 1, a finite number. Without it the guard refuses.",
        "schema": {"type": "number", "minimum": 1, "maximum": 1e300},
        "example": 1,
    },
    "X-Request-ID": {"description": "Comes back as `trace_id`; generated when absent.", "schema": {"type": "string"}},
    DEADLINE: {
        "description": "The milliseconds that the answer may take; what takes longer is refused, and nothing is kept. "
        "Memory answers tell it: `deadline_ms`. What is no positive number says nothing; the most is 30 s.",
        "schema": {"type": "string"},
        "example": "5000",
    },
    "X-Idempotency-Key": {
        "description": "A key that the tenant used stores nothing again. Memory answers tell it: `idempotency_key`.",
        "schema": {"type": "string"},
    },
    "X-Universe": {"description": "The universe, where the body names none.", "schema": {"type": "string"}},
    "X-Min-Sources": {
        "description": "How many memories make the answer real.",
        "schema": {"type": "integer", "default": 1},
    },
}


def header(name: str) -> Json:
    return {"name": name, "in": "header", "required": name == CONFIDENCE, **HEADERS[name]}


def refused(status: int) -> Json:
    return {"model": Faults if status == 422 else Refusal, "description": WHY[status]}


def documented(
    summary: str,
    answer: type[BaseModel],
    *errors: int,
    headers: Iterable[str] = (),
    body: Json | None = None,
    query: bool = False,
    open_to_all: bool = False,
    refusals: dict[int, Json] | None = None,
) -> dict[str, Any]:
    """The arguments of a route's decorator. `query`: it is a GET that takes the tenant from its query."""
    statuses = errors if open_to_all else sorted({*EVERY, *errors})
    parameters = [header(name) for name in dict.fromkeys([*headers, *(() if open_to_all else (DEADLINE,))])]
    if query:
        parameters.insert(0, {"name": "tenant_id", "in": "query", "schema": TENANT_ID, "description": "The tenant."})
    extra: Json = {"parameters": parameters} if parameters else {}
    if body is not None:
        extra["requestBody"] = {"content": {"application/json": body}}
    if not open_to_all:
        extra["security"] = [{"bearer": []}, {}]
    return {
        "summary": summary,
        "responses": {
            200: {"model": answer, "description": "Done."},
            **{status: refused(status) for status in statuses},
            **(refusals or {}),
        },
        "openapi_extra": extra,
    }
