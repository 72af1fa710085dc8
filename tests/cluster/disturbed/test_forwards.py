"""The forwards on the real cluster: pods, the kubelet, the API server and the node come and go, the ports stay."""

import errno
import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import httpx
import psutil
import psycopg
import pytest
from redis import Redis

from devenv.forwarder import apiserver, endpoints
from devenv.forwarder.apiserver import ApiError
from devenv.forwarder.connection import LINGER_NONE
from devenv.kube import access
from devenv.kube.address import Cluster
from tests.cluster.environment import Environment, docker, node_address
from tests.cluster.service import until
from tests.cluster.storm import Storm

NAMESPACE = "somabrain-prod"
ALIVE = (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", b"HTTP/1.1 200")
PING = (b"PING\r\n", b"+PONG\r\n")
BIG = 32 << 20


def kubectl(stack: Environment, *words: str) -> str:
    return stack.kubectl("-n", NAMESPACE, *words)


def forwarder(stack: Environment) -> psutil.Process:
    return psutil.Process(int((stack.kubeconfig.parent / "forwards.lock").read_text()))


def kill_forwarder(stack: Environment) -> None:
    process = forwarder(stack)
    process.send_signal(signal.SIGKILL)
    process.wait(10)


@pytest.fixture(params=["node", "api"])
def way(stack: Environment, request: pytest.FixtureRequest) -> Iterator[str]:
    """Both ways have to keep the promise; the rest of the tests go the one that is chosen here, the node's first."""
    via = {"node": "auto", "api": "api"}[request.param]
    stack.fine("forward", "start", "--via", via)
    stack.fine("wait", "all")
    seen = stack.fine("forward", "status")
    there = node_address(stack.node)
    leads = {"node": f" node {there}:", "api": f" api https://{there}:6443 "}[request.param]
    assert seen.count(leads) == len(stack.ports)
    yield request.param
    if via == "api":
        stack.fine("forward", "start")
        stack.fine("wait", "all")


def test_no_connection_to_the_api_fails_while_its_pods_are_replaced(stack: Environment, way: str) -> None:
    with Storm(stack.ports["api"], *ALIVE) as storm:
        kubectl(stack, "delete", "pod", "-l", "app=somabrain", "--wait=false")
        time.sleep(2)
        kubectl(stack, "rollout", "status", "deployment/somabrain", "--timeout=120s")
        kubectl(stack, "rollout", "restart", "deployment/somabrain")
        kubectl(stack, "rollout", "status", "deployment/somabrain", "--timeout=120s")
        if way == "node":
            stack.edit("k8s/images/somabrain/somabrain/__init__.py", '"""', '"""Rolled out. ')
            stack.fine("up")
        time.sleep(3)
    assert storm.failures == []
    assert storm.asked > 200


def test_no_connection_to_redis_fails_while_its_pod_is_replaced(stack: Environment, way: str) -> None:
    with Storm(stack.ports["redis"], *PING) as storm:
        kubectl(stack, "delete", "pod", "-l", "app=sb-redis", "--wait=false")
        time.sleep(2)
        kubectl(stack, "rollout", "status", "deployment/sb-redis", "--timeout=120s")
        time.sleep(3)
    assert storm.failures == [], way
    assert storm.asked > 100


def redis_way(stack: Environment) -> list[str]:
    """Return how the last connection to Redis went: the way's name and where it leads."""
    seen = json.loads(stack.run("forward", "status", "-o", "json").stdout)
    return next(str(f["route"]).split() for f in seen if f["name"] == "redis")


def goes_by(stack: Environment, way: str) -> None:
    """See a new connection to Redis answered that way; a probe that began before may be the last one for a moment."""
    end = time.monotonic() + 20
    while True:
        with Redis(port=stack.ports["redis"], socket_timeout=20) as redis:
            assert redis.ping()
        if redis_way(stack)[0] == way:
            return
        assert time.monotonic() < end, redis_way(stack)


def test_the_api_server_leads_to_a_pod_for_as_long_as_the_node_does_not(stack: Environment) -> None:
    goes_by(stack, "node")
    port = redis_way(stack)[1].rpartition(":")[2]
    dropped = ["PREROUTING", "-t", "raw", "-p", "tcp", "--dport", port, "-j", "DROP"]
    docker("exec", stack.node, "iptables", "-I", *dropped)
    try:
        goes_by(stack, "api")
        stack.fine("forward", "start", "--via", "node")  # that way and no other
        assert stack.run("wait", "forward/redis", "--timeout", "5s").returncode == 3
        stack.fine("forward", "start")
        stack.fine("wait", "forward/redis")
    finally:
        docker("exec", stack.node, "iptables", "-D", *dropped)
    goes_by(stack, "node")


def dsn(stack: Environment) -> str:
    return stack.shell('printf %s "$SOMABRAIN_POSTGRES_DSN"')


def test_a_connection_made_while_postgres_restarts_just_works(stack: Environment) -> None:
    address = dsn(stack)
    uid = kubectl(stack, "get", "pod", "postgres-0", "-o", "jsonpath={.metadata.uid}")
    kubectl(stack, "delete", "pod", "postgres-0", "--wait=false")
    while kubectl(stack, "get", "pod", "postgres-0", "--ignore-not-found", "-o", "jsonpath={.metadata.uid}") == uid:
        time.sleep(0.1)
    with psycopg.connect(address) as connection:
        assert connection.execute("select 1").fetchone() == (1,)


def test_clients_of_encrypted_postgres_that_leave_disturb_no_other(stack: Environment) -> None:
    """kubectl port-forward ends for everybody when one client resets: kubernetes/kubernetes#111825."""
    address = f"{dsn(stack)}?sslmode=require"
    rows, failed = 0, []

    def stream(stop: threading.Event) -> None:
        nonlocal rows
        try:
            with psycopg.connect(address) as connection, connection.cursor(name="long") as cursor:
                cursor.itersize = 1000
                cursor.execute("select n from generate_series(1, 100000000) n")
                for (n,) in cursor:
                    rows += 1
                    assert n == rows
                    if stop.is_set():
                        return
        except (psycopg.Error, AssertionError) as error:
            failed.append(error)

    stop = threading.Event()
    streaming = threading.Thread(target=stream, args=(stop,))
    streaming.start()
    for _ in range(1000):
        with psycopg.connect(address) as connection:
            assert connection.pgconn.ssl_in_use
    stop.set()
    streaming.join()
    assert failed == []
    assert rows > 1000


@pytest.fixture
def big(stack: Environment) -> str:
    """A key of 32 MiB in the stack's Redis."""
    with Redis("127.0.0.1", stack.ports["redis"]) as redis:
        redis.set("big", b"x" * BIG, ex=600)
    return "big"


def asking_for(stack: Environment, key: str) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", stack.ports["redis"]))
    connection.sendall(f"GET {key}\r\n".encode())
    return connection


def test_clients_that_abort_leave_no_descriptor_and_no_memory_behind(stack: Environment, big: str) -> None:
    process = forwarder(stack)

    def abort(times: int) -> None:
        for _ in range(times):
            with asking_for(stack, big) as connection:
                connection.recv(1 << 16)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NONE)

    abort(50)
    time.sleep(1)
    before, grown = process.num_fds(), process.memory_info().rss
    abort(500)
    # A probe of our own may be under way: two sockets for each forward. Freed memory is given back every 5 s.
    until(lambda: process.num_fds() <= before + 2 * len(stack.ports), "no descriptor is left", 30)
    until(lambda: process.memory_info().rss < grown + (8 << 20), "no memory is left", 30)


