"""A running `devenv dev`, seen from outside: what it says, and what the stack answers meanwhile."""

import json
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from tests.cluster.environment import SHORT_S, Environment
from tests.cluster.service import NAMESPACE, only
from tests.waiting import eventually

SOURCE = "k8s/images/somabrain/somabrain"
HEALTH, LINE = f"{SOURCE}/health.py", '    return {"ok": True}\n'
CHANGED_S = 60.0  # of a busy machine; docs/performance.md has what a quiet one takes


class Told:
    """What a running `devenv dev` says, line by line."""

    def __init__(self, child: "subprocess.Popen[str]") -> None:
        self.child, self.lines = child, list[str]()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.child.stderr
        self.lines.extend(iter(self.child.stderr.readline, ""))

    def after(self, start: int, words: str, within_s: float = CHANGED_S) -> str:
        """Return the first line since `start` that has these words, once it is there."""

        def found() -> list[str]:
            return [line for line in self.lines[start:] if words in line]

        eventually(lambda: bool(found()), within_s, f"{words}: {''.join(self.lines)}")
        return found()[0]


@contextmanager
def following(env: Environment, *words: str) -> Iterator[Told]:
    child = env.start("dev", "--yes", *words)
    try:
        told = Told(child)
        told.after(0, "following its files", SHORT_S)
        yield told
    finally:
        child.send_signal(signal.SIGINT)
        child.wait(60)


def life(env: Environment) -> object:
    return httpx.get(f"http://127.0.0.1:{env.ports['api']}/healthz", timeout=60, trust_env=False).json()


def workload(env: Environment) -> dict[str, str]:
    """Return what `devenv status` says of the API, whatever of the stack is left to do."""
    seen = json.loads(env.run("status", "-o", "json").stdout)["workloads"]
    return dict(next(w for w in seen if w["name"] == "deployment/somabrain"))


def in_pod(env: Environment, *words: str) -> str:
    pod = only(env)
    return env.kubectl("-n", NAMESPACE, "exec", pod["metadata"]["name"], "-c", "somabrain", "--", *words)
