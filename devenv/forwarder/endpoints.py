"""The pods behind a Service, from its EndpointSlices."""

from devenv.forwarder.spec import Pod
from devenv.forwarder.watch import Object, Watch

SERVICE = "kubernetes.io/service-name"  # the label by which a slice names its Service
ATTACHED = "devenv/attached"  # the label of one that leads to a process of this machine (kube/attachment.py)


def path(namespace: str) -> str:
    """Return where the API has the slices of a namespace."""
    return f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"


def pods(slices: Watch, service: str, port_name: str) -> list[Pod]:
    """Return the pods behind a port of a Service, the ready ones first."""
    mine = [s for s in slices.objects if (s["metadata"].get("labels") or {}).get(SERVICE) == service]
    return sorted({pod for piece in mine for pod in pods_of(piece, port_name)}, key=lambda pod: (not pod.ready, pod))


def pods_of(piece: Object, port_name: str) -> list[Pod]:
    """Return the pods of an EndpointSlice, or the workload whose place a process of this machine has taken.

    A ready condition that is not told counts as true (discovery.k8s.io/v1).
    """
    attached = ATTACHED in ((piece.get("metadata") or {}).get("labels") or {})
    named = [p for p in piece.get("ports") or () if (p.get("name") or "") == port_name]
    ports = [p["port"] for p in named if p.get("port") and p.get("protocol", "TCP") == "TCP"]
    found = []
    for endpoint in piece.get("endpoints") or ():
        target, addresses = endpoint.get("targetRef") or {}, endpoint.get("addresses")
        if ports and addresses and (attached or target.get("kind") == "Pod") and target.get("name"):
            ready = (endpoint.get("conditions") or {}).get("ready") is not False
            found.append(Pod(target["name"], target.get("uid", ""), addresses[0], ports[0], ready))
    return found
