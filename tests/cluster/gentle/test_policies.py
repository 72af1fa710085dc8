"""The arrows of the component map, and no other, on the real cluster; what its namespace admits; what etcd holds."""

import base64
import errno
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.cluster.environment import Environment, docker, free_ports
from tests.waiting import eventually

HOME, INGRESS, ELSEWHERE = "somabrain-prod", "ingress-nginx", "policies-elsewhere"
PORTS = {"somabrain": 9696, "postgres": 5432, "sb-redis": 6379, "sb-opa": 8181}
# Who may connect to whom: k8s/base/network-policies.yaml, in other words.
ARROWS = {
    "ingress": {"somabrain", "dns"},  # of a namespace where nothing is denied, as is the foreigner
    "somabrain": {"postgres", "sb-redis", "sb-opa", "dns"},
    "somabrain-migrate": {"postgres", "dns"},
    "postgres": set[str](),
    "sb-redis": set[str](),
    "sb-opa": set[str](),
    "stranger": set[str](),  # of the same namespace, without a role
    "foreigner": {"dns"},  # of a namespace without a role
}
IP = "jsonpath={.items[0].status.podIP}"
# A dropped packet is sent again after one second and after three: what does not open in this time is closed.
ASK = """
import json, socket, sys
from concurrent.futures import ThreadPoolExecutor
def opens(target):
    try:
        socket.create_connection(tuple(target), timeout=6).close()
        return True
    except OSError:
        return False
targets = json.loads(sys.argv[1])
with ThreadPoolExecutor(len(targets)) as pool:
    print(json.dumps(dict(zip(targets, pool.map(opens, targets.values())))))
"""


def node_image(stack: Environment) -> str:
    return docker("inspect", "--format", "{{.Config.Image}}", stack.node)


def place(role: str) -> str:
    return {"ingress": INGRESS, "foreigner": ELSEWHERE}.get(role, HOME)


