"""What leads a workload's traffic to a process on this machine: made beside its Services and policies. Pure.

Each Service that led to its pods has one EndpointSlice more, with this machine's address; its own, which the controller
keeps by the selector, are empty. A pod whose policies let it reach the workload may reach this machine at the one port.

Source: Kubernetes documentation, "EndpointSlices: Management", "Network Policies"; the API, NetworkPolicyEgressRule.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from devenv.errors import UsageError
from devenv.kube.attachment import ATTACHED
from devenv.kube.objects import MANAGER, Document, Object
from devenv.kube.pods import mapping, mappings

SERVICE_NAME, SLICE_BY = "kubernetes.io/service-name", "endpointslice.kubernetes.io/managed-by"
LONGEST_NAME = 253
SUFFIX = "-attached"


@dataclass(frozen=True)
class Port:
    """A port of this machine, and the pods' port whose traffic it takes."""

    local: int
    container: int
    name: str = ""  # of the pods' port


def matches(selector: Any, labels: Mapping[str, Any]) -> bool:
    """Whether a label selector chooses what has these labels; an empty one chooses all."""
    for wanted in mappings(mapping(selector).get("matchExpressions")):
        key, values = wanted.get("key"), wanted.get("values") or ()
        holds = {
            "In": labels.get(str(key)) in values, "NotIn": labels.get(str(key)) not in values,
            "Exists": key in labels, "DoesNotExist": key not in labels,
        }  # fmt: skip
        if not holds.get(str(wanted.get("operator")), False):
            return False
    return mapping(mapping(selector).get("matchLabels")).items() <= labels.items()


def leads_to(service: Object, labels: Mapping[str, Any]) -> bool:
    """Whether a Service leads to pods with these labels."""
    selector = mapping(mapping(service.raw.get("spec")).get("selector"))
    return bool(selector) and selector.items() <= labels.items()


def container_port(port: Document, spec: Document) -> tuple[int, str]:
    """Return number and name of the pods' port that a Service's port leads to; 0 for a name that they do not have."""
    target = port.get("targetPort") or port.get("port")
    known = [p for c in mappings(spec.get("containers")) for p in mappings(c.get("ports"))]
    if isinstance(target, str):
        number = next((p.get("containerPort") for p in known if p.get("name") == target), 0)
        return int(number or 0), target
    names = (str(p["name"]) for p in known if p.get("containerPort") == target and p.get("name"))
    return int(target or 0), next(names, "")


def carried(port: Document) -> bool:
    return bool(port.get("protocol", "TCP") == "TCP")


def chosen(wanted: str, services: Iterable[Object], spec: Document) -> Port:
    """Return the port that LOCAL:SERVICE means: SERVICE is the number or the name of a port of a Service of the pods.

    Raise UsageError for what is none, with those that there are.
    """
    local, colon, service = wanted.partition(":")
    ports = [p for s in services for p in mappings(s.raw["spec"].get("ports")) if carried(p)]
    if not (colon and local.isdecimal() and 0 < int(local) < 1 << 16):
        raise UsageError(f"--port {wanted}: is not LOCAL:SERVICE, the numbers of a local port and of a Service's port")
    meant = {container_port(p, spec) for p in ports if service in (str(p.get("port")), p.get("name"))}
    meant = {(number, name) for number, name in meant if number}
    if len(meant) != 1:
        there = ", ".join(sorted({f"{p['port']}" + (f" ({p['name']})" if p.get("name") else "") for p in ports}))
        why = "leads to several ports of the pods" if meant else "is no port of a Service that leads to the pods"
        raise UsageError(f"--port {wanted}: {service or 'nothing'} {why}; there are: {there or 'none'}")
    return Port(int(local), *meant.pop())


def led(service: Object, ports: Iterable[Port], spec: Document) -> list[tuple[Document, int]]:
    """Return the ports of a Service that lead to one of these, each with the local port that takes its traffic."""
    local = {port.container: port.local for port in ports}
    there = [(p, container_port(p, spec)[0]) for p in mappings(service.raw["spec"].get("ports")) if carried(p)]
    return [(p, local[number]) for p, number in there if number in local]


