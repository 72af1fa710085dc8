"""What a route of a limited rate depends on: its tenant's bucket (contract 1)."""

from fastapi import Request

from somabrain import metrics
from somabrain.caller import Asking
from somabrain.errors import Refused
from somabrain.limits import Limiter
from somabrain.service import Served


def taken(request: Request, limiter: Limiter, tenant: str) -> None:
    try:
        limiter.check(tenant)
    except Refused:
        metrics.rate_limited.labels(request.scope["route"].path).inc()
        raise


def memory_rate(request: Request, service: Served, caller: Asking) -> None:
    """A tenant may not remember and recall more often than its bucket has tokens."""
    taken(request, service.limiter, caller.tenant)


def work_rate(request: Request, service: Served, caller: Asking) -> None:
    """A tenant may not ask the other routes more often than its second bucket has tokens."""
    taken(request, service.work_limiter, caller.tenant)
