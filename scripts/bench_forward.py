"""Compare devenv's forwards, by both routes, with `kubectl port-forward`, kr8s and the direct address.

    devenv up && .venv/bin/python scripts/bench_forward.py [--rounds 3] [-o json]

All go to the stack's Redis at the same time, and to a pod that does nothing but send and take bytes, and are measured
in turn, round after round, so that a busy machine is busy for each of them. Printed are medians over the rounds, and
ratios to kubectl. Needs redis-benchmark (Debian: redis-tools); kr8s is compared where it is installed (pip install
kr8s). The pod's namespace, bench-forward, is made and deleted.
"""

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from bench_routes import Route, asked, routes

from devenv.project import settings
from devenv.system import state

QUIET_S = 120


def requests(clients: int, count: int) -> Callable[[Route], dict[str, float]]:
    """GETs a second with so many clients, and, of one client, its latencies in microseconds."""

    def measure(route: Route) -> dict[str, float]:
        argv = ["redis-benchmark", "-h", route.host, "-p", str(route.redis), "-t", "get", "-c", str(clients)]
        total = count if route.fast else count // 6
        lines = subprocess.run([*argv, "-n", str(total), "--csv"], capture_output=True, text=True, check=True).stdout
        names, values = (row.replace('"', "").split(",") for row in lines.splitlines()[-2:])
        row = dict(zip(names, values, strict=True))
        latency = {f"{p} us": float(row[f"{p}_latency_ms"]) * 1000 for p in ("p50", "p99")} if clients == 1 else {}
        return {f"GET/s, {clients} clients": float(row["rps"]), **latency}

    return measure


def bulk(route: Route) -> dict[str, float]:
    """MB a second, in each direction."""
    total, block = (1 << 29 if route.fast else 1 << 27), bytes(1 << 20)
    with socket.create_connection((route.host, route.bulk)) as connection:
        begun = time.perf_counter()
        connection.sendall(b"TAKE %d\n" % total)
        for _ in range(total // len(block)):
            connection.sendall(block)
        receive(connection, len("+PONG\r\n"))
        up = total / (time.perf_counter() - begun)
        begun = time.perf_counter()
        connection.sendall(b"SEND %d\n" % total)
        receive(connection, total)
        down = total / (time.perf_counter() - begun)
    return {"MB/s up": up / 1e6, "MB/s down": down / 1e6}


def receive(connection: socket.socket, size: int) -> None:
    buffer = memoryview(bytearray(1 << 20))
    while size > 0:
        size -= connection.recv_into(buffer[:size])


def connections(route: Route) -> dict[str, float]:
    """New connections a second, each with one PING, one after the other."""
    count = 400 if route.fast else 60
    begun = time.perf_counter()
    for _ in range(count):
        asked(route.host, route.redis)
    return {"connections/s": count / (time.perf_counter() - begun)}


def idle(all_routes: Sequence[Route]) -> Iterator[tuple[str, dict[str, float]]]:
    """Percent of one core over quiet seconds, which are the same for all, and resident megabytes."""
    before = {route.name: route.used_s() for route in all_routes}
    time.sleep(QUIET_S)
    for route in all_routes:
        used = 100 * (route.used_s() - before[route.name]) / QUIET_S
        yield route.name, {"idle CPU %": used, "resident MB": route.resident()}


MEASURES = (requests(1, 12_000), requests(10, 60_000), requests(50, 60_000), bulk, connections)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", "-o", choices=("text", "json"), default="text")
    chosen = parser.parse_args()
    where = state.folder(settings.load(Path("pyproject.toml"), os.environ, {}).project.name)
    if not where.forwards.exists():
        sys.exit("no forwards: run `devenv up` first")
    seen: dict[str, dict[str, list[float]]] = {}
    with TemporaryDirectory() as temporary, routes(where, Path(temporary)) as all_routes:
        for name, values in idle([route for route in all_routes if route.processes]):
            note(seen, name, values)
        for number in range(chosen.rounds):
            print(f"round {number + 1} of {chosen.rounds}", file=sys.stderr)
            # In both orders: what one leaves the cluster to clean up would otherwise always slow the same other one.
            order = all_routes if number % 2 == 0 else all_routes[::-1]
            for measure in MEASURES:
                for route in order:
                    note(seen, route.name, measure(route))
        for route in all_routes:
            if route.processes:
                note(seen, route.name, {"resident MB afterwards": route.resident()})
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
    return f"{value:,.{1 if value >= 1 else 3}f}{ratio}"


if __name__ == "__main__":
    main()