def slices(
    services: Iterable[Object], ports: Iterable[Port], spec: Document, address: str, node: str, owner: Object
) -> Iterator[Document]:
    """Yield an EndpointSlice for each Service that leads to one of these ports: an address of this machine.

    It is said to be on a node, for Services that keep traffic on a node go by that.
    """
    given = [*ports]
    reference = {"kind": owner.kind, "name": owner.id.name, "namespace": owner.id.namespace, "uid": owner.meta["uid"]}
    for service in services:
        if not (found := led(service, given, spec)):
            continue
        named = [
            {**({"name": p["name"]} if p.get("name") else {}), "port": local, "protocol": "TCP"} for p, local in found
        ]
        yield {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": f"{service.id.name}{SUFFIX}",
                "namespace": service.id.namespace,
                "labels": {SERVICE_NAME: service.id.name, SLICE_BY: MANAGER, ATTACHED: owner.id.name},
            },
            "addressType": "IPv4",
            "endpoints": [{
                "addresses": [address], "conditions": {"ready": True}, "nodeName": node, "targetRef": reference,
            }],
            "ports": named,
        }  # fmt: skip


def misled(services: Iterable[Object], ports: Iterable[Port], spec: Document) -> list[str]:
    """Return what to say of Services without an address of their own, whose clients choose the port themselves."""
    given = [*ports]
    return [
        f"service {s.id.name} has no address of its own (clusterIP: None), so its clients connect to port {p['port']}\n"
        f"hint: --port {p['port']}:{p['port']}"
        for s in services
        if mapping(s.raw.get("spec")).get("clusterIP") == "None"
        for p, local in led(s, given, spec)
        if local != p["port"]
    ]


def policies(
    there: Iterable[Object], pod: Object, space: Mapping[str, Any], ports: Iterable[Port], address: str
) -> Iterator[Document]:
    """Yield a NetworkPolicy for each that lets pods reach the workload, for the same pods: they may reach this machine.

    `space` has the labels of the workload's namespace. Such a policy isolates no pod that is not isolated already.
    """
    given = [*ports]
    for policy in there:
        spec = mapping(policy.raw.get("spec"))
        if "Egress" not in (spec.get("policyTypes") or (("Egress",) if "egress" in spec else ())):
            continue
        inside = policy.id.namespace == pod.id.namespace
        open_ = [p for p in given if any(lets(r, p, pod, space, inside) for r in mappings(spec.get("egress")))]
        if open_:
            yield {
                "apiVersion": "networking.k8s.io/v1",
                "kind": "NetworkPolicy",
                "metadata": {
                    "name": f"{policy.id.name[: LONGEST_NAME - len(SUFFIX)]}{SUFFIX}",
                    "namespace": policy.id.namespace,
                    "labels": {ATTACHED: pod.id.name},
                },
                "spec": {
                    "podSelector": spec.get("podSelector") or {},
                    "policyTypes": ["Egress"],
                    "egress": [{
                        "to": [{"ipBlock": {"cidr": f"{address}/32"}}],
                        "ports": [{"port": p.local, "protocol": "TCP"} for p in open_],
                    }],
                },
            }  # fmt: skip


def lets(rule: Document, port: Port, pod: Object, space: Mapping[str, Any], inside: bool) -> bool:
    """Whether a rule lets its pods reach a port of the workload's; `inside` are pods of the same namespace."""
    asked = mappings(rule.get("ports"))
    if asked and not any(is_of(one, port) for one in asked):
        return False
    labels = mapping(pod.meta.get("labels"))
    peers = [p for p in mappings(rule.get("to")) if "ipBlock" not in p]
    if not rule.get("to"):
        return True
    return any(
        (matches(p["namespaceSelector"], space) if "namespaceSelector" in p else inside)
        and matches(p.get("podSelector"), labels)
        for p in peers
    )


def is_of(asked: Document, port: Port) -> bool:
    if not carried(asked):
        return False
    number = asked.get("port")
    if number is None or number in (port.container, port.name):
        return True
    end = asked.get("endPort")
    return isinstance(number, int) and isinstance(end, int) and number <= port.container <= end
