"""`devenv attach` as a process of its own: the place that it takes, and how it comes back whatever ends it."""

import json
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from devenv.cluster.state import Cluster
from devenv.errors import DevenvError
from devenv.images import daemon
from devenv.kube.attachment import ATTACHED
from devenv.project import settings as config
from devenv.project import sources
from devenv.reconcile import environment, preflight
from devenv.reconcile.actions import Detach
from devenv.reconcile.environment import Environment
from devenv.reconcile.handlers import Handlers
from devenv.reconcile.observed import Observed
from devenv.system.state import Folder
from tests import api_store, docker_api, kube_server
from tests.api_store import Store
from tests.docker_api import Node
from tests.looking import NAME, NAMESPACE, Machine, owner, service, workload
from tests.waiting import eventually

GATEWAY = "127.0.0.2"  # an address of this machine, and not the one that listens for it alone
WEB = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/web"
TABLE = f"""
[tool.devenv]
name = "{NAME}"
namespace = "{NAMESPACE}"
manifests = "k8s"
[tool.devenv.forwards.db]
service = "db"
ports = "15432:5432"
"""
# What a command is told to do: it says what it has, and serves until it is ended.
SERVES = """
import http.server, json, os, pathlib, signal, sys
from pathlib import Path
host, port, said = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
server = http.server.ThreadingHTTPServer((host, port), http.server.SimpleHTTPRequestHandler)
folder = Path(os.environ["DEVENV_ATTACH_FILES"])
files = {str(f.relative_to(folder)): f.read_text() for f in folder.rglob("*") if f.is_file()}
modes = sorted({oct(f.stat().st_mode & 0o777) for f in (folder, *folder.rglob("*"))})
told = {"env": dict(os.environ), "files": files, "modes": modes, "pid": os.getpid()}
said.with_suffix(".new").write_text(json.dumps(told))
said.with_suffix(".new").rename(said)
try:
    server.serve_forever()
except KeyboardInterrupt:
    sys.exit(7)
"""
HOLDS = "import time; time.sleep(600)"


@dataclass
class Place(Machine):
    """A machine whose cluster keeps what it is given, with a Deployment of two pods that is up."""

    store: Store = field(default_factory=Store)

    @property
    def web(self) -> dict[str, Any]:
        return self.store.objects[WEB]

    @property
    def said(self) -> Path:
        return self.root.parent / "said.json"

    @property
    def folder(self) -> Folder:
        return Folder(self.state / "devenv" / NAME)

    def attach(self, *words: str, port: int, **more: Any) -> "subprocess.Popen[str]":
        """Start it as a shell would in the foreground: a run in the background has interrupts turned off."""
        hear: Any = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)  # noqa: E731
        return self.start("attach", "web", "--port", f"{port}:80", "--", *words, preexec_fn=hear, **more)

    def serving(self, port: int, host: str = "0.0.0.0") -> "subprocess.Popen[str]":  # noqa: S104  of a test
        child = self.attach(sys.executable, "-c", SERVES, host, str(port), str(self.said), port=port)
        eventually(self.said.exists, 30, "the command runs")
        return child

    def is_as_before(self, replicas: int = 2) -> None:
        """See nothing left of an attach."""
        assert ATTACHED not in self.web["metadata"].get("annotations", {})
        assert self.web["spec"]["replicas"] == replicas
        assert not [path for path in self.store.objects if path.endswith("-attached")]
        assert not self.folder.attached.exists()

    def is_taken(self) -> None:
        record = json.loads(self.web["metadata"]["annotations"][ATTACHED])
        assert (record["replicas"], self.web["spec"]["replicas"]) == (2, 0)


def free_port() -> int:
    """Return a port that nobody has, below those that the kernel gives to connections."""
    for port in random.sample(range(21000, 32000), 100):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("0.0.0.0", port))  # noqa: S104
            return port
    raise OSError("no free port")


