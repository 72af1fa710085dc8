"""The routes that scripts/bench_forward.py compares, all open at the same time."""

import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil

from devenv.system import process
from devenv.system.state import Folder

Forwards = Sequence[dict[str, Any]]

BULK = "bench-forward"  # the pod, its namespace, Service and forward
REMOTE = {"sb-redis": 6379, BULK: 7777}
# Redis would be the slowest part: each line is answered with PONG, or asks to send or to take so many bytes.
BULK_SERVER = """
import socketserver

class Bulk(socketserver.StreamRequestHandler):
    disable_nagle_algorithm = True

    def handle(self):
        block = memoryview(bytearray(1 << 20))
        for line in self.rfile:
            word, _, count = line.decode().strip().partition(" ")
            left = int(count or 0)
            while word == "SEND" and left:
                left -= self.connection.send(block[:left])
            while word == "TAKE" and left:
                left -= self.rfile.readinto1(block[:left])
            if word != "SEND":
                self.wfile.write(b"+PONG" + bytes([13, 10]))

class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True

Server(("", 7777), Bulk).serve_forever()
"""
KR8S = """
import sys, kr8s
from kr8s.objects import Service
api = kr8s.api(kubeconfig=sys.argv[1])
service = Service.get(sys.argv[3], namespace=sys.argv[2], api=api)
with service.portforward(remote_port=int(sys.argv[4]), local_port=int(sys.argv[5])):
    sys.stdin.read()
"""


@dataclass(frozen=True)
class Route:
    """A route to Redis and to the pod: where they are reached, and the processes that forward, if there are any."""

    name: str
    host: str
    ports: Sequence[int]  # Redis's, the pod's
    processes: Sequence[psutil.Process] = ()

    @property
    def redis(self) -> int:
        return self.ports[0]

    @property
    def bulk(self) -> int:
        return self.ports[1]

    @property
    def fast(self) -> bool:
        return self.name in ("direct", "devenv node")

    def resident(self) -> float:
        return sum(one.memory_info().rss for one in self.processes) / 1e6

    def used_s(self) -> float:
        return float(sum(sum(one.cpu_times()[:2]) for one in self.processes))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(host: str, port: int) -> None:
    """Wait until PING is answered there. Raise the last error where it is not within 20 seconds."""
    for left in reversed(range(200)):
        try:
            asked(host, port)
            break
        except OSError:
            if not left:
                raise
            time.sleep(0.1)


@contextmanager
def child(argv: list[str], log: Path, *ports: int) -> Iterator[psutil.Process]:
    """Run a program, once its ports answer PING, and end it afterwards."""
    with log.open("w") as out:
        running = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=out, stderr=out)
    try:
        for port in ports:
            answers("127.0.0.1", port)
        yield psutil.Process(running.pid)
    except OSError as error:
        sys.exit(f"{argv[0]} does not forward: {error}: {log.read_text()[-500:]}")
    finally:
        running.terminate()
        running.wait()


def asked(host: str, port: int) -> None:
    with socket.create_connection((host, port), timeout=5) as connection:
        connection.sendall(b"PING\r\n")
        if connection.recv(7) != b"+PONG\r\n":
            raise ConnectionError("no PONG")


@contextmanager
def bulk_pod(kubectl: list[str], namespace: str) -> Iterator[int]:
    """Run the pod that sends and takes bytes, with the service's own image, and return its node port."""
    own = [*kubectl, "-n", BULK]
    what = ["get", "deployment", "somabrain", "-o", "jsonpath={.spec.template.spec.containers[0].image}"]
    image = process.run([*kubectl, "-n", namespace, *what])
    process.run([*kubectl, "create", "namespace", BULK])
    try:
        command = ["--command", "--", "python3", "-c", BULK_SERVER]
        process.run([*own, "run", BULK, "--image", image, "--port", "7777", *command])
        process.run([*own, "expose", "pod", BULK, "--type", "NodePort"])
        process.run([*own, "wait", "--for=condition=Ready", f"pod/{BULK}", "--timeout=50s"])
        yield int(process.run([*own, "get", "service", BULK, "-o", "jsonpath={.spec.ports[0].nodePort}"]))
    finally:
        process.run([*kubectl, "delete", "namespace", BULK], within_s=120)


def node_address(node: str) -> str:
    template = "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}"
    return process.run(["docker", "inspect", "--format", template, node]).split()[0]


def devenv_route(
    via: str, spec: dict[str, Any], forwards: Forwards, where: Folder, at: Path, stack: ExitStack
) -> Route:
    """Start devenv's process with forwards of its own."""
    folder, ports = at / via, [free_port() for _ in forwards]
    folder.mkdir()
    shutil.copy(where.kubeconfig, folder / "kubeconfig")
    own = [{**forward, "local_port": port} for forward, port in zip(forwards, ports, strict=True)]
    (folder / "forwards.json").write_text(json.dumps({**spec, "via": via, "forwards": own}))
    argv = [sys.executable, "-m", "devenv.forwarder", str(folder)]
    forwarder = stack.enter_context(child(argv, folder / "log", *ports))
    return Route(f"devenv {via}", "127.0.0.1", ports, (forwarder,))


def other_route(name: str, argv: list[str], last: str, forwards: Forwards, at: Path, stack: ExitStack) -> Route:
    """Start another program, once for each Service."""
    ports, processes = [free_port() for _ in forwards], []
    for forward, port in zip(forwards, ports, strict=True):
        names = {"namespace": forward["namespace"], "service": forward["service"]}
        words = last.format(**names, remote=REMOTE[forward["service"]], local=port).split()
        processes.append(stack.enter_context(child([*argv, *words], at / f"{name}-{port}", port)))
    return Route(name, "127.0.0.1", ports, processes)


@contextmanager
def routes(where: Folder, at: Path) -> Iterator[list[Route]]:
    """Start every route to the same two Services; `at` is an empty folder for their files."""
    spec = json.loads(where.forwards.read_text())
    redis = next(f for f in spec["forwards"] if f["probe"] == "redis")
    kubectl = ["kubectl", "--kubeconfig", str(where.kubeconfig)]
    kr8s = [sys.executable, "-c", KR8S, str(where.kubeconfig)]
    with ExitStack() as stack:
        node_port = stack.enter_context(bulk_pod(kubectl, redis["namespace"]))
        bulk = {"namespace": BULK, "service": BULK, "port_name": "", "probe": "tcp", "node_port": node_port}
        both = (redis, {**redis, "name": BULK, **bulk})
        direct = Route("direct", node_address(spec["node"]), (redis["node_port"], node_port))
        answers(direct.host, direct.bulk)
        found = [direct, *(devenv_route(via, spec, both, where, at, stack) for via in ("node", "api"))]
        last = "-n {namespace} port-forward svc/{service} {local}:{remote}"
        found.append(other_route("kubectl", kubectl, last, both, at, stack))
        # Where devenv asks it: without Docker's process in front of the port that the kubeconfig names.
        at_node = [*kubectl, "--server", f"https://{direct.host}:6443"]
        found.append(other_route("kubectl, node's", at_node, last, both, at, stack))
        if find_spec("kr8s"):
            found.append(other_route("kr8s", kr8s, "{namespace} {service} {remote} {local}", both, at, stack))
        yield found
