"""The kind cluster: its node container, its network, its kubeconfig."""

import random
import re
import socket
from contextlib import suppress
from datetime import datetime
from importlib.resources import files

from devenv.cluster import preload
from devenv.cluster.state import Cluster
from devenv.errors import CommandFailed, DevenvError, TimedOut
from devenv.images import containers, endpoint
from devenv.kube import access, kubeconfig
from devenv.system import process
from devenv.system.cancel import Cancel
from devenv.system.state import Folder

CREATE_WITHIN_S = 300.0
# The longest grace period that pods are given, and what the node itself then takes to end.
GRACE_S, HALT_WITHIN_S = 300, 30
REACHES_WITHIN_S = 5
# Written into the node when its creation is complete: a container alone may be half a cluster.
FINISHED = "/kind/devenv-finished"
# For the API server. A port that the kernel gives to clients (on Linux from 32768 on) may be another's when a stopped
# node starts again; those before are for forwards (project/isolation.py).
API_PORTS = range(30000, 32768)
# Docker's words for a port of the node that another program has.
TAKEN = re.compile(r"listen tcp\S* \S*:(\d+): bind: address already in use|Bind for \S*:(\d+) failed: port is already")


def network(cluster: str) -> str:
    """Return the name of the cluster's own Docker network. What is attached to it was made by us."""
    return f"devenv-{cluster}"


def node(cluster: str) -> str:
    return f"{cluster}-control-plane"


def observe(cluster: str) -> Cluster:
    """Return the state of the cluster as its container shows it."""
    container = containers.cluster_container(cluster)
    if container is None:
        return Cluster.ABSENT
    if network(cluster) not in container.networks or not containers.is_our_network(network(cluster)):
        return Cluster.FOREIGN
    if container.paused:  # it answers nothing, not even what files it has
        return Cluster.PAUSED
    if not containers.has_file(container.name, FINISHED):
        return Cluster.UNFINISHED
    return Cluster.RUNNING if container.running else Cluster.STOPPED


def created() -> dict[str, float]:
    """Return the clusters that devenv made on this Docker host, with when (epoch seconds)."""
    found = containers.cluster_containers()
    return {cluster: found[cluster] for cluster in containers.our_networks() if cluster in found}


def started(cluster: str) -> datetime:
    """Return when the node last started; what the API tells of containers from before is out of date."""
    return there(cluster).started


def there(cluster: str) -> containers.Container:
    container = containers.cluster_container(cluster)
    if container is None:
        raise DevenvError(f"cluster {cluster} is gone")
    return container


def create(cluster: str, image: str, namespace: str, folder: Folder, cancel: Cancel) -> None:
    """Create the cluster from a node image, with what is preloaded for it. A half-made one is removed first."""
    containers.make_network(network(cluster), cluster)
    preloaded = preload.found(cluster, image)
    try:
        create_node(cluster, image, preloaded, folder, cancel)
    except CommandFailed:
        if not preloaded:
            raise
        preload.forget(cluster)  # it may be what is broken
        create_node(cluster, image, "", folder, cancel)
    write_kubeconfig(cluster, namespace, folder)
    process.run(["docker", "exec", node(cluster), "touch", FINISHED], env=variables())


def create_node(cluster: str, image: str, preloaded: str, folder: Folder, cancel: Cancel) -> None:
    containers.remove_cluster(cluster)
    argv = [process.find("kind"), "create", "cluster", "--name", cluster, "--image", image, "--config", "-"]
    folder.make()
    process.run(
        [*argv, "--kubeconfig", str(folder.kubeconfig)],
        env={**variables(), "KIND_EXPERIMENTAL_DOCKER_NETWORK": network(cluster)},
        stdin=configuration(preloaded, unused_port()),
        log=folder.log("cluster"),
        within_s=CREATE_WITHIN_S,
        cancel=cancel,
    )


