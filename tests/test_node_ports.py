"""Ports of the one node: what clashes is told before anything is changed, and nothing else is."""

from itertools import permutations
from typing import Any

import pytest

from devenv.forwarder import loadbalancer
from devenv.kube.objects import Object, in_order
from devenv.reconcile import node_ports
from devenv.reconcile.node_ports import faults


def service(name: str, kind: str, *ports: dict[str, Any], **spec: Any) -> Object:
    raw = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}}
    return Object.parse({**raw, "spec": {"type": kind, "ports": [*ports], **spec}}, "home")


def workload(name: str, kind: str = "Deployment", host: bool = False, replicas: int = 1, **port: Any) -> Object:
    spec = {"containers": [{"name": "c", "ports": [port] if port else []}], **({"hostNetwork": True} if host else {})}
    raw = {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name}}
    return Object.parse({**raw, "spec": {"replicas": replicas, "template": {"spec": spec}}}, "home")


TAKEN = {"port": 80, "nodePort": 30080}


@pytest.mark.parametrize(
    ("objects", "told"),
    [
        ([service("a", "NodePort", TAKEN), service("b", "LoadBalancer", {**TAKEN, "port": 81})],
         "nodePort 30080/TCP is wanted by service/a, service/b"),
        ([service("a", "NodePort", {"port": 80, "nodePort": 8080})],
         "service/a: nodePort 8080 is not within 30000-32767"),
        ([service("a", "LoadBalancer", {"port": 80}), service("b", "LoadBalancer", {"port": 80})],
         "port 80/TCP is wanted by service/a, service/b"),
        ([service("a", "LoadBalancer", {"port": 6443})],
         "service/a: port 6443 of a load-balanced address is the node's own"),
        ([workload("a", containerPort=1, hostPort=80), workload("b", "DaemonSet", host=True, containerPort=80)],
         "hostPort 80/TCP is wanted by deployment/a, daemonset/b"),
        ([workload("a", replicas=2, containerPort=1, hostPort=80)],
         "deployment/a: 2 pods want hostPort 80, and there is one node"),
        ([workload("a", host=True, containerPort=10250)], "deployment/a: hostPort 10250 is the node's own"),
    ],
)  # fmt: skip
def test_a_port_that_cannot_be_had_is_told(objects: list[Object], told: str) -> None:
    for order in permutations(objects):
        (fault,) = faults(order)
        names = told.rpartition(" by ")[2].split(", ") if " by " in told else []
        assert fault.startswith(told.partition(" by ")[0])
        assert all(name in fault for name in names)


def test_what_can_be_had_together_is_not_told() -> None:
    udp = {"port": 80, "protocol": "UDP"}
    assert faults([service("a", "NodePort", TAKEN), service("b", "NodePort", {"port": 80})]) == []
    assert faults([service("a", "NodePort", TAKEN), service("b", "NodePort", {**udp, "nodePort": 30080})]) == []
    assert faults([service("a", "LoadBalancer", {"port": 80}), service("b", "LoadBalancer", udp)]) == []
    classed = service("b", "LoadBalancer", {"port": 80}, loadBalancerClass="theirs")
    assert faults([service("a", "LoadBalancer", {"port": 80}), classed, service("c", "ClusterIP", {"port": 80})]) == []
    ports: dict[str, Any] = {"containerPort": 1, "hostPort": 80}
    assert faults([workload("a", "DaemonSet", replicas=3, **ports), workload("b", replicas=3, containerPort=1)]) == []
    assert faults([workload("a", **ports), service("a", "LoadBalancer", {"port": 80})]) == []


def test_a_service_that_chooses_its_node_port_comes_before_those_that_take_any() -> None:
    chosen = service("z", "NodePort", TAKEN)
    found = in_order([service("a", "NodePort", {"port": 80}), chosen, service("b", "ClusterIP", {"port": 80})])
    assert found[0] is chosen


def test_the_node_s_own_ports_are_those_that_the_balancer_never_gives_away() -> None:
    assert node_ports.NODE == loadbalancer.NODE_PORTS