def manifests() -> list[dict[str, Any]]:
    web = workload("Deployment", "web")
    web["spec"]["replicas"] = 2
    pod = web["spec"]["template"]["spec"]
    pod["terminationGracePeriodSeconds"] = 1
    pod["volumes"] = [{"name": "conf", "configMap": {"name": "conf"}}]
    pod["containers"][0] |= {
        "volumeMounts": [{"name": "conf", "mountPath": "/etc/web"}],
        "env": [
            {"name": "DSN", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "DSN"}}},
            {"name": "CONFIG", "value": "/etc/web/app.yaml"},
            {"name": "CACHE", "value": "redis://cache:6379"},
            {"name": "PATH", "value": "/opt/bin"},
        ],
    }
    data = {"app.yaml": "db: db:5432\n"}
    keys = {"DSN": "postgresql://me:hunter2secret@db.shop.svc.cluster.local:5432/x"}
    db, cache = service("db"), service("cache")
    db["spec"]["ports"], cache["spec"]["ports"] = [{"port": 5432}], [{"port": 6379}]
    rule = {"to": [{"podSelector": {"matchLabels": {"app": "web"}}}]}
    egress = {"podSelector": {"matchLabels": {"app": "front"}}, "egress": [rule]}
    return [
        web, service("web"), db, cache,
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "conf"}, "data": data},
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"}, "stringData": keys},
        {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "front"}, "spec": egress},
    ]  # fmt: skip


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Place]:
    root = tmp_path / "project"
    (root / "k8s").mkdir(parents=True)
    (root / "pyproject.toml").write_text(TABLE)
    (root / "k8s/all.yaml").write_text(yaml.safe_dump_all(manifests()))
    node = Node(NAME, gateway=GATEWAY)
    with docker_api.serving(node.answers()) as docker, api_store.serving() as store:
        made = Place(root, node, docker, kube_server.Cluster(), store=store)
        made.folder.make()
        made.folder.kubeconfig.write_text(json.dumps({
            "clusters": [{"name": "c", "cluster": {"server": store.url}}],
            "contexts": [{"name": "c", "context": {"cluster": "c"}}], "current-context": "c",
        }))  # fmt: skip
        desired = sources.load(config.load(root / "pyproject.toml", {}, {}, True))
        store.put(*({**o.raw, "metadata": {**o.meta, "namespace": o.id.namespace}} for o in desired.objects))
        run_pods(store)
        store.written = lambda path: run_pods(store) if path == WEB else None
        yield made
    daemon.client.cache_clear()  # one that a test has made asks a server that is gone


def run_pods(store: Store) -> None:
    """Have as many pods as the Deployment wants, as its controller would."""
    where = f"/api/v1/namespaces/{NAMESPACE}/pods/web-"
    for path in [path for path in store.objects if path.startswith(where)]:
        del store.objects[path]
    for number in range(store.objects[WEB]["spec"]["replicas"]):
        by = [owner("Deployment", "web")]
        meta = {"name": f"web-{number}", "namespace": NAMESPACE, "labels": {"app": "web"}, "ownerReferences": by}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "status": {"phase": "Running"}}
        store.objects[f"{where}{number}"] = pod


def ended(child: "subprocess.Popen[str]", within_s: float = 60) -> str:
    _, said = child.communicate(timeout=within_s)
    return said


def test_a_command_takes_the_place_with_all_that_the_pod_had_and_gives_it_back(machine: Place) -> None:
    port = free_port()
    child = machine.serving(port)
    try:
        told = json.loads(machine.said.read_text())
        machine.is_taken()
        made = {p.rpartition("/")[2]: o for p, o in machine.store.objects.items() if p.endswith("-attached")}
        assert sorted(made) == ["front-attached", "web-attached"]
        assert made["web-attached"]["endpoints"][0]["addresses"] == [GATEWAY]
        assert made["web-attached"]["ports"] == [{"port": port, "protocol": "TCP"}]
        (rule,) = made["front-attached"]["spec"]["egress"]
        assert rule == {
            "to": [{"ipBlock": {"cidr": f"{GATEWAY}/32"}}],
            "ports": [{"port": port, "protocol": "TCP"}],
        }
        assert not [path for path in machine.store.objects if "/pods/web-" in path], "its pods are gone"
    finally:
        child.send_signal(signal.SIGINT)
        said = ended(child)
    assert child.returncode == 7, said
    machine.is_as_before()
    assert len([path for path in machine.store.objects if "/pods/web-" in path]) == 2
    env = told["env"]
    assert env["DSN"] == "postgresql://me:hunter2secret@127.0.0.1:15432/x"
    assert env["CONFIG"] == f"{machine.folder.attached}/etc/web/app.yaml"
    assert env["PATH"] != "/opt/bin"
    assert env["DEVENV_ATTACH_ADDRESS"] == GATEWAY
    assert env["DB_SERVICE_PORT"] == "15432"
    assert told["files"] == {"etc/web/app.yaml": "db: 127.0.0.1:15432\n"}
    assert told["modes"] == ["0o600", "0o700"]
    assert "CACHE names cache:6379, to which no forward leads" in said
    assert "waiting for web-0" not in said  # they were gone at the first look
    assert "deployment/web has its place back" in said
    assert "hunter2secret" not in said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_what_ends_the_program_ends_the_command_and_gives_the_place_back(machine: Place, number: int) -> None:
    child = machine.serving(free_port())
    machine.is_taken()
    child.send_signal(number)
    said = ended(child)
    assert child.returncode == 128 + signal.SIGTERM, said
    machine.is_as_before()
    assert not psutil.pid_exists(json.loads(machine.said.read_text())["pid"])


