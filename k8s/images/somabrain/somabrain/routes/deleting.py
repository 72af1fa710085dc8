"""DELETE /memories/{memory_id} and DELETE /tenant: additions to the contract (contract 3 and 7)."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from pydantic import Field

from somabrain import deleting
from somabrain.caller import Asking
from somabrain.errors import Refused
from somabrain.openapi.operations import TENANT, documented
from somabrain.openapi.responses import Deleted, TenantDeleted
from somabrain.routes.limited import memory_rate, work_rate
from somabrain.routes.neuromodulators import admin
from somabrain.service import Served
from somabrain.wire import Json, StrictRoute, Text

router = APIRouter(route_class=StrictRoute, tags=["deleting"])
MemoryId = Annotated[Text, Field(max_length=64, description="The `id` that /context/evaluate answers.")]


@router.delete(
    "/memories/{memory_id}",
    dependencies=[Depends(memory_rate)],
    **documented("Delete a memory", Deleted, 404, 422, headers=(TENANT,), query=True),
)
def delete_memory(service: Served, caller: Asking, memory_id: MemoryId) -> Json:
    """Delete a memory. Links between keys stay; a working memory that tells of it expires by itself."""
    with service.engine.begin() as connection:
        if not deleting.delete_memory(connection, caller.tenant, memory_id):
            raise Refused(404, "no such memory")
    return {"ok": True}


async def named(request: Request) -> None:
    """A tenant is deleted by its name alone, and never because none was given."""
    if "tenant_id" not in request.query_params and "x-tenant-id" not in request.headers:
        raise Refused(400, "missing tenant: name the one to delete, by tenant_id or X-Tenant-ID")


async def owner(request: Request, service: Served) -> None:
    """What cannot be undone is the admin's. Who bears the token of all tenants may name any of them."""
    if service.settings.admin_token is None and not service.settings.disable_auth:
        raise Refused(403, "no admin token is configured: set SOMABRAIN_ADMIN_TOKEN")
    await admin(request, service)


@router.delete(
    "/tenant",
    dependencies=[Depends(named), Depends(owner), Depends(work_rate)],
    **documented("Delete all that is stored of a tenant", TenantDeleted, headers=(TENANT,), query=True),
)
def delete_tenant(service: Served, caller: Asking) -> Json:
    """Delete a tenant's memories, links, feedbacks, token usage, weights, neuromodulators and working memories.

    It needs the admin token, unless no token is asked for at all. If it is refused half-way, the rest is there, and the
    next call goes on. What others store for the tenant meanwhile may stay.
    """
    found = deleting.delete_tenant(service.engine, service.redis, caller.tenant)
    return {"ok": True, "tenant_id": caller.tenant, "memories": found}
