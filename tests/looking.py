"""A project whose cluster is a server of our own, for the verbs that look inside: devenv itself runs as a child."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import Any

import yaml

from tests import docker_api, kube_server
from tests.docker_api import Node
from tests.kube_server import Cluster

NAME, NAMESPACE = "looking", "shop"
TABLE = """
[tool.devenv]
name = "looking"
namespace = "shop"
manifests = "k8s"
ready-within-s = 3
[tool.devenv.secrets.s]
PASSWORD = "hunter2secret"
[tool.devenv.forwards.web]
service = "web"
ports = "18080:80"
probe = "http /health"
[tool.devenv.open]
docs = "http://127.0.0.1:${forwards.web}/docs"
"""
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
EVENTS = f"/api/v1/namespaces/{NAMESPACE}/events"
SETS = f"/apis/apps/v1/namespaces/{NAMESPACE}/replicasets"
DEPLOYMENTS = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments"


def workload(kind: str, name: str) -> dict[str, Any]:
    version = "batch/v1" if kind == "Job" else "apps/v1"
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": name, "image": f"{name}:1"}]}}
    spec = {"selector": {"matchLabels": {"app": name}}, "template": template}
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec}


def service(name: str) -> dict[str, Any]:
    spec = {"selector": {"app": name}, "ports": [{"port": 80}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


def owner(kind: str, name: str) -> dict[str, Any]:
    version = "batch/v1" if kind == "Job" else "apps/v1"
    return {"apiVersion": version, "kind": kind, "name": name, "uid": f"uid-{name}", "controller": True}


def pod(name: str, by: dict[str, Any], *containers: dict[str, Any], init: tuple[dict[str, Any], ...] = ()) -> Any:
    meta = {"name": name, "namespace": NAMESPACE, "uid": f"uid-{name}", "ownerReferences": [by]}
    meta["creationTimestamp"] = "2026-01-01T00:00:00Z"
    spec = {"containers": [{"name": c["name"]} for c in containers]}
    ready = [{"type": "Ready", "status": "True"}]
    status = {"phase": "Running", "conditions": ready, "containerStatuses": [*containers]}
    status |= {"initContainerStatuses": [*init]} if init else {}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec, "status": status}


def container(name: str, run: str, last: str = "", runs: bool = True) -> dict[str, Any]:
    state = {"running": {}} if runs else {"terminated": {"containerID": run, "exitCode": 0}}
    before = {"lastState": {"terminated": {"containerID": last, "exitCode": 1}}} if last else {}
    return {"name": name, "containerID": run, "state": state, "ready": runs, **before}


def at(second: float, text: str) -> str:
    return f"2026-01-01T10:{int(second) // 60:02}:{int(second) % 60:02}.{round(second % 1 * 1e9):09}Z {text}"


class Told:
    """What a running child prints, line by line."""

    def __init__(self, child: "subprocess.Popen[str]") -> None:
        self.child, self.lines = child, list[str]()
        Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.child.stdout
        for line in self.child.stdout:
            self.lines.append(line.rstrip("\n"))


@dataclass
class Machine:
    """A machine with a node, its API server, and a project."""

    root: Path
    node: Node
    docker: docker_api.Api
    cluster: Cluster
    extra: dict[str, str] = field(default_factory=dict)

    @property
    def state(self) -> Path:
        return self.root.parent / "state"

    @property
    def environ(self) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith("DEVENV_")}
        own = {"DOCKER_HOST": self.docker.host, "XDG_STATE_HOME": str(self.state), "NO_COLOR": "1", "COLUMNS": "80"}
        return {**kept, **own, **self.extra}

    def start(self, *words: str, **more: Any) -> "subprocess.Popen[str]":
        argv = [sys.executable, "-m", "devenv", *words]
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more}
        return subprocess.Popen(argv, cwd=self.root, env=self.environ, text=True, **pipes)

    def run(self, *words: str, stdin: str = "") -> "subprocess.CompletedProcess[str]":
        child = self.start(*words, stdin=subprocess.PIPE)
        out, err = child.communicate(stdin, timeout=60)
        return subprocess.CompletedProcess(words, child.returncode, out, err)

    def fine(self, *words: str) -> list[str]:
        done = self.run(*words)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.splitlines()

    @contextmanager
    def following(self, *words: str) -> Iterator[Told]:
        child = self.start(*words)
        try:
            yield Told(child)
        finally:
            child.kill()
            child.wait(10)


@contextmanager
def machine(folder: Path) -> Iterator[Machine]:
    """Yield a machine whose cluster has a Deployment web, a StatefulSet db and a Job move, and no pods yet."""
    root = folder / "project"
    (root / "k8s").mkdir(parents=True)
    (root / "pyproject.toml").write_text(TABLE)
    objects = [workload("Deployment", "web"), workload("StatefulSet", "db"), workload("Job", "move"), service("web")]
    (root / "k8s/all.yaml").write_text(yaml.safe_dump_all(objects))
    node = Node(NAME)
    with docker_api.serving(node.answers()) as docker, kube_server.serving() as cluster:
        made = Machine(root, node, docker, cluster)
        home = made.state / "devenv" / NAME
        home.mkdir(parents=True)
        config = {
            "clusters": [{"name": "c", "cluster": {"server": cluster.url}}],
            "contexts": [{"name": "c", "context": {"cluster": "c"}}],
            "current-context": "c",
        }
        (home / "kubeconfig").write_text(json.dumps(config))
        for name in ("web-1", "web-2"):
            meta = {"name": name, "namespace": NAMESPACE, "uid": f"uid-{name}"}
            meta["ownerReferences"] = [owner("Deployment", "web")]  # type: ignore[assignment]
            cluster.objects[f"{SETS}/{name}"] = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": meta}
        yield made