def test_a_command_that_fails_or_cannot_be_run_gives_the_place_back_with_its_code(machine: Place) -> None:
    fails = machine.attach(sys.executable, "-c", "raise SystemExit(3)", port=free_port())
    assert "has its place back" in ended(fails)
    assert fails.returncode == 3
    machine.is_as_before()
    crashes = machine.attach("sh", "-c", "kill -SEGV $$", port=free_port())
    ended(crashes)
    assert crashes.returncode == 128 + signal.SIGSEGV
    machine.is_as_before()
    changes = len(machine.store.changes)
    gone = machine.attach("no-such-program-here", port=free_port())
    assert "no-such-program-here: not found on PATH" in ended(gone)
    assert gone.returncode == 2
    assert len(machine.store.changes) == changes, "nothing was changed"
    odd = machine.root / "odd"
    odd.write_text("no program")
    odd.chmod(0o700)
    said = ended(cannot := machine.attach(str(odd), port=free_port()))
    assert cannot.returncode != 0, said
    machine.is_as_before()


@pytest.mark.parametrize(
    "refused",
    [
        f"PATCH {WEB}",
        f"PATCH /apis/discovery.k8s.io/v1/namespaces/{NAMESPACE}/endpointslices",
        f"PATCH /apis/networking.k8s.io/v1/namespaces/{NAMESPACE}/networkpolicies",
    ],
)
def test_whichever_request_fails_on_the_way_nothing_is_left(machine: Place, refused: str) -> None:
    machine.store.refused[refused] = 403
    child = machine.attach(sys.executable, "-c", HOLDS, port=free_port())
    said = ended(child)
    assert child.returncode == 1
    assert "is refused" in said
    machine.store.refused.clear()
    machine.is_as_before()


def test_an_interrupt_while_the_pods_end_gives_the_place_back(machine: Place) -> None:
    machine.store.written = lambda _: None  # they do not end
    child = machine.attach(sys.executable, "-c", HOLDS, port=free_port())
    assert child.stderr
    next(line for line in child.stderr if line == "waiting for web-0, web-1 to end\n")
    machine.is_taken()
    child.send_signal(signal.SIGINT)
    said = ended(child)
    assert child.returncode == 130, said
    machine.is_as_before()


def test_what_cannot_be_undone_is_told_and_the_rest_is_undone(machine: Place) -> None:
    child = machine.serving(free_port())
    machine.store.refused[f"PATCH {WEB}"] = 403
    child.send_signal(signal.SIGINT)
    said = ended(child)
    assert child.returncode == 1
    assert "deployment/web has not its place back\nhint: devenv up gives it back" in said
    machine.is_taken()
    assert not [path for path in machine.store.objects if path.endswith("-attached")]


