"""Which Service gets the node's address, over all small cases."""

from itertools import permutations, product
from typing import Any

import pytest

from devenv.balancer import NODE_PORTS, has, node_address, shares

ADDRESS = "172.18.0.2"


def service(name: str, *ports: int, age: int = 0, **spec: Any) -> dict[str, Any]:
    """A Service that waits for an address; the smaller its age, the younger it is."""
    moment = f"2026-01-01T00:00:{59 - age:02}Z"
    meta = {"name": name, "namespace": "shop", "uid": name, "creationTimestamp": moment}
    return {"metadata": meta, "spec": {"type": "LoadBalancer", "ports": [{"port": p} for p in ports], **spec}}


def test_each_port_goes_to_one_service_and_to_the_oldest_that_wants_it() -> None:
    for wanted in product([(80,), (443,), (80, 443), (9999,)], repeat=3):
        services = [service(name, *ports, age=age) for age, (name, ports) in enumerate(zip("abc", wanted, strict=True))]
        found = [shares(order, ADDRESS) for order in permutations(services)]
        assert all(one == found[0] for one in found), "the order of the list decides nothing"
        taken: set[int] = set()
        for name, ports in reversed(list(zip("abc", wanted, strict=True))):
            free = not taken & set(ports)
            assert found[0][name].address == (ADDRESS if free else "")
            assert (found[0][name].refused == "") is free
            taken |= set(ports) if free else set()


def test_a_refused_service_is_told_which_one_has_the_port() -> None:
    found = shares([service("first", 80, 443, age=2), service("second", 443, age=1)], ADDRESS)
    assert found["second"].refused == f"no address: on {ADDRESS} port 443/TCP is taken by shop/first"


@pytest.mark.parametrize("port", sorted(NODE_PORTS))
def test_a_port_of_the_node_itself_is_given_to_nobody(port: int) -> None:
    assert "taken by the node itself" in shares([service("a", port)], ADDRESS)["a"].refused


def test_the_same_number_of_another_protocol_is_another_port() -> None:
    udp = service("dns-udp", age=1)
    udp["spec"]["ports"] = [{"port": 53, "protocol": "UDP"}]
    assert {share.address for share in shares([udp, service("dns-tcp", 53)], ADDRESS).values()} == {ADDRESS}


def test_other_types_and_other_load_balancers_are_left_alone() -> None:
    others = [service("a", 80, type="NodePort"), service("b", 80, loadBalancerClass="example.com/own")]
    assert shares(others, ADDRESS) == {}


def test_what_the_api_tells_is_read() -> None:
    assert has({"status": {"loadBalancer": {"ingress": [{"ip": ADDRESS}]}}}) == ADDRESS
    assert has({"status": {"loadBalancer": {}}}) == ""
    node = {"status": {"addresses": [{"type": "Hostname", "address": "n"}, {"type": "InternalIP", "address": ADDRESS}]}}
    assert node_address([node]) == ADDRESS
    assert node_address([]) == ""
