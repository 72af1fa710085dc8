"""Services of type LoadBalancer on the kind cluster: an address that works, or an Event that says why there is none."""

import json
import time

import httpx

from tests.cluster.environment import Environment, node_address
from tests.waiting import eventually

NAMESPACE = "somabrain-prod"


def address_of(stack: Environment, name: str, wanted: bool = True, within_s: float = 30) -> str:
    """Return the address in a Service's status, once it has one (or none)."""
    path, end = "{.status.loadBalancer.ingress[0].ip}", time.monotonic() + within_s
    while True:
        seen = stack.kubectl("-n", NAMESPACE, "get", "service", name, "-o", f"jsonpath={path}")
        if bool(seen) is wanted or time.monotonic() > end:
            return seen
        time.sleep(0.2)


def expose(stack: Environment, name: str, port: int) -> None:
    words = ("expose", "deployment", "somabrain", "--name", name, "--type", "LoadBalancer")
    stack.kubectl("-n", NAMESPACE, *words, "--port", str(port), "--target-port", "9696")


def typed(stack: Environment, service: str, kind: str) -> None:
    stack.kubectl("-n", NAMESPACE, "patch", "service", service, "-p", json.dumps({"spec": {"type": kind}}))


def answers(address: str) -> bool:
    """Whether the service says that it is well; kube-proxy writes its rules a moment after it is told an address."""
    try:
        return httpx.get(f"http://{address}:9999/health", timeout=30).json()["ok"] is True
    except httpx.TransportError:
        return False


def test_the_public_service_answers_at_its_address(stack: Environment) -> None:
    address = address_of(stack, "somabrain-public")
    assert address == node_address(stack.node)
    eventually(lambda: answers(address))


def test_the_second_service_that_wants_a_port_waits_and_is_told_why(stack: Environment) -> None:
    expose(stack, "late", 9999)
    try:
        end = time.monotonic() + 30
        while not (told := events(stack, "late")) and time.monotonic() < end:
            time.sleep(0.2)
        assert told == [
            f"no address: on {node_address(stack.node)} port 9999/TCP is taken by {NAMESPACE}/somabrain-public",
        ]
        assert address_of(stack, "late", wanted=False) == ""
        # The address is free again when the first one gives it up.
        typed(stack, "somabrain-public", "ClusterIP")
        assert address_of(stack, "late") == node_address(stack.node)
        eventually(lambda: answers(node_address(stack.node)))
    finally:
        stack.kubectl("-n", NAMESPACE, "delete", "service", "late")
        stack.kubectl(
            "-n", NAMESPACE, "patch", "service", "somabrain-public", "-p", '{"spec": {"type": "LoadBalancer"}}'
        )
    assert address_of(stack, "somabrain-public") == node_address(stack.node)


def test_a_port_of_the_node_itself_is_not_given_away(stack: Environment) -> None:
    expose(stack, "greedy", 6443)
    try:
        end = time.monotonic() + 30
        while not (told := events(stack, "greedy")) and time.monotonic() < end:
            time.sleep(0.2)
        assert "port 6443/TCP is taken by the node itself" in told[0]
        assert stack.kubectl("get", "nodes")
    finally:
        stack.kubectl("-n", NAMESPACE, "delete", "service", "greedy")


def events(stack: Environment, service: str) -> list[str]:
    selector = f"involvedObject.kind=Service,involvedObject.name={service}"
    found = stack.kubectl("-n", NAMESPACE, "get", "events", "--field-selector", selector, "-o", "json")
    return [str(event["message"]) for event in json.loads(found)["items"]]