def test_a_killed_one_takes_its_command_along_and_leaves_what_the_next_up_undoes(
    machine: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = machine.serving(free_port())
    command = json.loads(machine.said.read_text())["pid"]
    child.kill()
    ended(child)
    eventually(lambda: not psutil.pid_exists(command), 10, "the command has ended")
    machine.is_taken()
    again = machine.attach("true", port=free_port())
    assert "and is gone\nhint: devenv up gives the place back" in ended(again)
    assert again.returncode == 1
    machine.is_taken()
    # The step of `up`, whose plan tests/test_stand_in.py has.
    env = opened(machine, monkeypatch)
    living = next(o for o in env.api.listed("apps/v1", "Deployment", NAMESPACE) if o.id.name == "web")
    Handlers(env).do(Detach(living), 30)
    assert machine.web["spec"]["replicas"] == 2
    assert ATTACHED not in machine.web["metadata"]["annotations"]
    assert not machine.folder.attached.exists()


def opened(machine: Place, monkeypatch: pytest.MonkeyPatch) -> Environment:
    """Return the environment as a command has it."""
    for key in ("DOCKER_HOST", "XDG_STATE_HOME"):
        monkeypatch.setenv(key, machine.environ[key])
    daemon.client.cache_clear()
    monkeypatch.setattr(machine.docker, "answers", {**machine.docker.answers, "/info": {"DockerRootDir": "/nowhere"}})
    return environment.of(config.load(machine.root / "pyproject.toml", {}, {}, True), machine.folder)


def test_there_is_one_at_a_time_and_no_up_meanwhile(machine: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    child = machine.serving(free_port())
    changes = len(machine.store.changes)
    second = machine.attach("true", port=free_port())
    assert f"`devenv attach` of deployment/web (process {child.pid}) is under way" in ended(second)
    assert second.returncode == 1
    assert len(machine.store.changes) == changes
    env = opened(machine, monkeypatch)
    desired, observed = sources.load(env.settings), Observed(cluster=Cluster.RUNNING)
    with pytest.raises(DevenvError, match=r"is under way\nhint: end it first, by Ctrl-C"):
        preflight.check(desired, observed, env)
    machine.is_taken()
    child.send_signal(signal.SIGINT)
    ended(child)
    machine.is_as_before()
    preflight.check(desired, observed, env)


@pytest.mark.parametrize(
    ("words", "why", "code"),
    [
        (("attach", "web", "--port", "8000:80"), "no command given", 2),
        (("attach", "web", "--", "true"), "no port given", 2),
        (("attach", "wbe", "--port", "8000:80", "--", "true"), "nothing here is named wbe", 2),
        (("attach", "web", "--port", "8000:80", "--port", "8001:80", "--", "true"), "for the same port", 2),
    ],
)
def test_what_is_wrongly_asked_for_is_refused(machine: Place, words: tuple[str, ...], why: str, code: int) -> None:
    done = machine.run(*words)
    assert (why in done.stderr, done.returncode) == (True, code), done.stderr
    assert machine.store.changes == []


def test_what_stands_in_the_way_is_told_before_anything_is_changed(machine: Place) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = machine.attach("true", port=other.getsockname()[1])
        assert "is in use by process" in ended(taken)
    machine.node.gateway = "192.0.2.1"  # of nobody (RFC 5737)
    far = machine.attach("true", port=free_port())
    assert "the cluster cannot reach this machine: 192.0.2.1" in ended(far)
    machine.node.gateway = ""
    none = machine.attach("true", port=free_port())
    assert "Docker tells no address" in ended(none)
    machine.node.gateway = GATEWAY
    stray = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "stray", "namespace": NAMESPACE}}
    stray["metadata"]["labels"] = {"app": "web"}  # type: ignore[index]
    machine.store.put(stray)
    both = machine.attach("true", port=free_port())
    assert "service web leads to pod/stray too" in ended(both)
    assert [c.returncode for c in (taken, far, none, both)] == [1] * 4
    assert machine.store.changes == []


def test_on_a_cluster_of_others_it_is_refused_with_the_reason(machine: Place) -> None:
    machine.extra["KUBECONFIG"] = str(api_store.kubeconfig(machine.root, machine.store.url))
    done = machine.run("attach", "web", "--port", "8000:80", "--context", "c", "--", "true")
    assert done.returncode == 2
    assert "attach needs a cluster of devenv's own: the pods of context c have no way to this machine" in done.stderr
    assert machine.store.changes == []


def test_a_command_that_listens_for_this_machine_alone_is_told_so(machine: Place) -> None:
    port = free_port()
    child = machine.serving(port, "127.0.0.1")
    time.sleep(3)
    child.send_signal(signal.SIGINT)
    said = ended(child)
    assert f"port {port} is listened on for this machine alone" in said
    assert f"hint: have the command listen on 0.0.0.0, or on {GATEWAY}" in said


def test_who_ends_an_environment_has_it_end_first(machine: Place) -> None:
    from devenv.reconcile import attaching

    child = machine.serving(free_port())
    told: list[str] = []
    attaching.end(machine.folder, told.append)
    ended(child)
    assert told == [f"ending `devenv attach` of deployment/web (process {child.pid})"]
    machine.is_as_before()
    attaching.end(machine.folder, told.append)
    assert len(told) == 1
    with attaching.held(machine.folder, "deployment/x") as holds:
        holds("uid")
        who = attaching.holder(machine.folder)
        assert who
        assert (who.workload, who.uid) == ("deployment/x", "uid")
        with pytest.raises(DevenvError, match="is under way"), attaching.held(machine.folder, "deployment/y"):
            raise AssertionError
    assert attaching.holder(machine.folder) is None