def pod(role: str, image: str, **changes: Any) -> dict[str, Any]:
    """Return a pod with the labels of a role. It is never ready, so that no Service leads to it."""
    container = {
        "name": "probe",
        "image": image,
        "command": ["sleep", "600"],
        "readinessProbe": {"exec": {"command": ["false"]}},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    secure = {"runAsNonRoot": True, "runAsUser": 10001, "seccompProfile": {"type": "RuntimeDefault"}}
    spec = {"containers": [container], "securityContext": secure, "terminationGracePeriodSeconds": 0}
    meta = {"name": f"probe-{role}", "namespace": place(role), "labels": {"app": role, "probe": "policies"}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": {**spec, **changes}}


def apply(stack: Environment, *documents: dict[str, Any], words: tuple[str, ...] = ()) -> str:
    argv = ["kubectl", "--kubeconfig", str(stack.kubeconfig), "apply", *words, "-f", "-"]
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": documents})
    done = subprocess.run(argv, input=text, text=True, capture_output=True, env=stack.variables, check=False)
    return done.stdout if done.returncode == 0 else done.stderr


@pytest.fixture
def probes(stack: Environment) -> Iterator[None]:
    there = stack.kubectl("get", "namespaces", "-o", "name").split()
    made = [name for name in (INGRESS, ELSEWHERE) if f"namespace/{name}" not in there]
    for name in made:
        stack.kubectl("create", "namespace", name)
    image = stack.kubectl("-n", HOME, "get", "deployment", "somabrain", "-o", "jsonpath={..containers[0].image}")
    apply(stack, *(pod(role, image) for role in ARROWS))
    for role in ARROWS:
        running = ("--for=jsonpath={.status.phase}=Running", "--timeout=120s")
        stack.kubectl("-n", place(role), "wait", f"pod/probe-{role}", *running)
    yield
    stack.kubectl("delete", "pods", "--all-namespaces", "-l", "probe=policies")
    for name in made:
        stack.kubectl("delete", "namespace", name)


@pytest.mark.usefixtures("probes")
def test_the_arrows_of_the_map_are_open_and_all_others_closed(stack: Environment) -> None:
    targets: dict[str, tuple[str, int]] = {}
    for name, port in PORTS.items():
        address = stack.kubectl("-n", HOME, "get", "pods", "-l", f"app={name},probe!=policies", "-o", IP)
        targets[name] = (address, port)
    targets["dns"] = (stack.kubectl("-n", "kube-system", "get", "pods", "-l", "k8s-app=kube-dns", "-o", IP), 53)
    assert all(address for address, _ in targets.values())

    def opened(role: str) -> set[str]:
        # Not itself: a pod reaches itself without the network.
        others = {name: target for name, target in targets.items() if name != role}
        words = ("python3", "-c", ASK, json.dumps(others))
        answer = json.loads(stack.kubectl("-n", place(role), "exec", f"probe-{role}", "--", *words))
        return {name for name, is_open in answer.items() if is_open}

    with ThreadPoolExecutor(len(ARROWS)) as pool:
        assert dict(zip(ARROWS, pool.map(opened, ARROWS), strict=True)) == ARROWS


def accepts(host: str, port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((host, port)) == 0


@pytest.mark.usefixtures("probes")
def test_nothing_leaves_the_namespace_but_to_dns(stack: Environment) -> None:
    """The node's own address is let through by Kubernetes; that of the machine around it is outside."""
    gateways = docker("inspect", "--format", "{{range .NetworkSettings.Networks}}{{.Gateway}} {{end}}", stack.node)
    outside = gateways.split()[0]
    (port,) = free_ports(1)
    server = subprocess.Popen([sys.executable, "-m", "http.server", str(port), "--bind", outside])
    try:
        eventually(lambda: accepts(outside, port))
        ask = ("python3", "-c", ASK, json.dumps({"outside": (outside, port)}))
        said = {r: stack.kubectl("-n", place(r), "exec", f"probe-{r}", "--", *ask) for r in ("foreigner", "somabrain")}
        assert json.loads(said["foreigner"]) == {"outside": True}
        assert json.loads(said["somabrain"]) == {"outside": False}
    finally:
        server.terminate()
        server.wait()


@pytest.mark.usefixtures("probes")
def test_a_service_s_address_that_nobody_serves_leads_nowhere(stack: Environment) -> None:
    """On a node of ours. Before kube-proxy has written its rules, all of them are such addresses."""
    ours = node_image(stack).startswith("devenv.local/node:")
    ask = "import socket; print(socket.socket().connect_ex(('10.96.255.254', 443)))"
    answer = stack.kubectl("-n", ELSEWHERE, "exec", "probe-foreigner", "--", "timeout", "5", "python3", "-c", ask)
    assert int(answer) == errno.ECONNREFUSED or not ours
    bash = "timeout 5 bash -c 'true >/dev/tcp/10.96.255.254/443' 2>&1 || true"
    assert "Connection refused" in docker("exec", stack.node, "bash", "-c", bash) or not ours


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"securityContext": {}}, "runAsNonRoot"),
        ({"hostNetwork": True}, "hostNetwork"),
        ({"volumes": [{"name": "host", "hostPath": {"path": "/"}}]}, "hostPath"),
    ],
)
def test_the_namespace_admits_restricted_pods_only(stack: Environment, changes: dict[str, Any], why: str) -> None:
    dry = ("--dry-run=server",)
    refused = apply(stack, pod("stranger", "none", **changes), words=dry)
    assert 'violates PodSecurity "restricted' in refused
    assert why in refused
    assert "created" in apply(stack, pod("stranger", "none"), words=dry)


def test_etcd_holds_secrets_encrypted(stack: Environment) -> None:
    """On a node of ours. A released node image is taken as it is, and its Secrets are plain: docs/production.md."""
    ours = node_image(stack).startswith("devenv.local/node:")
    secret = json.loads(stack.kubectl("-n", HOME, "get", "secret", "somabrain-postgres", "-o", "json"))
    assert secret["data"]["POSTGRES_PASSWORD"]
    raw = read_etcd(stack, f"/registry/secrets/{HOME}/somabrain-postgres")
    assert (b"k8s:enc:secretbox:v1:cluster:" in raw) is ours
    assert (b"POSTGRES_PASSWORD" not in raw) is ours
    assert b"sb-opa-policy" in read_etcd(stack, f"/registry/configmaps/{HOME}/sb-opa-policy")


def read_etcd(stack: Environment, key: str) -> bytes:
    """Return what etcd has under a key, by its own JSON interface."""
    pki = "/etc/kubernetes/pki/etcd"
    who = ("--cacert", f"{pki}/ca.crt", "--cert", f"{pki}/server.crt", "--key", f"{pki}/server.key")
    question = json.dumps({"key": base64.b64encode(key.encode()).decode()})
    url = "https://127.0.0.1:2379/v3/kv/range"
    answer = json.loads(docker("exec", stack.node, "curl", "--silent", "--fail", *who, "--data", question, url))
    return base64.b64decode(answer["kvs"][0]["value"])
