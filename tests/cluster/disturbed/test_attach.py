"""A process on this machine in the place of the API: the cluster's traffic reaches it, and the pods come back."""

import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import psycopg

from tests.cluster.environment import SHORT_S, Environment, free_ports
from tests.cluster.following import Told
from tests.cluster.service import NAMESPACE, answers, pods, until

# It answers everything, and tells of itself what it has of the pod's environment.
SERVER = """
import http.server, json, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        told = {"ok": True, "local": os.getpid(), "path": self.path, "dsn": os.environ["SOMABRAIN_POSTGRES_DSN"]}
        body = json.dumps(told).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
http.server.ThreadingHTTPServer((os.environ["DEVENV_ATTACH_ADDRESS"], int(sys.argv[1])), Handler).serve_forever()
"""


@contextmanager
def attached(stack: Environment) -> Iterator[Told]:
    """Have a process in the place of the API until the block ends, which says itself how it is ended."""
    (port,) = free_ports(1)
    words = ("attach", "somabrain", "--port", f"{port}:9696", "--", sys.executable, "-c", SERVER, str(port))
    child = stack.start(*words)
    try:
        told = Told(child)
        told.after(0, "traffic of", SHORT_S)
        yield told
    finally:
        if child.poll() is None:
            child.send_signal(signal.SIGTERM)
        child.wait(120)


def by_forward(stack: Environment) -> dict[str, object]:
    return dict(httpx.get(f"http://127.0.0.1:{stack.ports['api']}/health", timeout=60, trust_env=False).json())


def by_ingress(stack: Environment) -> dict[str, object]:
    """Ask as who is outside does: NGINX, a pod of the cluster with policies of its own, asks the Service."""
    with httpx.Client(verify=False, timeout=60, trust_env=False) as client:  # noqa: S501  its CA is another test's affair
        host = "somabrain.internal"
        url = f"https://127.0.0.1:{stack.ports['https']}/health"
        return dict(client.get(url, headers={"Host": host}, extensions={"sni_hostname": host}).json())


def left(stack: Environment) -> list[str]:
    """What is in the cluster of a process that has taken a place."""
    found = stack.objects("-A", "endpointslices,networkpolicies", "-l", "devenv/attached")
    return [str(o["metadata"]["name"]) for o in found]


def is_back(stack: Environment) -> None:
    stack.fine("wait", "deploy/somabrain", "--timeout", "180s")
    until(lambda: answers(stack) and "local" not in by_forward(stack), "the pod answers")
    assert len(pods(stack)) == 1
    assert left(stack) == []
    assert stack.plan() == ""


def test_the_cluster_s_traffic_reaches_the_process_and_ctrl_c_brings_the_pods_back(stack: Environment) -> None:
    with attached(stack) as told:
        assert pods(stack) == []
        seen = by_ingress(stack)
        assert seen["path"] == "/health"
        until(lambda: by_forward(stack).get("local") == seen["local"], "the forward leads there too")
        dsn = str(seen["dsn"])
        assert f"@127.0.0.1:{stack.ports['postgres']}/" in dsn
        with psycopg.connect(dsn, connect_timeout=30) as sql:
            assert sql.execute("SELECT 1").fetchone() == (1,)
        assert "SOMABRAIN_OPA_URL names sb-opa:8181, to which no forward leads" in "".join(told.lines)
        stack.fine("env")  # every local port is proven, this one too
        status = json.loads(stack.run("status", "-o", "json").stdout)
        (record,) = status["attached"]
        assert (record["workload"], record["alive"]) == ("deployment/somabrain", True)
        planned = stack.run("plan").stdout
        assert "detach deployment/somabrain: a local process took its place" in planned
        refused = stack.run("up")
        assert refused.returncode == 1
        assert "is under way" in refused.stderr
        told.child.send_signal(signal.SIGINT)
        assert told.child.wait(120) == 130, "".join(told.lines)
        assert "has its place back" in "".join(told.lines)
    is_back(stack)


def test_after_sigkill_the_next_up_gives_the_place_back_and_says_so(stack: Environment) -> None:
    with attached(stack) as told:
        told.child.kill()
        told.child.wait(60)
    assert left(stack)
    (record,) = json.loads(stack.run("status", "-o", "json").stdout)["attached"]
    assert record["alive"] is False
    up = stack.run("up", within_s=SHORT_S)
    assert up.returncode == 0, up.stderr
    assert "detach deployment/somabrain: a local process took its place" in up.stderr
    is_back(stack)


def test_a_client_of_the_namespace_reaches_it_by_a_policy_beside_its_own(stack: Environment) -> None:
    """Nobody of the stack's namespace may reach the API; whoever is let may reach the process at its one port."""
    peer = [{"podSelector": {"matchLabels": {"app": "somabrain"}}}]
    policy = {
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "redis-asks"},
        "spec": {"podSelector": {"matchLabels": {"app": "sb-redis"}}, "policyTypes": ["Egress"],
                 "egress": [{"to": peer, "ports": [{"port": 9696}]}]},
    }  # fmt: skip
    kubectl = f"kubectl --kubeconfig {stack.kubeconfig} -n {NAMESPACE}"
    stack.by_itself(f"{kubectl} apply -f - <<'END'\n{json.dumps(policy)}\nEND")
    try:
        with attached(stack):
            assert "redis-asks-attached" in left(stack)
            service = stack.kubectl("-n", NAMESPACE, "get", "service", "somabrain", "-o", "jsonpath={.spec.clusterIP}")
            (redis,) = pods(stack, "sb-redis")
            # redis-cli is what the image has: of an HTTP server it says that its answer is not Redis's.
            asked = f"timeout 20 redis-cli -h {service} -p 9696 PING"
            said = stack.by_itself(f"{kubectl} exec {redis['metadata']['name']} -- {asked} 2>&1 || true")
            assert "rotocol error" in said, said
        assert "redis-asks-attached" not in left(stack)
    finally:
        stack.kubectl("-n", NAMESPACE, "delete", "networkpolicy", "redis-asks")
    is_back(stack)