def test_a_reader_that_stops_for_a_minute_slows_nobody_and_then_gets_the_rest(stack: Environment, big: str) -> None:
    process = forwarder(stack)
    with asking_for(stack, big) as slow, Redis("127.0.0.1", stack.ports["redis"]) as quick:
        end = time.monotonic() + 60
        while time.monotonic() < end:
            assert quick.get(big) == b"x" * BIG
            time.sleep(1)
        assert process.memory_info().rss < 64 << 20
        wanted = len(f"${BIG}\r\n") + BIG + 2
        got = 0
        while got < wanted and (data := slow.recv(1 << 20)):
            got += len(data)
        assert got == wanted


@pytest.mark.parametrize("service", ["kubelet", "containerd"])
def test_a_restart_of_what_runs_the_pods_is_not_felt(stack: Environment, service: str) -> None:
    with Storm(stack.ports["api"], *ALIVE, per_s=20) as storm, Storm(stack.ports["redis"], *PING, per_s=20) as other:
        docker("exec", stack.node, "systemctl", "restart", service)
        time.sleep(10)
    assert storm.failures == []
    assert other.failures == []


def api_server_answers(stack: Environment) -> bool:
    argv = ["kubectl", "--kubeconfig", str(stack.kubeconfig), "--request-timeout=2s", "get", "nodes"]
    return subprocess.run(argv, capture_output=True, check=False).returncode == 0


