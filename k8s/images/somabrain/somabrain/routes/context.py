"""POST /context/evaluate and /context/feedback (contract 4)."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response
from pydantic import AfterValidator, Field
from sqlalchemy.exc import SQLAlchemyError

from somabrain import adaptation, context, feedback, metrics
from somabrain.caller import Asking, known
from somabrain.context import Asked
from somabrain.errors import Refused, reason
from somabrain.openapi import request_bodies
from somabrain.openapi.operations import CONFIDENCE, TENANT, documented
from somabrain.openapi.responses import Accepted, Evaluated
from somabrain.routes.limited import work_rate
from somabrain.service import Served, Service
from somabrain.wire import Body, Json, Number, StrictRoute, TenantId, Text, finite, shown

router = APIRouter(prefix="/context", route_class=StrictRoute, tags=["context"], dependencies=[Depends(work_rate)])
Named = Annotated[Text, Field(min_length=1)]


class Evaluate(Body):
    session_id: Annotated[Named, shown(maxLength=128)]
    query: Annotated[Text, shown(maxLength=4096)]
    top_k: Annotated[int, Field(ge=1, le=50)] = 5
    tenant_id: TenantId | None = None


class Feedback(Body):
    session_id: Annotated[Named, shown(maxLength=128)]
    query: Annotated[Text, shown(maxLength=4096)]
    prompt: Annotated[Text, shown(maxLength=4096)]
    response_text: Annotated[Text, shown(maxLength=1024)]
    utility: Number
    reward: Number | None = None
    metadata: Annotated[dict[str, Any], AfterValidator(finite)] | None = None
    tenant_id: TenantId | None = None


async def tenant_at(service: Served, caller: Asking) -> str:
    return known(caller, service.settings).tenant


Tenant = Annotated[str, Depends(tenant_at)]


def publish(service: Service, tenant: str) -> None:
    adaptation.publish(service.engine, service.redis, tenant, service.settings.rules)


@router.post(
    "/evaluate",
    **documented(
        "Weigh memories for a query and make the prompt of them",
        Evaluated,
        *(422, 500, 503),
        headers=(CONFIDENCE, TENANT),
        body=request_bodies.EVALUATE,
    ),
)
def evaluate(service: Served, tenant: Tenant, body: Evaluate) -> Response:
    """Weigh the tenant's memories for a query and make the prompt of them."""
    asked = Asked(tenant, body.session_id, body.query, body.top_k)
    context.check(asked)
    settings = service.settings
    try:
        with service.engine.begin() as connection:
            answer, tempered = context.evaluate(
                connection, service.redis, service.memories, asked, settings.rules, settings.wm_ttl_s
            )
    except SQLAlchemyError as error:
        raise Refused(500, f"context build failed: {reason(error)}") from error
    if tempered:
        publish(service, tenant)
    return Response(context.written(answer), media_type="application/json")


@router.post(
    "/feedback",
    **documented(
        "Learn from how an answer fared",
        Accepted,
        *(422, 500, 503),
        headers=(CONFIDENCE, TENANT, "X-Idempotency-Key"),
        body=request_bodies.FEEDBACK,
    ),
)
def give_feedback(service: Served, caller: Asking, tenant: Tenant, body: Feedback) -> Json:
    """Learn from how an answer fared. One with a used key is answered like the first, and changes nothing."""
    given = feedback.Feedback(**body.model_dump(exclude={"tenant_id"}))
    feedback.check(given)
    try:
        with metrics.applying_feedback(tenant), service.engine.begin() as connection:
            feedback.apply(connection, tenant, given, service.settings.rules, caller.idempotency_key)
    except feedback.Repeated:
        pass  # the first one is committed; whether its answer was read, nobody knows
    except SQLAlchemyError as error:
        raise Refused(500, f"feedback persist failed: {reason(error)}") from error
    publish(service, tenant)
    return {"accepted": True, "adaptation_applied": True}
