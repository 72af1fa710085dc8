"""The stack over HTTPS, as the runbook asks it, and the certificate that its ingress has."""

import json
import time
from typing import Any

from tests.cluster.environment import Environment

NAMESPACE, HOST, SECRET = "ingress-nginx", "somabrain.internal", "somabrain-tls"


def curl(stack: Environment, *options: str, host: str = HOST) -> str:
    """Ask as the runbook does, without -k; return what came back, or curl's word for why nothing did."""
    port = stack.ports["https"]
    words = f"--resolve {host}:{port}:127.0.0.1 https://{host}:{port}/health"
    for _ in range(20):
        told = stack.shell(f"curl -sS --max-time 10 {' '.join(options)} {words} 2>&1 || true")
        if not told.startswith("{") or answers(told):
            break
        time.sleep(0.5)  # a store was slow to answer the service
    return told


def answers(told: str) -> bool:
    return told.startswith("{") and json.loads(told)["ok"] is True


def certificate(stack: Environment) -> dict[str, Any]:
    return dict(json.loads(stack.run("tls", "status", "-o", "json").stdout))


def is_served(stack: Environment, within_s: float = 30) -> bool:
    end = time.monotonic() + within_s
    while not (seen := certificate(stack)["served"]) and time.monotonic() < end:
        time.sleep(0.5)
    return bool(seen)


def with_own_certificate(stack: Environment) -> Environment:
    """Return the stack with a certificate of the environment's own authority, whoever issued the last test's."""
    seen = certificate(stack)
    if seen["issuer"] != "local" or not seen["served"]:
        stack.fine("tls", "up")
    return stack
