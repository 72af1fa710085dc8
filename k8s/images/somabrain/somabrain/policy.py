"""The policy's word on a request, asked of OPA (contract 8)."""

import asyncio
import json
import logging
from typing import Any

import httpx

from somabrain import metrics
from somabrain.errors import Refused
from somabrain.settings import Settings

RULE = "/v1/data/somabrain/auth/allow"
CONNECTIONS = 32
IDLE_S = 30.0
# A pod of OPA that ends takes its idle connections with it, and for a moment its Service still leads to it.
RETRIED_AFTER_S = (0.0, 0.05, 0.1, 0.2)
log = logging.getLogger("somabrain")


class NoAnswer(Exception):
    """OPA did not answer, or has no such rule."""


def question(method: str, path: str, tenant: str, body: bytes | None) -> bytes:
    """The input of the rule. The body is JSON already: it goes in as it came."""
    asked = json.dumps({"method": method, "path": path, "tenant": tenant})
    if body is None:
        return f'{{"input":{asked}}}'.encode()
    return b'{"input":' + asked[:-1].encode() + b',"json":' + body + b"}}"


def allows(answer: Any) -> bool:
    """What an answer of OPA means; NoAnswer where it holds no result."""
    if not isinstance(answer, dict) or "result" not in answer:
        raise NoAnswer("no result: does OPA hold the package somabrain.auth?")
    result = answer["result"]
    return result is True or (isinstance(result, dict) and result.get("allow") is True)


class Policy:
    """OPA, over connections that stay open."""

    def __init__(self, url: str, fail_closed: bool, timeout_s: float) -> None:
        self.fail_closed = fail_closed
        self.timeout_s = timeout_s
        self.rule = url.rstrip("/") + RULE
        limits = httpx.Limits(max_connections=CONNECTIONS, keepalive_expiry=IDLE_S)
        self.client = httpx.AsyncClient(limits=limits, timeout=None, trust_env=False)  # noqa: S113  `ask` has the limit

    async def close(self) -> None:
        await self.client.aclose()

    async def ask(self, asked: bytes, within_s: float) -> bool:
        """Whether the rule allows it; NoAnswer if that is not known in time."""
        try:
            async with asyncio.timeout(within_s):
                answer = await self.post(asked)
            answer.raise_for_status()
            return allows(answer.json())
        except TimeoutError as error:
            raise NoAnswer(f"no answer within {within_s:g} s") from error
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            raise NoAnswer(str(error) or type(error).__name__) from error

    async def post(self, asked: bytes) -> httpx.Response:
        """Ask; a connection that breaks says nothing about OPA, so it is asked again over another."""
        for pause_s in RETRIED_AFTER_S:
            try:
                return await self.client.post(self.rule, content=asked)
            except (httpx.NetworkError, httpx.RemoteProtocolError):
                await asyncio.sleep(pause_s)
        return await self.client.post(self.rule, content=asked)

    async def check(self, method: str, path: str, tenant: str, body: bytes | None) -> None:
        """Refuse what the policy refuses, and, if it fails closed, what it does not know."""
        try:
            allowed = await self.ask(question(method, path, tenant, body), self.timeout_s)
        except NoAnswer as error:
            log.warning("%s %s: OPA: %s", method, path, error)
            if self.fail_closed:
                metrics.opa_deny.inc()
                raise Refused(403, "OPA policy unavailable") from error
        else:
            (metrics.opa_allow if allowed else metrics.opa_deny).inc()
            if not allowed:
                raise Refused(403, "OPA policy denied request")


def open_policy(settings: Settings) -> Policy | None:
    """None where no OPA is configured: then nothing is asked."""
    if settings.opa_url is None:
        return None
    return Policy(settings.opa_url, settings.opa_fail_closed, settings.opa_timeout_s)
