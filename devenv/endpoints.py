"""Which pods are behind a Service, as its EndpointSlices tell."""

from dataclasses import dataclass

from devenv.watch import Object, Watch

SERVICE = "kubernetes.io/service-name"  # the label by which a slice names its Service


def path(namespace: str) -> str:
    """Return where the API has the slices of a namespace."""
    return f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"


@dataclass(frozen=True, order=True)
class Pod:
    """An endpoint of a Service. `port` is that of the pod."""

    name: str
    uid: str
    address: str
    port: int
    ready: bool


def pods(slices: Watch, service: str, port_name: str) -> list[Pod]:
    """Return the pods behind a port of a Service, the ready ones first."""
    mine = [s for s in slices.objects if (s["metadata"].get("labels") or {}).get(SERVICE) == service]
    return sorted({pod for piece in mine for pod in pods_of(piece, port_name)}, key=lambda pod: (not pod.ready, pod))


def pods_of(piece: Object, port_name: str) -> list[Pod]:
    """Return the pods of an EndpointSlice. A ready condition that is not told counts as true (discovery.k8s.io/v1)."""
    ports = [p["port"] for p in piece.get("ports") or () if (p.get("name") or "") == port_name]
    found = []
    for endpoint in piece.get("endpoints") or ():
        target = endpoint.get("targetRef") or {}
        if ports and target.get("kind") == "Pod":
            ready = (endpoint.get("conditions") or {}).get("ready") is not False
            found.append(Pod(target["name"], target["uid"], endpoint["addresses"][0], ports[0], ready))
    return found
