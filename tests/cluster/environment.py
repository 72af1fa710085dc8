"""An environment of the tests' own: its cluster name, ports, folders; nothing of a person's is touched."""

import hashlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).parents[2]
# Lanes run side by side (scripts/test.sh); names, ports and folders of each are its own.
LANES = ("all", "unit", "service", "host", "gentle", "disturbed", "nodes")
LANE = os.environ.get("DEVENV_TEST_LANE", "all")
# Two checkouts on one machine do not meet: names and folders carry the checkout's path.
MARK = hashlib.sha256(f"{CHECKOUT} {LANE}".encode()).hexdigest()[:6]
# Where devenv keeps its files: fixed, so that a run after a killed one finds what that left; short, for the path of a
# Unix socket.
STATE = Path(f"/tmp/devenv-tests-{MARK}")  # noqa: S108
LOGS = CHECKOUT / "build/logs" / LANE  # what each test saw of the commands that it called
# Lanes that watch the clock: their nodes go first where cores are short (Docker's own weight of a container is 1024).
FIRST, FIRST_SHARES = ("disturbed", "nodes"), "8192"
# A first run on a bare machine builds Kubernetes.
FIRST_UP_S = 60 * 60
SHORT_S = 10 * 60
# Steps of `devenv plan` that a busy machine ends by itself: a probe of a workload or a forward was answered late.
LATE, LATE_S = ("ready ", "forwards open"), 30


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on, below the range from which the kernel takes ports for connections."""
    found: list[int] = []
    checkout = int(hashlib.sha256(str(CHECKOUT).encode()).hexdigest()[:6], 16) % 30
    for port in range(20000 + 350 * checkout + 50 * LANES.index(LANE), 32000):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                found.append(port)
        if len(found) == count:
            return found
    raise OSError("no free ports")


def go_first(*nodes: str) -> None:
    """Let these nodes have the processor before those of other lanes, if this lane watches the clock."""
    if LANE in FIRST:
        docker("update", "--cpu-shares", FIRST_SHARES, *nodes)


@dataclass
class Environment:
    """A copy of a project with its own cluster."""

    name: str
    root: Path
    ports: dict[str, int]
    program: Path = Path(sys.executable).parent / "devenv"
    extra: dict[str, str] = field(default_factory=dict)

    @property
    def state(self) -> Path:
        return STATE

    @property
    def variables(self) -> dict[str, str]:
        moved = {f"DEVENV_PORT_{name.upper()}": str(port) for name, port in self.ports.items()}
        own = {"DEVENV_NAME": self.name, "XDG_STATE_HOME": str(self.state), "NO_COLOR": "1", "PATH": path()}
        own["CI"] = "true"  # nothing is kept for clusters that nobody will make
        return {**os.environ, **moved, **own, **self.extra}

    def start(self, *args: str) -> "subprocess.Popen[str]":
        """Start devenv as a shell would in the foreground: a run in the background has interrupts turned off."""
        return subprocess.Popen(
            [str(self.program), *args], cwd=self.root, env=self.variables, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )  # fmt: skip

    def run(self, *args: str, within_s: float = SHORT_S) -> "subprocess.CompletedProcess[str]":
        done = subprocess.run(
            [str(self.program), *args], cwd=self.root, env=self.variables, text=True,
            stdin=subprocess.DEVNULL, capture_output=True, timeout=within_s, check=False,
        )  # fmt: skip
        log(f"devenv {' '.join(args)}", done)
        return done

    def fine(self, *args: str, within_s: float = SHORT_S) -> str:
        """Run devenv, see that it ends well, and return its standard output."""
        done = self.run(*args, within_s=within_s)
        assert done.returncode == 0, (
            f"devenv {' '.join(args)} exited with {done.returncode}\n{done.stdout}{done.stderr}"
        )
        return done.stdout

    def plan(self, *args: str) -> str:
        """Return what `devenv plan` prints, once nothing of it is only late."""
        end = time.monotonic() + LATE_S
        while True:
            steps = self.fine("plan", *args)
            if time.monotonic() > end or not any(line.startswith(LATE) for line in steps.splitlines()):
                return steps
            time.sleep(0.5)

    def status(self, *args: str) -> dict[str, Any]:
        """Return what `devenv status` reports, once it is ready."""
        end = time.monotonic() + LATE_S
        while (seen := self.run("status", "-o", "json", *args)).returncode and time.monotonic() < end:
            time.sleep(0.5)
        assert seen.returncode == 0, seen.stdout + seen.stderr
        return dict(json.loads(seen.stdout))

    def shell(self, script: str, within_s: float = SHORT_S) -> str:
        """Run a script as a person would who said `eval "$(devenv env)"` first."""
        return self.by_itself(f'eval "$({self.program} env)"\n{script}', within_s)

    def by_itself(self, script: str, within_s: float = SHORT_S) -> str:
        """Run a script as a person would who exported nothing."""
        done = subprocess.run(
            ["bash", "-c", f"set -euo pipefail\n{script}"], cwd=self.root, env=self.variables, text=True,
            stdin=subprocess.DEVNULL, capture_output=True, timeout=within_s, check=False,
        )  # fmt: skip
        log(script, done)
        assert done.returncode == 0, f"{script}\nexited with {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    @property
    def kubeconfig(self) -> Path:
        return self.state / "devenv" / self.name / "kubeconfig"

    def kubectl(self, *args: str) -> str:
        argv = ["kubectl", "--kubeconfig", str(self.kubeconfig), *args]
        return subprocess.run(
            argv, text=True, capture_output=True, check=True, env={**os.environ, "PATH": path()}
        ).stdout

    def objects(self, *args: str) -> list[Mapping[str, Any]]:
        return list(json.loads(self.kubectl("get", *args, "-o", "json"))["items"])

    def edit(self, file: str, old: str, new: str) -> None:
        """Change a file of the copied project; the old text must be there."""
        target = self.root / file
        text = target.read_text()
        assert old in text
        target.write_text(text.replace(old, new, 1))

    @property
    def node(self) -> str:
        return f"{self.name}-control-plane"


def log(command: str, done: "subprocess.CompletedProcess[str]") -> None:
    """Keep what a command said, in a file of the test that called it."""
    file, _, test = os.environ.get("PYTEST_CURRENT_TEST", "session").partition(" ")[0].partition("::")
    LOGS.mkdir(parents=True, exist_ok=True)
    name = re.sub(r"[^-.\w]+", "_", f"{file.rpartition('/')[2]}_{test}")[:150]
    with (LOGS / f"{name}.log").open("a") as kept:
        kept.write(f"$ {command}\n{done.stdout}{done.stderr}[exit code {done.returncode}]\n\n")


def path() -> str:
    return os.pathsep.join([str(CHECKOUT / ".venv/bin"), os.environ["PATH"]])


def docker(*args: str) -> str:
    return subprocess.run(["docker", *args], text=True, capture_output=True, check=True).stdout.strip()


def node_address(node: str) -> str:
    return docker("inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}", node).split()[0]


def copied(source: Path, target: Path, names: tuple[str, ...]) -> Path:
    """Copy parts of a project, so that a test may change them."""
    for name in names:
        if (source / name).is_dir():
            shutil.copytree(source / name, target / name, ignore=shutil.ignore_patterns("__pycache__", ".*_cache"))
        else:
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source / name, target / name)
    return target
