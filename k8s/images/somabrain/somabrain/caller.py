"""Who asks: the tenant of a request, and the headers that are handed back (contract 1)."""

from dataclasses import dataclass
from typing import Annotated, Any
from uuid import uuid4

from fastapi import Depends, Request

from somabrain.errors import Refused
from somabrain.memory import UNIVERSE, UNIVERSE_LENGTH
from somabrain.settings import Settings
from somabrain.wire import Json

TENANT_LENGTH = 128


def named_tenant(request: Request, body: Any) -> Any:
    """What the request itself says: the query of a GET or a DELETE, the body of any other."""
    if request.method in ("GET", "DELETE"):
        return request.query_params.get("tenant_id")
    return body.get("tenant_id") if isinstance(body, dict) else None


def tenant_of(named: Any, header: str | None, default: str) -> str:
    """The one rule for all routes: the body or query names it, else the header, else the default."""
    tenant = next(name for name in (named, header, default) if name is not None)
    if not isinstance(tenant, str) or not 1 <= len(tenant) <= TENANT_LENGTH or "\x00" in tenant:
        raise Refused(400, "invalid tenant")
    return tenant


@dataclass(frozen=True)
class Caller:
    tenant: str
    trace_id: str
    deadline_ms: str | None = None
    idempotency_key: str | None = None

    @property
    def namespace(self) -> str:
        return f"somabrain_ns:{self.tenant}"

    def envelope(self) -> Json:
        """The fields that every memory answer carries."""
        return {
            "namespace": self.namespace,
            "trace_id": self.trace_id,
            "deadline_ms": self.deadline_ms,
            "idempotency_key": self.idempotency_key,
        }


def caller_of(request: Request, settings: Settings, named: Any) -> Caller:
    headers = request.headers
    return Caller(
        tenant=tenant_of(named, headers.get("x-tenant-id"), settings.default_tenant),
        trace_id=headers.get("x-request-id") or uuid4().hex,
        deadline_ms=headers.get("x-deadline-ms") or None,
        idempotency_key=headers.get("x-idempotency-key") or None,
    )


async def asking(request: Request) -> Caller:
    """The caller, as the edge made it out."""
    caller: Caller = request.state.caller
    return caller


Asking = Annotated[Caller, Depends(asking)]


def known(caller: Caller, settings: Settings) -> Caller:
    """On the context routes a sandbox serves its own tenants only."""
    if settings.sandbox_tenants and caller.tenant not in settings.sandbox_tenants:
        raise Refused(400, "unknown tenant")
    return caller


def universe_of(request: Request, named: str | None) -> str:
    """The universe a request is about: the body names it, else the header; else it is the real one."""
    return named or request.headers.get("x-universe") or UNIVERSE


def linkable_universe_of(request: Request, named: str | None) -> str:
    """The universe, if its name is short enough for links, which are found by it."""
    universe = universe_of(request, named)
    if len(universe) > UNIVERSE_LENGTH or "\x00" in universe:
        raise Refused(400, f"Invalid input: universe is over {UNIVERSE_LENGTH} characters or holds NUL")
    return universe
