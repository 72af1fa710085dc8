"""Which Service gets the node's address, over all small cases; and what is written of it to an API server."""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import permutations, product
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar

import pytest

from devenv.forwarder.loadbalancer import NODE_PORTS, Balancer, has, node_address, shares
from tests.test_tunnel import kubeconfig
from tests.waiting import eventually

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


class Api(BaseHTTPRequestHandler):
    """An API server with a node and some Services, that answers what is written to it as it likes."""

    services: ClassVar[list[dict[str, Any]]] = []
    written: ClassVar[list[tuple[str, str]]] = []
    lists = 0

    def do_GET(self) -> None:
        node = {"metadata": {"uid": "n"}, "status": {"addresses": [{"type": "InternalIP", "address": ADDRESS}]}}
        if "watch=1" in self.path:
            self.answer(b'{"type": "ERROR"}\n')  # so that all is read again
            return
        Api.lists += 1
        items = [node] if "nodes" in self.path else self.services
        self.answer(json.dumps({"metadata": {"resourceVersion": "1"}, "items": items}).encode())

    def written_to(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.written.append((self.path.rpartition("shop/")[2], body.get("message", "")))
        self.answer(b"no JSON")

    do_PATCH = do_POST = written_to

    def answer(self, body: bytes) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def test_one_odd_service_and_odd_answers_keep_no_other_from_its_address(tmp_path: Path) -> None:
    bare: dict[str, Any] = {"metadata": {"name": "bare", "namespace": "shop", "uid": "bare"}}
    Api.services = [bare, service("first", 80, age=2), service("second", 80, age=1)]
    Api.written, Api.lists = [], 0
    log: list[str] = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Api) as api:
        Thread(target=api.serve_forever, args=(0.01,), daemon=True).start()
        Balancer(kubeconfig(tmp_path, f"http://127.0.0.1:{api.server_port}"), log.append).start()
        eventually(lambda: Api.lists >= 8, 20)
        api.shutdown()
    assert ("services/first/status", "") in Api.written
    told = [message for path, message in Api.written if path == "events"]
    assert told == [f"no address: on {ADDRESS} port 80/TCP is taken by shop/first"]
    assert any("no object of JSON came back" in line for line in log)