def configuration(preloaded: str, api_port: int) -> bytes:
    """Return kind's configuration of a cluster, whose node has a folder of Docker's machine where one is named."""
    import yaml

    made = yaml.safe_load(files("devenv.cluster").joinpath("node_images/kind.yaml").read_bytes())
    made["networking"]["apiServerPort"] = api_port
    if preloaded:
        made["nodes"][0]["extraMounts"] = [{"hostPath": preloaded, "containerPath": preload.MOUNT, "readOnly": True}]
    return yaml.safe_dump(made).encode()


def unused_port() -> int:
    """Return a port for an API server that nobody here has; 0, which lets kind choose, where all are taken."""
    for port in random.sample(API_PORTS, len(API_PORTS)):
        with socket.socket() as tried, suppress(OSError):
            tried.bind(("127.0.0.1", port))
            return port
    return 0


def variables() -> dict[str, str]:
    """Return what kind and docker need to know of where the cluster is."""
    return {**endpoint.variables(), "KIND_EXPERIMENTAL_PROVIDER": "docker"}


def write_kubeconfig(cluster: str, namespace: str, folder: Folder) -> None:
    """Write the environment's own kubeconfig, with its namespace as the default; the person's is never touched."""
    import yaml

    argv = [process.find("kind"), "get", "kubeconfig", "--name", cluster]
    config = access.parse(process.run(argv, env=variables()))
    kubeconfig.write(yaml.safe_dump(kubeconfig.in_namespace(config, namespace)), folder)


def gateway(cluster: str) -> str:
    """Return the address at which the cluster reaches Docker's machine, or an empty string."""
    return containers.gateway(there(cluster), network(cluster))


def reaches(cluster: str, address: str, port: int) -> bool:
    """Whether the node can connect to an address: a firewall may keep it from this machine."""
    words = ["timeout", str(REACHES_WITHIN_S), "bash", "-c", 'exec 3<>"/dev/tcp/$0/$1"', address, str(port)]
    try:
        process.run(["docker", "exec", node(cluster), *words], env=variables(), within_s=2 * REACHES_WITHIN_S)
    except (CommandFailed, TimedOut):
        return False
    return True


def start(cluster: str) -> None:
    """Start the node. Raise DevenvError, with who is in the way, where its port is taken."""
    try:
        containers.start(there(cluster))
    except DevenvError as error:
        if found := TAKEN.search(str(error)):
            raise taken(cluster, found[1] or found[2]) from error
        raise


def taken(cluster: str, port: str) -> DevenvError:
    return DevenvError(
        f"cluster {cluster} cannot start: another program has its port {port}\n"
        f"hint: end that program (`sudo ss -tanp sport = :{port}` shows it), then: devenv start"
    )


def pause(cluster: str) -> None:
    """Freeze the node. What is on it keeps its memory and its connections, and uses no processor."""
    containers.pause(there(cluster))


def stop(cluster: str) -> list[str]:
    """Stop the node, its pods first; return what had to be ended by force.

    Where the node is only stopped, systemd gives all of it two seconds. Postgres would have to recover then.
    """
    container = there(cluster)
    if container.paused:
        containers.start(container)  # what ends in good order needs the processor for it
    late = end_pods(container.name)
    containers.stop(container, HALT_WITHIN_S)
    return late


def end_pods(node: str) -> list[str]:
    """End the pods of a node, which then halts. Return those that did not end in time."""
    script = files("devenv.cluster").joinpath("end_pods.sh").read_text()
    argv = ["docker", "exec", node, "bash", "-c", script, "end_pods", str(GRACE_S)]
    try:
        return process.run(argv, env=variables(), within_s=GRACE_S + HALT_WITHIN_S).splitlines()
    except (CommandFailed, TimedOut) as error:  # a node image of others may lack what the script needs
        return [f"pods, by the node's own shutdown: {error}"]


def remove(cluster: str) -> None:
    """Remove the cluster with its data and its network. Needs no network and no kind program."""
    containers.remove_cluster(cluster)
    containers.remove_network(network(cluster))


def refuse_foreign(cluster: str) -> DevenvError:
    return DevenvError(
        f"a kind cluster named {cluster} exists and was not created by devenv; refusing to touch it\n"
        f"hint: set another name in [tool.devenv] (or DEVENV_NAME), or: kind delete cluster --name {cluster}"
    )
