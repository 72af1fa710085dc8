"""Compare devenv's forwards, by both ways, with `kubectl port-forward`, kr8s and the direct address.

    devenv up && .venv/bin/python scripts/bench_forward.py [--rounds 3] [-o json]

All lead to the stack's Redis at the same time and are measured in turn, round after round, so that a busy machine is
busy for each of them. Printed are medians over the rounds, and ratios to kubectl. Needs redis-benchmark (Debian:
redis-tools); kr8s is compared where it is installed (pip install kr8s).
"""

import argparse
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from devenv import config, state

BULK = 32 << 20
KR8S = """
import sys, kr8s
from kr8s.objects import Service
api = kr8s.api(kubeconfig=sys.argv[1])
service = Service.get(sys.argv[3], namespace=sys.argv[2], api=api)
with service.portforward(remote_port=6379, local_port=int(sys.argv[4])):
    sys.stdin.read()
"""


@dataclass(frozen=True)
class Route:
    """A way to Redis: where it listens, and the process that leads on, if there is one."""

    name: str
    host: str
    port: int
    process: psutil.Process | None = None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def child(argv: list[str], port: int, log: Path) -> Iterator[psutil.Process]:
    """Run a program until its port answers PING, and end it afterwards."""
    with log.open("w") as out:
        running = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=out, stderr=out)
    try:
        for _ in range(200):
            try:
                asked("127.0.0.1", port)
                break
            except OSError:
                time.sleep(0.1)
        else:
            sys.exit(f"{argv[0]} does not forward: {log.read_text()[-500:]}")
        yield psutil.Process(running.pid)
    finally:
        running.terminate()
        running.wait()


def asked(host: str, port: int) -> None:
    with socket.create_connection((host, port), timeout=5) as connection:
        connection.sendall(b"PING\r\n")
        if connection.recv(7) != b"+PONG\r\n":
            raise ConnectionError("no PONG")


