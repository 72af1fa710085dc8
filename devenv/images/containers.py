"""The containers and networks of kind clusters, as Docker has them."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from devenv.images.daemon import client, explained

KIND_CLUSTER = "io.x-k8s.kind.cluster"  # kind's own label on the containers of a cluster
OURS = "devenv.cluster"  # our label on a cluster's network: what is attached to it is ours


@dataclass(frozen=True)
class Container:
    """What devenv needs to know of a container."""

    name: str
    running: bool
    paused: bool
    networks: frozenset[str]
    started: datetime


def cluster_container(cluster: str) -> Container | None:
    """Return the control-plane container of a kind cluster, whether devenv made it or not."""
    with explained("list containers"):
        found = client().api.containers(all=True, filters={"label": f"{KIND_CLUSTER}={cluster}"})
    for listed in found:
        if listed["Labels"].get("io.x-k8s.kind.role") == "control-plane":
            with explained("inspect the node"):
                seen: dict[str, Any] = client().containers.get(listed["Id"]).attrs
            # To the second, as Kubernetes tells when a container started.
            started = datetime.fromisoformat(seen["State"]["StartedAt"][:19]).replace(tzinfo=UTC)
            networks = frozenset(seen["NetworkSettings"]["Networks"])
            state = seen["State"]
            return Container(seen["Name"].lstrip("/"), state["Running"], state["Paused"], networks, started)
    return None


def gateway(container: Container, network: str) -> str:
    """Return the address of Docker's machine in a network of a container, or an empty string."""
    with explained(f"inspect {container.name}"):
        seen = client().containers.get(container.name).attrs["NetworkSettings"]["Networks"]
    return str((seen.get(network) or {}).get("Gateway") or "")


def cluster_containers() -> dict[str, float]:
    """Return each kind cluster of the host, whoever made it, with when its control plane was (epoch seconds)."""
    with explained("list containers"):
        found = client().api.containers(all=True, filters={"label": KIND_CLUSTER})
    heads = (c for c in found if c["Labels"].get("io.x-k8s.kind.role") == "control-plane")
    return {str(c["Labels"][KIND_CLUSTER]): float(c["Created"]) for c in heads}


def our_networks() -> list[str]:
    """Return the clusters whose networks are ours."""
    with explained("list networks"):
        found = client().api.networks(filters={"label": OURS})
    return sorted(str(network["Labels"][OURS]) for network in found)


def has_file(container: str, path: str) -> bool:
    """Whether a container, running or not, has the file."""
    import docker

    with explained(f"look into {container}"):
        try:
            client().api.get_archive(container, path)
        except docker.errors.NotFound:
            return False
        return True


def start(container: Container) -> None:
    with explained(f"start {container.name}"):
        if container.paused:
            client().api.unpause(container.name)
        else:
            client().api.start(container.name)


def pause(container: Container) -> None:
    """Freeze all processes of a container: they keep their memory and get no processor."""
    with explained(f"pause {container.name}"):
        client().api.pause(container.name)


def stop(container: Container, within_s: int) -> None:
    """Ask a container to end, and end it by force where it has not after so long."""
    with explained(f"stop {container.name}"):
        client().api.stop(container.name, timeout=within_s)


def remove_cluster(cluster: str) -> None:
    """Remove the containers of a kind cluster with their anonymous volumes. No container is no error."""
    remove_labelled(f"{KIND_CLUSTER}={cluster}", f"remove cluster {cluster}")


def remove_labelled(label: str, doing: str) -> None:
    with explained(doing):
        for seen in client().api.containers(all=True, filters={"label": label}):
            client().api.remove_container(seen["Id"], v=True, force=True)


def is_our_network(name: str) -> bool:
    with explained("list networks"):
        return any(n["Name"] == name for n in client().api.networks(filters={"label": OURS}))


def make_network(name: str, cluster: str) -> None:
    """Make the network of a cluster, marked as ours, where it does not exist."""
    if not is_our_network(name):
        with explained(f"create network {name}"):
            client().api.create_network(name, driver="bridge", check_duplicate=True, labels={OURS: cluster})


def remove_network(name: str) -> None:
    if is_our_network(name):
        with explained(f"remove network {name}"):
            client().api.remove_network(name)
