"""Ports of a node of ours that two want, or that it cannot give: what would only be seen when something never comes up.
Pure.

Source: Kubernetes documentation, Service ("Choosing your own port") and PodSpec v1 (hostPort, hostNetwork).
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from devenv.kube import pods
from devenv.kube.objects import Object

# What listens on the node itself; forwarder.loadbalancer has the same list, in a process of its own.
NODE = frozenset({2379, 2380, 2381, 6443, 10248, 10249, 10250, 10256, 10257, 10259})
RANGE = range(30000, 32768)  # of NodePorts, where the API server is not told otherwise
RANGED = ("NodePort", "LoadBalancer")
Port = tuple[str, int]  # protocol and number


def faults(objects: Iterable[Object]) -> list[str]:
    """Return what to say of each port of a cluster of one node that more than one object wants, or none can have."""
    found = [*objects]
    services = [o for o in found if o.kind == "Service" and (o.raw.get("spec") or {}).get("type") in RANGED]
    workloads = [o for o in found if o.runs]
    return [*node_ports(services), *balanced(services), *host_ports(workloads)]


def node_ports(services: Iterable[Object]) -> Iterator[str]:
    """Yield faults of the NodePorts that manifests choose themselves."""
    holders: dict[Port, list[str]] = defaultdict(list)
    for service in services:
        for port in service.raw["spec"].get("ports") or ():
            if (number := port.get("nodePort")) and isinstance(number, int):
                holders[port.get("protocol", "TCP"), number].append(str(service.id))
                if number not in RANGE:
                    yield f"{service.id}: nodePort {number} is not within {RANGE.start}-{RANGE.stop - 1}"
    yield from twice(holders, "nodePort", "a node has it once: leave nodePort out of one, and a free one is taken")


def balanced(services: Iterable[Object]) -> Iterator[str]:
    """Yield faults of Services that want an address: the node has one, and each port on it once."""
    holders: dict[Port, list[str]] = defaultdict(list)
    for service in services:
        spec = service.raw["spec"]
        if spec["type"] != "LoadBalancer" or spec.get("loadBalancerClass"):
            continue
        for port in spec.get("ports") or ():
            holders[port.get("protocol", "TCP"), port.get("port", 0)].append(str(service.id))
            if port.get("protocol", "TCP") == "TCP" and port.get("port") in NODE:
                yield f"{service.id}: port {port['port']} of a load-balanced address is the node's own"
    yield from twice(
        holders,
        "port",
        "a load-balanced address is the node's, with each port once: give one another port or type",
    )


def host_ports(workloads: Iterable[Object]) -> Iterator[str]:
    """Yield faults of the ports that pods take of their node: a second pod would never be scheduled."""
    holders: dict[Port, list[str]] = defaultdict(list)
    for workload in workloads:
        taken = sorted({*taken_of_node(workload)})
        for protocol, number in taken:
            holders[protocol, number].append(str(workload.id))
            if protocol == "TCP" and number in NODE:
                yield f"{workload.id}: hostPort {number} is the node's own"
        if taken and (count := replicas(workload)) > 1:
            shown = ", ".join(str(number) for _, number in taken)
            yield f"{workload.id}: {count} pods want hostPort {shown}, and there is one node: set replicas to 1"
    yield from twice(holders, "hostPort", "there is one node: take it out of one, and reach that by its Service")


def taken_of_node(workload: Object) -> Iterator[Port]:
    for spec in pods.specs(workload.raw):
        for container in spec.get("containers") or ():
            for port in container.get("ports") or ():
                number = port.get("hostPort") or (port.get("containerPort") if spec.get("hostNetwork") else None)
                if isinstance(number, int):
                    yield port.get("protocol", "TCP"), number


def replicas(workload: Object) -> int:
    """Return how many pods of a workload there are at a time."""
    spec: Mapping[str, Any] = workload.raw.get("spec") or {}
    count = spec.get({"Job": "parallelism"}.get(workload.kind, "replicas"), 1)
    return count if isinstance(count, int) and workload.kind != "DaemonSet" else 1


def twice(holders: Mapping[Port, list[str]], what: str, hint: str) -> Iterator[str]:
    for (protocol, number), names in holders.items():
        if len(names) > 1:
            yield f"{what} {number}/{protocol} is wanted by {', '.join(dict.fromkeys(names))}\nhint: {hint}"
