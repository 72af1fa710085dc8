"""A cluster that devenv did not make: kind nodes and a registry from which they pull, as kind documents both.

The node image's static network and its folders as volumes serve one node. Here each node is told the range of its pods
and the ways to the others', which on somebody's cluster is the affair of a CNI plugin, and volumes are on the first.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.cluster import registry as registries
from tests.cluster.environment import CHECKOUT, FIRST_UP_S, Environment, copied, docker, go_first, node_address, path

EVERYWHERE = "0.0.0.0"  # noqa: S104  the nodes reach this host by the gateway of their network
# Written into a node: the range of its pods, the ways to the other nodes', and where the registry is from there. What
# goes from pod to pod keeps its address, by which NetworkPolicies know it.
NETWORK = r"""set -eu
sed -i 's|"subnet": "[^"]*"|"subnet": "{own}"|; s|"ipMasq": true|"ipMasq": false|' /etc/cni/net.d/10-devenv.conflist
iptables --wait --table nat --append POSTROUTING --source {pods} ! --destination {pods} --jump MASQUERADE
{routes}
ip route replace unreachable {own}
mkdir -p "/etc/containerd/certs.d/{registry}"
printf '[host."http://{gateway}"]\n' >"/etc/containerd/certs.d/{registry}/hosts.toml"
"""
PODS = "10.244.0.0/16"  # kind's own choice
READY_WITHIN_S = 120


@dataclass(frozen=True)
class Foreign:
    """Somebody's cluster, with a kubeconfig of its own that names it, and the registry that its nodes know."""

    context: str
    kubeconfig: Path
    registry: str
    nodes: tuple[str, ...]  # containers; the first one has the API server

    def kubectl(self, *args: str, stdin: str = "") -> str:
        argv = ["kubectl", "--kubeconfig", str(self.kubeconfig), "--context", self.context, *args]
        environ = {**os.environ, "PATH": path()}
        done = subprocess.run(argv, text=True, capture_output=True, check=False, env=environ, input=stdin)
        assert done.returncode == 0, f"{' '.join(argv)}\n{done.stdout}{done.stderr}"
        return done.stdout

    @property
    def address(self) -> str:
        """The API server's address that is not this machine's own."""
        return f"https://{node_address(self.nodes[0])}:6443"


def flags(there: Foreign) -> tuple[str, ...]:
    return ("--context", there.context, "--registry", there.registry)


@contextmanager
def running(name: str, port: int, folder: Path, count: int) -> Iterator[Foreign]:
    """Make the cluster and its registry, and take both down. What a killed run has left is removed first."""
    registry, kubeconfig = f"127.0.0.1:{port}", folder / "kubeconfig"
    nodes = (f"{name}-control-plane", f"{name}-worker", f"{name}-worker2")[:count]
    remove(name)
    image = node_image(name, folder)
    try:
        docker("network", "create", name)
        with registries.serving(folder, EVERYWHERE, port):
            create(name, image, kubeconfig, count)
            go_first(*nodes)
            there = Foreign(f"kind-{name}", kubeconfig, registry, nodes)
            join(there, port)
            yield there
    finally:
        remove(name)


def remove(name: str) -> None:
    if containers := docker("ps", "--all", "--quiet", "--filter", f"label=io.x-k8s.kind.cluster={name}"):
        docker("rm", "--force", "--volumes", *containers.split())
    with suppress(subprocess.CalledProcessError):
        docker("network", "rm", name)


def node_image(name: str, folder: Path) -> str:
    """Return the image of devenv's own nodes, built where it is not there."""
    root = copied(CHECKOUT / "tests/projects/hello", folder / "node", ("pyproject.toml", "app", "k8s"))
    env = Environment(name, root, {})
    env.fine("images", "build", "devenv.node", within_s=FIRST_UP_S)
    rows = json.loads(env.fine("images", "list", "-o", "json"))
    env.fine("down")
    return next(str(row["ref"]) for row in rows if row["name"] == "devenv.node")


def create(name: str, image: str, kubeconfig: Path, count: int) -> None:
    """Let kind itself make the cluster, with what our node image needs of kubeadm."""
    config = yaml.safe_load((CHECKOUT / "devenv/cluster/node_images/kind.yaml").read_text())
    config["nodes"] = [{"role": "control-plane"}, *([{"role": "worker"}] * (count - 1))]
    argv = ["kind", "create", "cluster", "--name", name, "--image", image, "--kubeconfig", str(kubeconfig)]
    environ = {**os.environ, "PATH": path(), "KIND_EXPERIMENTAL_DOCKER_NETWORK": name}
    done = subprocess.run(
        [*argv, "--config", "-"], input=yaml.safe_dump(config), env=environ, text=True, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr


def join(there: Foreign, port: int) -> None:
    """Give each node its network, and wait for all to be ready."""
    first = there.nodes[0]
    # The engine of NetworkPolicies looks for an API server on its own node.
    there.kubectl(
        "-n", "kube-system", "set", "env", "daemonset/policies", f"KUBERNETES_SERVICE_HOST={node_address(first)}"
    )
    if len(there.nodes) > 1:
        volumes_on(there, first)
    ranges = {node: pod_range(there, node) for node in there.nodes}
    network = there.context.removeprefix("kind-")
    gateway = docker("network", "inspect", "--format", "{{(index .IPAM.Config 0).Gateway}}", network)
    for node, own in ranges.items():
        routes = [f"ip route replace {r} via {node_address(n)}" for n, r in ranges.items() if n != node]
        script = NETWORK.format(
            pods=PODS, own=own, routes="\n".join(routes), registry=there.registry, gateway=f"{gateway}:{port}"
        )
        docker("exec", node, "bash", "-c", script)
    # A pod from before has an address of another node's range.
    there.kubectl("-n", "kube-system", "delete", "pods", "--selector", "k8s-app=kube-dns")
    for what, condition in (("nodes", "Ready"), ("deployments", "Available")):
        where = [] if what == "nodes" else ["-n", "kube-system"]
        there.kubectl("wait", *where, what, "--all", f"--for=condition={condition}", f"--timeout={READY_WITHIN_S}s")


def volumes_on(there: Foreign, node: str) -> None:
    """Let pods with volumes go where those are made."""
    there.kubectl("taint", "node", node, "node-role.kubernetes.io/control-plane-")
    storage = json.loads(there.kubectl("get", "storageclass", "standard", "--output", "json"))
    here = [{"key": "kubernetes.io/hostname", "values": [node]}]
    storage["allowedTopologies"] = [{"matchLabelExpressions": here}]
    there.kubectl("replace", "--force", "--filename", "-", stdin=json.dumps(storage))


def pod_range(there: Foreign, node: str) -> str:
    """Return the range of a node's pods, which the controller manager gives it soon after it has joined."""
    there.kubectl("wait", "node", node, "--for=jsonpath={.spec.podCIDR}", f"--timeout={READY_WITHIN_S}s")
    return there.kubectl("get", "node", node, "--output", "jsonpath={.spec.podCIDR}")
