"""Load-balanced addresses on a kind cluster: a Service of type LoadBalancer gets the node's.

kube-proxy serves whatever address stands in a Service's status, so writing it there is all that is needed. The node has
one address: a port on it goes to one Service, the oldest that wants it.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Lock

from devenv.forwarder.apiserver import ApiError, Kubeconfig
from devenv.forwarder.watch import Object, Watch

# What listens on the node itself (Kubernetes documentation, "Ports and Protocols").
NODE_PORTS = frozenset({2379, 2380, 2381, 6443, 10248, 10249, 10250, 10256, 10257, 10259})
SERVICES, NODES = "/api/v1/services", "/api/v1/nodes"
MERGE_PATCH = "application/merge-patch+json"

Port = tuple[str, int]  # protocol and number


@dataclass(frozen=True)
class Share:
    """What a Service gets: the address, or the reason why not."""

    address: str
    refused: str = ""


def named(service: Object) -> str:
    return f"{service['metadata']['namespace']}/{service['metadata']['name']}"


def wants(service: Object) -> bool:
    """Whether a Service waits for us: a class names a load balancer of its own."""
    spec = service.get("spec") or {}
    return spec.get("type") == "LoadBalancer" and not spec.get("loadBalancerClass")


def ports(service: Object) -> list[Port]:
    return [(p.get("protocol", "TCP"), p["port"]) for p in service["spec"].get("ports") or ()]


def shares(services: Iterable[Object], address: str) -> dict[str, Share]:
    """Return, by UID, what each Service that waits for an address gets: all its ports or none, the oldest first."""
    taken: dict[Port, str] = {("TCP", port): "the node itself" for port in NODE_PORTS}
    found: dict[str, Share] = {}
    for service in sorted(filter(wants, services), key=lambda s: (s["metadata"]["creationTimestamp"], named(s))):
        held = [(port, taken[port]) for port in ports(service) if port in taken]
        if held:
            why = ", ".join(f"port {number}/{protocol} is taken by {holder}" for (protocol, number), holder in held)
            found[service["metadata"]["uid"]] = Share("", f"no address: on {address} {why}")
        else:
            taken.update({port: named(service) for port in ports(service)})
            found[service["metadata"]["uid"]] = Share(address)
    return found


def has(service: Object) -> str:
    """Return the address that a Service has, or an empty string."""
    ingress = (service.get("status", {}).get("loadBalancer") or {}).get("ingress") or ()
    return ",".join(i.get("ip", "") for i in ingress)


def node_address(nodes: Iterable[Object]) -> str:
    for node in nodes:
        for address in node.get("status", {}).get("addresses") or ():
            if address["type"] == "InternalIP":
                return str(address["address"])
    return ""


class Balancer:
    """Keeps the addresses true for as long as the process lives."""

    def __init__(self, server: Kubeconfig, log: Callable[[str], None]) -> None:
        self._server, self._log = server, log
        self._services, self._nodes = Watch(server, SERVICES, self._look), Watch(server, NODES, self._look)
        self._told: Mapping[str, str] = {}  # what was last said of a refused Service
        self._guard = Lock()  # two watches call

    def start(self) -> None:
        self._services.start()
        self._nodes.start()

    def _look(self) -> None:
        with self._guard:
            address = node_address(self._nodes.objects)
            if not address or not (self._services.synced and self._nodes.synced):
                return
            services = {s["metadata"]["uid"]: s for s in self._services.objects}
            shared = shares(services.values(), address)
            for uid, share in shared.items():
                try:
                    self._give(services[uid], share)
                except ApiError as error:
                    self._log(f"load balancer: {named(services[uid])}: {error}")
            self._told = {uid: share.refused for uid, share in shared.items()}

    def _give(self, service: Object, share: Share) -> None:
        meta = service["metadata"]
        path = f"/api/v1/namespaces/{meta['namespace']}"
        if has(service) != share.address:
            status = {"loadBalancer": {"ingress": [{"ip": share.address}] if share.address else None}}
            self._server.ask("PATCH", f"{path}/services/{meta['name']}/status", {"status": status}, MERGE_PATCH)
            self._log(f"load balancer: {named(service)} has {share.address or share.refused}")
        if share.refused and share.refused != self._told.get(meta["uid"]):
            self._server.ask("POST", f"{path}/events", event(service, share.refused, datetime.now(UTC)))


def event(service: Object, message: str, now: datetime) -> Object:
    """Return the Event that tells why a Service stays without an address."""
    meta, moment = service["metadata"], now.strftime("%Y-%m-%dT%H:%M:%SZ")
    who = {"apiVersion": "v1", "kind": "Service"} | {key: meta[key] for key in ("namespace", "name", "uid")}
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"generateName": f"{meta['name']}.", "namespace": meta["namespace"]},
        "involvedObject": who,
        "type": "Warning",
        "reason": "NoAddress",
        "message": message,
        "source": {"component": "devenv"},
        "firstTimestamp": moment,
        "lastTimestamp": moment,
        "count": 1,
    }