def test_the_data_goes_on_while_the_api_server_is_away(stack: Environment) -> None:
    manifest, away = "/etc/kubernetes/manifests/kube-apiserver.yaml", "/root/kube-apiserver.yaml"
    with Storm(stack.ports["api"], *ALIVE, per_s=20) as storm:
        docker("exec", stack.node, "mv", manifest, away)
        try:
            until(lambda: not api_server_answers(stack), "the API server is away")
            time.sleep(30)
            assert not api_server_answers(stack)
        finally:
            docker("exec", stack.node, "mv", away, manifest)
    assert storm.failures == []
    assert storm.asked > 400
    # Kubernetes' own controllers may have given up on what they could not write: nobody else elects them anew here.
    docker("exec", stack.node, "pkill", "--full", "^kube-controller-manager")
    answers_again(stack)
    # The watch is back too: a pod that is replaced now is known.
    stack.fine("wait", "all", "--timeout", "120s")
    kubectl(stack, "delete", "pod", "-l", "app=sb-redis", "--wait=true")
    stack.fine("wait", "deploy/sb-redis", "forward/redis", "--timeout", "60s")
    pods = kubectl(stack, "get", "pods", "-l", "app=sb-redis", "-o", "jsonpath={.items[*].metadata.name}")
    # (The API may say for a moment that it is not ready: its Redis was away.)
    until(lambda: pods in stack.run("forward", "status").stdout, f"pods {pods} are known")
    stack.fine("wait", "all", "--timeout", "60s")


def test_an_api_server_that_is_gone_without_a_word_is_noticed_by_the_kernel(stack: Environment) -> None:
    found = access.read(stack.kubeconfig)
    server = replace(found, cluster=Cluster(f"https://{node_address(stack.node)}:6443"))
    events = apiserver.lines(server, "GET", f"{endpoints.path(NAMESPACE)}?watch=1&timeoutSeconds=300", silence_s=60)
    assert b"ADDED" in next(events)
    dropped = ["PREROUTING", "-t", "raw", "-i", "eth0", "-p", "tcp", "--dport", "6443", "-j", "DROP"]
    docker("exec", stack.node, "iptables", "-I", *dropped)
    why = ""
    try:
        list(events)
    except ApiError as error:  # some versions of OpenSSL tell, others take it for the end
        why = str(error)
    finally:
        docker("exec", stack.node, "iptables", "-D", *dropped)
    assert not why or os.strerror(errno.ETIMEDOUT) in why, why
    answers_again(stack)
    stack.fine("wait", "all", "--timeout", "60s")


def answers_again(stack: Environment, within_s: float = 300) -> None:
    """See the API answer through its forward, without any command that could mend it."""
    end = time.monotonic() + within_s
    while True:
        try:
            assert httpx.get(f"http://127.0.0.1:{stack.ports['api']}/health", timeout=5).status_code == 200
            return
        except (httpx.HTTPError, AssertionError):
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


@pytest.mark.parametrize("way", ["node", "api"], indirect=True)
def test_the_forwards_come_back_by_themselves_after_the_node_restarted(stack: Environment, way: str) -> None:
    process = forwarder(stack)
    docker("restart", stack.node)
    answers_again(stack)
    stack.fine("wait", "all", "--timeout", "120s")
    assert forwarder(stack) == process, way


