"""What stands before every route: the utility guard, authorization, the body's size, the tenant, the policy, its turn.

They are asked in this order, and what one of them refuses reaches no route. The body is read here, once and up to its
limit; the route gets the same bytes.
"""

from time import monotonic

from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from somabrain import deadline, guard
from somabrain.caller import caller_of, named_tenant
from somabrain.errors import Refused, refusal
from somabrain.policy import Policy
from somabrain.settings import Settings
from somabrain.shares import Shares
from somabrain.wire import PARSED, loads


class Edge:
    """The middleware: it hands the caller (request.state.caller) and the body on, or answers itself."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app = app
        self.settings = settings
        self.shares = Shares(settings.tenant_requests)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        arrived, request = monotonic(), Request(scope, receive)
        if scope["path"] in guard.OPEN:
            await self.watched(request, send)
            return
        try:
            body = await self.admitted(request)
            caller = request.state.caller
            until = deadline.until(caller.deadline_ms, arrived)
            turn = await self.shares.turn(caller.tenant, until)
        except Refused as error:
            await refusal(error.status, error.detail, error.retry_after_s)(scope, receive, send)
            return
        except ClientDisconnect:
            return  # nobody is left to answer
        deadline.UNTIL.set(until)  # of this request's own task
        try:
            await self.app(scope, replayed(body, receive), turn.ending_with(send))
        finally:
            turn.end()

    async def watched(self, request: Request, send: Send) -> None:
        """Serve those who watch the service. What it counts names tenants: not everybody is to have that everywhere."""
        closed = request.scope["path"] == guard.METRICS and not self.settings.metrics_open
        try:
            if closed and not self.settings.disable_auth:
                guard.check_token(request.headers, self.settings.api_token, self.settings.admin_token)
        except Refused as error:
            await refusal(error.status, error.detail)(request.scope, request.receive, send)
            return
        await self.app(request.scope, request.receive, send)

    async def admitted(self, request: Request) -> bytes:
        """The body of a request that may go on; Refused for any other."""
        guard.check_utility(request.scope["path"], request.headers)
        if not self.settings.disable_auth:
            guard.check_token(request.headers, self.settings.api_token, self.settings.admin_token)
        body = await body_of(request, self.settings.max_body_bytes)
        try:
            parsed = request.scope[PARSED] = loads(body)
        except ValueError:
            parsed = None  # whether that is a fault, and which, is for the route to say
        caller = request.state.caller = caller_of(request, self.settings, named_tenant(request, parsed))
        policy: Policy | None = request.app.state.policy
        if policy is not None:
            as_json = body if PARSED in request.scope else None
            await policy.check(request.method, request.scope["path"], caller.tenant, as_json)
        return body


async def body_of(request: Request, limit: int) -> bytes:
    """The whole body. One that is too large is given up before it fills the memory."""
    too_large = Refused(413, f"the body is over {limit} bytes")
    told = request.headers.get("content-length", "")
    if told.isdecimal() and int(told) > limit:
        raise too_large
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > limit:
            raise too_large
    return bytes(body)


def replayed(body: bytes, receive: Receive) -> Receive:
    """A channel that gives the body once more, and then whatever the client does."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return messages.pop() if messages else await receive()

    return replay
