"""The middleware that counts: it stands before everything else, so that refused requests count as well."""

from collections.abc import Sequence
from time import perf_counter

from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from somabrain import metrics
from somabrain.caller import Caller

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
OTHER = "other"
FEEDBACK = "/context/feedback"
GONE = 499  # the client left before there was an answer


def template(scope: Scope, routes: Sequence[BaseRoute]) -> str:
    """The path of the route as it is written, and one word for all paths without a route."""
    route: BaseRoute | None = scope.get("route")
    if route is None:  # refused before a route was looked for
        route = next((route for route in routes if route.matches(scope)[0] is not Match.NONE), None)
    return str(getattr(route, "path", OTHER))


def tenant_of(scope: Scope) -> str | None:
    caller: Caller | None = scope.get("state", {}).get("caller")
    return caller.tenant if caller else None


class Counting:
    def __init__(self, app: ASGIApp, routes: Sequence[BaseRoute]) -> None:
        self.app = app
        self.routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begun, status = perf_counter(), GONE

        async def counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, counted)
        except Exception:
            status = 500  # which is what the handler outside will answer
            raise
        finally:
            count(scope, template(scope, self.routes), status, perf_counter() - begun)


def count(scope: Scope, path: str, status: int, took_s: float) -> None:
    method = scope["method"] if scope["method"] in METHODS else OTHER
    metrics.http_requests.labels(method, path, status).inc()
    metrics.http_latency.labels(method, path).observe(took_s)
    if (method, path) == ("POST", FEEDBACK) and status not in (200, GONE):
        metrics.reject_feedback(tenant_of(scope), status)