def test_a_node_that_stood_still_for_a_minute_goes_on(stack: Environment) -> None:
    docker("pause", stack.node)
    try:
        time.sleep(60)
        held = stack.fine("forward", "status", "-o", "json") if stack.run("forward", "status").returncode == 0 else ""
        assert held == ""
    finally:
        docker("unpause", stack.node)
    answers_again(stack)
    stack.fine("wait", "all", "--timeout", "60s")


def test_a_node_that_does_not_run_is_lost_and_found(stack: Environment) -> None:
    docker("stop", stack.node)
    end = time.monotonic() + 60
    while "LOST" not in (seen := stack.run("forward", "status").stdout):
        assert time.monotonic() < end, seen
        time.sleep(0.2)
    docker("start", stack.node)
    answers_again(stack)
    stack.fine("wait", "all", "--timeout", "120s")


def test_a_killed_forwards_process_is_told_of_and_started_by_the_next_command(stack: Environment) -> None:
    kill_forwarder(stack)
    seen = stack.run("forward", "status")
    assert seen.returncode == 1
    assert seen.stdout.count("LOST") == len(stack.ports)
    for port in stack.ports.values():
        with socket.socket() as free:
            free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            free.bind(("127.0.0.1", port))
    assert stack.fine("plan").splitlines()[0] == "forwards: no process serves them"
    assert f"127.0.0.1:{stack.ports['api']}" in stack.fine("env")
    stack.fine("forward", "status")


def test_a_port_that_somebody_else_took_is_told_with_its_holder_and_nothing_is_exported(stack: Environment) -> None:
    kill_forwarder(stack)
    with socket.create_server(("127.0.0.1", stack.ports["redis"])):
        refused = stack.run("env")
        assert refused.returncode == 1
        assert refused.stdout == ""
        assert f"port {stack.ports['redis']} of forward redis is in use by process {os.getpid()}" in refused.stderr
    stack.fine("up")


def test_a_changed_port_that_is_taken_leaves_the_forwards_of_before_in_place(stack: Environment) -> None:
    process, before = forwarder(stack), dict(stack.extra)
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = stranger.getsockname()[1]
        stack.extra["DEVENV_PORT_REDIS"] = str(port)
        try:
            for verb in (("up",), ("forward", "start")):
                refused = stack.run(*verb)
                assert refused.returncode == 1
                assert f"port {port} of forward redis is in use by process {os.getpid()}" in refused.stderr
        finally:
            stack.extra = before
    assert forwarder(stack) == process
    stack.fine("forward", "status")


def test_a_wait_ends_when_all_is_ready_or_says_what_is_not(stack: Environment) -> None:
    stack.fine("wait", "job/somabrain-migrate", "sts/postgres", "forward/postgres")
    kubectl(stack, "scale", "statefulset/postgres", "--replicas=0")
    kubectl(stack, "wait", "--for=delete", "pod", "-l", "app=postgres", "--timeout=60s")
    # Without its database the API is not ready.
    kubectl(stack, "wait", "--for=condition=Ready=false", "pod", "-l", "app=somabrain", "--timeout=60s")
    late = stack.run("wait", "deploy/somabrain", "--timeout", "1s")
    assert late.returncode == 3
    assert "deployment/somabrain is not ready after 1 s" in late.stderr
    kubectl(stack, "scale", "statefulset/postgres", "--replicas=1")
    stack.fine("wait", "all")
    unknown = stack.run("wait", "deploy/nobody")
    assert unknown.returncode == 2
    assert "deployment/sb-redis" in unknown.stderr


def test_the_log_tells_of_every_change(stack: Environment) -> None:
    log = stack.kubeconfig.parent / "logs/forwards.log"
    before = len(log.read_text())
    kubectl(stack, "scale", "deployment/sb-redis", "--replicas=0")
    held = "redis: OPEN -> HOLDING no pod of service sb-redis is ready"
    until(lambda: held in log.read_text()[before:], "it is told")
    kubectl(stack, "scale", "deployment/sb-redis", "--replicas=1")
    until(lambda: "redis: HOLDING -> OPEN" in log.read_text()[before:], "its end is told too")
