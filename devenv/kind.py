"""The kind cluster: its node container, its network, its kubeconfig."""

from datetime import datetime
from importlib.resources import files

from devenv import context, docker_host, process
from devenv.errors import DevenvError
from devenv.plan import Cluster
from devenv.state import Folder

CREATE_WITHIN_S = 300.0
# Written into the node when its creation is complete: a container alone may be half a cluster.
FINISHED = "/kind/devenv-finished"


def network(cluster: str) -> str:
    """Return the name of the cluster's own Docker network. What is attached to it was made by us."""
    return f"devenv-{cluster}"


def node(cluster: str) -> str:
    return f"{cluster}-control-plane"


def observe(cluster: str) -> Cluster:
    """Return the state of the cluster as its container shows it."""
    container = docker_host.cluster_container(cluster)
    if container is None:
        return Cluster.ABSENT
    if network(cluster) not in container.networks or not docker_host.is_our_network(network(cluster)):
        return Cluster.FOREIGN
    if not docker_host.has_file(container.name, FINISHED):
        return Cluster.UNFINISHED
    return Cluster.RUNNING if container.running else Cluster.STOPPED


def started(cluster: str) -> datetime:
    """Return when the node last started; what the API tells of containers from before is out of date."""
    container = docker_host.cluster_container(cluster)
    if container is None:
        raise DevenvError(f"cluster {cluster} is gone")
    return container.started


def create(cluster: str, image: str, namespace: str, where: Folder) -> None:
    """Create the cluster from a node image; a half-made one is removed first."""
    docker_host.remove_cluster(cluster)
    docker_host.make_network(network(cluster), cluster)
    configuration = files("devenv").joinpath("cluster/kind.yaml").read_bytes()
    argv = [process.find("kind"), "create", "cluster", "--name", cluster, "--image", image, "--config", "-"]
    where.make()
    process.run(
        [*argv, "--kubeconfig", str(where.kubeconfig)],
        env={"KIND_EXPERIMENTAL_DOCKER_NETWORK": network(cluster), "KIND_EXPERIMENTAL_PROVIDER": "docker"},
        stdin=configuration,
        log=where.log("cluster"),
        within_s=CREATE_WITHIN_S,
    )
    write_kubeconfig(cluster, namespace, where)
    process.run(["docker", "exec", node(cluster), "touch", FINISHED])


def write_kubeconfig(cluster: str, namespace: str, where: Folder) -> None:
    """Write the environment's own kubeconfig, with its namespace as the default; the person's is never touched."""
    import yaml

    config = yaml.safe_load(process.run([process.find("kind"), "get", "kubeconfig", "--name", cluster]))
    context.write(yaml.safe_dump(context.in_namespace(config, namespace)), where)


def start(cluster: str) -> None:
    docker_host.start(node(cluster))


def remove(cluster: str) -> None:
    """Remove the cluster with its data and its network. Needs no network and no kind program."""
    docker_host.remove_cluster(cluster)
    docker_host.remove_network(network(cluster))


def refuse_foreign(cluster: str) -> DevenvError:
    return DevenvError(
        f"a kind cluster named {cluster} exists that devenv did not make; it is left alone.\n"
        f"Choose another `name` in [tool.devenv] (or DEVENV_NAME), or remove it: kind delete cluster --name {cluster}"
    )
