"""How long after a pod is Ready comes the first answer through its forward?

    devenv up && .venv/bin/python scripts/bench_ready.py [--times 5] [--restarts 3]

The pod behind the forward with probe "redis" is deleted, its kubelet and its node are restarted. Meanwhile a client
asks without pause, each time over a new connection, which Redis it speaks to (run_id). Told is the time from the moment
a watch delivers that the pod is Ready to the first answer of the new Redis, and the longest time without any answer.
"""

import argparse
import os
import re
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from devenv.forwarder.apiserver import Kubeconfig
from devenv.forwarder.watch import Object, Watch
from devenv.project import settings
from devenv.system import state

SETTLED_S = 3.0
WITHIN_S = 180.0
NO_GAP_S = 10.0  # watched after a restart that ends no pod


@dataclass
class Asking:
    """A client that asks again and again; `answers` are the times, and the run_id of the Redis that answered."""

    port: int
    answers: list[tuple[float, str]] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    def forever(self) -> None:
        while not self.stop.wait(0.005):
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=60) as connection:
                connection.sendall(b"INFO server\r\n")
                if found := re.search(rb"run_id:(\w+)", connection.recv(1 << 16)):
                    self.answers.append((time.monotonic(), found[1].decode()))

    def gap_since(self, begun: float) -> float:
        """Return the longest time between two answers."""
        times = [at for at, _ in self.answers if at >= begun]
        return max((b - a for a, b in zip([begun, *times], times, strict=False)), default=0.0)


class Readiness:
    """The moments at which a watch told that a pod with these labels had become Ready."""

    def __init__(self, server: Kubeconfig, namespace: str, labels: dict[str, str]) -> None:
        self._labels, self._before = labels, True
        self.moments: list[float] = []
        self._pods = Watch(server, f"/api/v1/namespaces/{namespace}/pods", self._changed)
        self._pods.start()

    def _changed(self) -> None:
        now = any(is_ready(pod) for pod in self._pods.objects if self._labels.items() <= labels_of(pod).items())
        if now and not self._before:
            self.moments.append(time.monotonic())
        self._before = now


def labels_of(pod: Object) -> dict[str, str]:
    return dict(pod["metadata"].get("labels") or {})


def is_ready(pod: Object) -> bool:
    conditions = pod.get("status", {}).get("conditions") or ()
    going = "deletionTimestamp" in pod["metadata"]
    return not going and any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def until(true: Callable[[], Any]) -> None:
    end = time.monotonic() + WITHIN_S
    while not true():
        if time.monotonic() > end:
            sys.exit(f"not within {WITHIN_S:.0f} s")
        time.sleep(0.01)


def after_ready(act: list[str], asking: Asking, readiness: Readiness) -> tuple[float, float]:
    """Do something that ends the Redis; return the seconds from Ready to the next one's answer, and without answers."""
    begun, (_, old) = time.monotonic(), asking.answers[-1]
    moments = len(readiness.moments)
    subprocess.run(act, check=True, capture_output=True)

    def first() -> float | None:
        return next((at for at, run in asking.answers if at > begun and run != old), None)

    until(lambda: first() and len(readiness.moments) > moments)
    time.sleep(SETTLED_S)
    return (first() or 0) - readiness.moments[-1], asking.gap_since(begun)


def gap_of(act: list[str], asking: Asking) -> float:
    begun = time.monotonic()
    subprocess.run(act, check=True, capture_output=True)
    time.sleep(NO_GAP_S)
    return asking.gap_since(begun)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--restarts", type=int, default=3)
    chosen = parser.parse_args()
    where = state.folder(settings.load(Path("pyproject.toml"), os.environ, {}).project.name)
    spec = state.read_json(where.forwards) or sys.exit("no forwards: run `devenv up` first")
    redis = next(f for f in spec["forwards"] if f["probe"] == "redis")
    server = Kubeconfig(where.kubeconfig, print)
    services = f"/api/v1/namespaces/{redis['namespace']}/services"
    labels = server.ask("GET", f"{services}/{redis['service']}")["spec"]["selector"]
    asking, readiness = Asking(redis["local_port"]), Readiness(server, redis["namespace"], labels)
    threading.Thread(target=asking.forever, daemon=True).start()
    until(lambda: asking.answers)
    selector = ",".join(f"{key}={value}" for key, value in labels.items())
    kubectl = ["kubectl", "--kubeconfig", str(where.kubeconfig), "-n", redis["namespace"]]
    delete = [*kubectl, "delete", "pod", "-l", selector, "--wait=false"]
    show("delete pod", [after_ready(delete, asking, readiness) for _ in range(chosen.times)])
    if spec["node"]:
        kubelet = ["docker", "exec", spec["node"], "systemctl", "restart", "kubelet"]
        gaps = [gap_of(kubelet, asking) for _ in range(chosen.restarts)]
        print(f"kubelet restart: longest time without an answer {told(gaps)}")
        restart = ["docker", "restart", spec["node"]]
        show("node restart", [after_ready(restart, asking, readiness) for _ in range(chosen.restarts)])


def show(what: str, seen: list[tuple[float, float]]) -> None:
    delays, gaps = ([pair[n] for pair in seen] for n in (0, 1))
    print(f"{what}: Ready to first answer {told(delays)}; longest time without an answer {told(gaps)}", flush=True)


def told(seconds: list[float]) -> str:
    each = " ".join(f"{s:.3f}" for s in seconds)
    return f"median {statistics.median(seconds):.3f} s, worst {max(seconds):.3f} s ({each})"


if __name__ == "__main__":
    main()
