"""What stands before every route: the utility guard, authorization, the size of the body, the tenant, the policy.

They are asked in this order, and what one of them refuses reaches no route. The body is read here, once and up to its
limit; the route gets the same bytes.
"""

from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from somabrain import guard
from somabrain.caller import caller_of, named_tenant
from somabrain.errors import Refused, refusal
from somabrain.policy import Policy
from somabrain.settings import Settings
from somabrain.wire import PARSED, loads


class Edge:
    """The middleware: it hands the caller (request.state.caller) and the body on, or answers itself."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app = app
        self.settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in guard.OPEN:
            await self.app(scope, receive, send)
            return
        request = Request(scope, receive)
        try:
            body = await self.admitted(request)
        except Refused as error:
            await refusal(error.status, error.detail)(scope, receive, send)
        except ClientDisconnect:
            return  # nobody is left to answer
        else:
            await self.app(scope, replayed(body, receive), send)

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