@contextmanager
def paths(where: state.Folder, temporary: Path) -> Iterator[list[Route]]:
    """Start every way to the same Service."""
    spec = json.loads(where.forwards.read_text())
    redis = next(f for f in spec["forwards"] if f["probe"] == "redis")
    node = subprocess.run(
        ["docker", "inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", spec["node"]],
        capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    found = [Route("direct", node, redis["node_port"])]
    with ExitStack() as stack:
        for via in ("node", "api"):
            folder, port = temporary / via, free_port()
            folder.mkdir()
            shutil.copy(where.kubeconfig, folder / "kubeconfig")
            own = {**spec, "via": via, "forwards": [{**redis, "local_port": port}]}
            (folder / "forwards.json").write_text(json.dumps(own))
            argv = [sys.executable, "-m", "devenv.forwarder", str(folder)]
            found.append(
                Route(f"devenv {via}", "127.0.0.1", port, stack.enter_context(child(argv, port, folder / "log")))
            )
        port = free_port()
        head = ["kubectl", "--kubeconfig", str(where.kubeconfig), "-n", redis["namespace"]]
        argv = [*head, "port-forward", f"svc/{redis['service']}", f"{port}:6379"]
        found.append(Route("kubectl", "127.0.0.1", port, stack.enter_context(child(argv, port, temporary / "kubectl"))))
        if find_spec("kr8s"):
            port = free_port()
            argv = [sys.executable, "-c", KR8S, str(where.kubeconfig), redis["namespace"], redis["service"], str(port)]
            found.append(Route("kr8s", "127.0.0.1", port, stack.enter_context(child(argv, port, temporary / "kr8s"))))
        yield found


def requests(clients: int, count: int) -> Callable[[Route], dict[str, float]]:
    """GETs a second with so many clients, and, of one client, its latencies in microseconds."""

    def measure(path: Route) -> dict[str, float]:
        argv = ["redis-benchmark", "-h", path.host, "-p", str(path.port), "-t", "get", "-c", str(clients)]
        total = count if path.name in ("direct", "devenv node") else count // 6
        lines = subprocess.run([*argv, "-n", str(total), "--csv"], capture_output=True, text=True, check=True).stdout
        names, values = (row.replace('"', "").split(",") for row in lines.splitlines()[-2:])
        row = dict(zip(names, values, strict=True))
        latency = {f"{p} us": float(row[f"{p}_latency_ms"]) * 1000 for p in ("p50", "p99")} if clients == 1 else {}
        return {f"GET/s, {clients} clients": float(row["rps"]), **latency}

    return measure


def bulk(path: Route) -> dict[str, float]:
    """MB a second, each way, with one value of 32 MiB."""
    with socket.create_connection((path.host, path.port)) as connection:
        body = bytes(BULK)
        times = 8 if path.name in ("direct", "devenv node") else 2
        begun = time.perf_counter()
        for _ in range(times):
            connection.sendall(b"*3\r\n$3\r\nSET\r\n$10\r\nbulk:bench\r\n$%d\r\n" % BULK)
            connection.sendall(body)
            connection.sendall(b"\r\n")
            receive(connection, 5)
        up = times * BULK / (time.perf_counter() - begun)
        begun = time.perf_counter()
        for _ in range(times):
            connection.sendall(b"GET bulk:bench\r\n")
            receive(connection, len(f"${BULK}\r\n") + BULK + 2)
        down = times * BULK / (time.perf_counter() - begun)
        connection.sendall(b"DEL bulk:bench\r\n")
        receive(connection, 4)
    return {"MB/s up": up / 1e6, "MB/s down": down / 1e6}


def receive(connection: socket.socket, size: int) -> None:
    while size > 0:
        size -= len(connection.recv(min(size, 1 << 20)))


def connections(path: Route) -> dict[str, float]:
    """New connections a second, each with one PING, one after the other."""
    count = 400 if path.name in ("direct", "devenv node") else 60
    begun = time.perf_counter()
    for _ in range(count):
        asked(path.host, path.port)
    return {"connections/s": count / (time.perf_counter() - begun)}


def idle(path: Route) -> dict[str, float]:
    """Percent of one core over ten quiet seconds, and resident megabytes."""
    if path.process is None:
        return {}
    before = sum(path.process.cpu_times()[:2])
    time.sleep(10)
    used = sum(path.process.cpu_times()[:2]) - before
    return {"idle CPU %": used * 10, "resident MB": path.process.memory_info().rss / 1e6}


MEASURES = (requests(1, 12_000), requests(10, 60_000), requests(50, 60_000), bulk, connections)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", "-o", choices=("text", "json"), default="text")
    chosen = parser.parse_args()
    where = state.folder(config.load(Path("pyproject.toml"), os.environ, {}).project.name)
    if not where.forwards.exists():
        sys.exit("no forwards: run `devenv up` first")
    seen: dict[str, dict[str, list[float]]] = {}
    with TemporaryDirectory() as temporary, paths(where, Path(temporary)) as ways:
        for path in ways:
            note(seen, path.name, idle(path))
        for number in range(chosen.rounds):
            print(f"round {number + 1} of {chosen.rounds}", file=sys.stderr)
            for measure in MEASURES:
                for path in ways:
                    note(seen, path.name, measure(path))
        for path in ways:
            if path.process:
                note(seen, path.name, {"resident MB afterwards": path.process.memory_info().rss / 1e6})
    show(seen, chosen.output)


def note(seen: dict[str, dict[str, list[float]]], name: str, values: dict[str, float]) -> None:
    for key, value in values.items():
        seen.setdefault(key, {}).setdefault(name, []).append(value)


def show(seen: dict[str, dict[str, list[float]]], output: str) -> None:
    medians = {key: {name: statistics.median(v) for name, v in row.items()} for key, row in seen.items()}
    if output == "json":
        print(json.dumps(medians, indent=2))
        return
    names = list(medians["connections/s"])
    print("  ".join(["measure".ljust(22), *(name.rjust(18) for name in names)]))
    for key, row in medians.items():
        cells = [cell(row.get(name), row.get("kubectl")) for name in names]
        print("  ".join([key.ljust(22), *(text.rjust(18) for text in cells)]))


def cell(value: float | None, reference: float | None) -> str:
    if value is None:
        return "-"
    ratio = f" ({value / reference:.2f}x)" if reference else ""
    return f"{value:,.1f}{ratio}"


if __name__ == "__main__":
    main()
