"""Every verb meets a cluster in every state: it names it at once, and asks nothing of a node that cannot answer."""

import json
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread

import pytest
import yaml

from devenv.cli.app import app
from devenv.cluster.state import Cluster
from devenv.errors import DevenvError, UsageError
from devenv.forwarder.spec import ForwardSpec, ProcessSpec
from devenv.images import daemon, endpoint
from devenv.kube import kubeconfig
from devenv.system import state
from tests import docker_api
from tests.docker_api import Node
from tests.test_forwarder import free_port
from tests.waiting import eventually

NAME = "states"
TABLE = """
[tool.devenv]
name = "states"
namespace = "shop"
manifests = "k8s"
[tool.devenv.forwards.web]
service = "web"
ports = "{port}:80"
[tool.devenv.tls]
host = "web.example"
ingress = "web"
secret = "web-tls"
[tool.devenv.tests.smoke]
run = ["true"]
"""
LABELS = {"app": "web"}
RULE = {"host": "web.example", "http": {"paths": [
    {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "web", "port": {"number": 80}}}}
]}}  # fmt: skip
OBJECTS = [
    {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {
        "selector": {"matchLabels": LABELS},
        "template": {"metadata": {"labels": LABELS}, "spec": {"containers": [{"name": "web", "image": "web:1"}]}},
    }},
    {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
     "spec": {"selector": LABELS, "ports": [{"port": 80}]}},
    {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "web"},
     "spec": {"tls": [{"hosts": ["web.example"], "secretName": "web-tls"}], "rules": [RULE]}},
]  # fmt: skip
# Verbs that need a cluster that runs; each is told the state by its name.
NEED_IT = ("status", "plan", "env", "test smoke", "wait all --timeout 0.1s", "forward start", "images load", "tls up",
           "tls status", "tls down --yes", "logs", "logs --follow",
           "events", "exec web -- true", "restart web")  # fmt: skip
LOOKS = ("status", "plan", "wait all --timeout 0.1s", "forward status", "tls status", "logs", "events", "images list")
RESTS = ("pause", "resume", "start", "stop")
EVERY = ("up", "down --yes", "forward status", "open web", "images list", *NEED_IT, *RESTS)


@dataclass
class Host:
    """A machine with a node in some state, and an API server that takes connections and never answers."""

    docker: docker_api.Api
    node: Node
    folder: state.Folder
    api: socket.socket
    capsys: pytest.CaptureFixture[str]

    def said(self, verb: str) -> str:
        """Run a verb in this process, and return all that it said."""
        told = ""
        try:
            app(verb.split(), standalone_mode=False)
        except DevenvError as error:
            told = str(error)
        out, err = self.capsys.readouterr()
        return out + err + told

    def asked_of_the_node(self) -> bool:
        """Whether anybody has connected to the API server."""
        try:
            self.api.accept()[0].close()
        except BlockingIOError:
            return False
        return True

    def posted(self) -> list[str]:
        return [path for path in self.docker.asked if path.startswith("POST ")]


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Host]:
    root, caches = tmp_path / "project", (endpoint.current, daemon.client, daemon.platform, kubeconfig.kubeconfig)
    (root / "k8s").mkdir(parents=True)
    (root / "k8s/all.yaml").write_text(yaml.safe_dump_all(OBJECTS))
    port = free_port()
    (root / "pyproject.toml").write_text(TABLE.format(port=port))
    node = Node(NAME)
    with docker_api.serving(node.answers()) as docker, socket.create_server(("127.0.0.1", 0)) as api:
        api.setblocking(False)
        monkeypatch.chdir(root)
        for key, value in {
            "DOCKER_HOST": docker.host,
            "XDG_STATE_HOME": str(tmp_path / "state"),
            "NO_COLOR": "1",
        }.items():
            monkeypatch.setenv(key, value)
        for cached in caches:
            cached.cache_clear()
        folder = state.folder(NAME)
        folder.make()
        written(folder.kubeconfig, f"https://127.0.0.1:{api.getsockname()[1]}")
        spec = ForwardSpec("web", port, "shop", "web")
        state.write(folder.forwards, ProcessSpec("h", node.name, "auto", (spec,)).to_json())
        yield Host(docker, node, folder, api, capsys)
    for cached in caches:
        cached.cache_clear()


def written(file: Path, server: str) -> None:
    config = {
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "contexts": [{"name": "c", "context": {"cluster": "c"}}],
        "current-context": "c",
    }
    state.write(file, json.dumps(config))


@pytest.mark.parametrize("cluster", [Cluster.STOPPED, Cluster.PAUSED, Cluster.UNFINISHED, Cluster.ABSENT])
@pytest.mark.parametrize("verb", [*NEED_IT, "forward status", "open web"])
def test_a_cluster_whose_node_does_not_run_is_named_and_nothing_is_asked_of_it(
    host: Host, verb: str, cluster: Cluster
) -> None:
    host.node.running, host.node.paused = cluster is not Cluster.STOPPED, cluster is Cluster.PAUSED
    host.node.made = cluster is not Cluster.UNFINISHED
    if cluster is Cluster.ABSENT:
        host.docker.answers["/containers/json"] = []
    said = host.said(verb)
    assert cluster.value in said
    assert not host.asked_of_the_node()
    assert host.posted() == []
    if verb in ("env", "test smoke", "forward start", "images load", "tls status"):
        assert f"cluster {NAME} {cluster.value}\nhint: {cluster.way_out}" in said


@pytest.mark.parametrize("cluster", [Cluster.STOPPED, Cluster.PAUSED, Cluster.UNFINISHED, Cluster.ABSENT])
@pytest.mark.parametrize("has", [True, False])
def test_without_forwards_no_settings_are_exported_of_a_cluster_that_does_not_run(
    host: Host, cluster: Cluster, has: bool
) -> None:
    """A kubeconfig that nobody has written, or whose cluster does not answer, is of no use to anybody."""
    file = Path("pyproject.toml")
    file.write_text(file.read_text().partition("[tool.devenv.forwards")[0])
    if not has:
        host.folder.kubeconfig.unlink()
    host.node.running, host.node.paused = cluster is not Cluster.STOPPED, cluster is Cluster.PAUSED
    host.node.made = cluster is not Cluster.UNFINISHED
    if cluster is Cluster.ABSENT:
        host.docker.answers["/containers/json"] = []
    assert host.said("env") == f"cluster {NAME} {cluster.value}\nhint: {cluster.way_out}"
    assert host.folder.kubeconfig.exists() is has


def test_a_wait_for_nothing_that_can_be_awaited_ends_at_once(host: Host) -> None:
    file = Path("pyproject.toml")
    file.write_text(file.read_text().partition("[tool.devenv.forwards")[0])
    config_map = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "only"}}
    Path("k8s/all.yaml").write_text(yaml.safe_dump(config_map))
    for verb in ("wait", "wait all"):
        assert host.said(verb) == "ready\n"


@pytest.mark.parametrize("cluster", [Cluster.STARTING, Cluster.UNREACHABLE])
@pytest.mark.parametrize("verb", NEED_IT)
def test_a_cluster_whose_api_server_does_not_answer_is_named(host: Host, verb: str, cluster: Cluster) -> None:
    if cluster is Cluster.STARTING:
        host.node.started = datetime.now(UTC).isoformat()
    written(host.folder.kubeconfig, f"https://127.0.0.1:{free_port()}")
    assert cluster.value in host.said(verb)
    assert host.posted() == []


@pytest.mark.parametrize("verb", LOOKS)
def test_who_only_looks_at_another_namespace_leaves_the_kubeconfig_as_it_is(host: Host, verb: str) -> None:
    written(host.folder.kubeconfig, f"https://127.0.0.1:{free_port()}")
    before = {file: file.read_bytes() for file in host.folder.path.iterdir()}
    host.said(f"{verb} -n other")
    assert {file: file.read_bytes() for file in host.folder.path.iterdir()} == before


@pytest.mark.parametrize("verb", EVERY)
def test_a_cluster_that_somebody_else_made_is_refused_by_every_verb(host: Host, verb: str) -> None:
    host.node.ours = False
    assert "was not created by devenv; refusing to touch it" in host.said(verb)
    assert host.posted() == []
    assert not host.asked_of_the_node()


@pytest.mark.parametrize("verb", RESTS)
def test_only_a_whole_cluster_is_put_to_rest_or_brought_back(host: Host, verb: str) -> None:
    host.node.made = False
    told = f"cluster {NAME} {Cluster.UNFINISHED.value}\nhint: devenv up"
    assert told in host.said(verb)
    host.docker.answers["/containers/json"] = []
    assert f"cluster {NAME} does not exist\nhint: devenv up" in host.said(verb)
    assert host.posted() == []
    assert not host.folder.lock.exists()


@pytest.mark.parametrize("verb", RESTS)
def test_an_existing_cluster_is_not_ours_to_put_to_rest(
    host: Host, verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path / "theirs", f"https://127.0.0.1:{free_port()}")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "theirs"))
    with pytest.raises(UsageError, match=f"context c is a cluster that devenv did not make; refusing to {verb} it"):
        app([*verb.split(), "--context", "c"], standalone_mode=False)
    assert host.posted() == []


def test_a_pause_freezes_the_node_once_and_says_so(host: Host) -> None:
    frozen = f"POST /containers/{host.node.name}/pause"
    for changed in (True, False):
        seen = json.loads("{" + host.said("pause -o json").partition("{")[2].rpartition("}")[0] + "}")
        assert (seen["name"], seen["cluster"], seen["changed"]) == (NAME, "PAUSED", changed)
        assert [(f["state"], f["reason"]) for f in seen["forwards"]] == [("LOST", "the cluster is paused")]
        assert seen["next"] == "Next: devenv resume"
        assert host.posted() == [frozen]
    assert f"{NAME} is already paused" in host.said("pause")


def test_what_is_stopped_is_already_stopped_and_neither_paused_nor_resumed(host: Host) -> None:
    host.node.running = False
    assert f"{NAME} is already stopped" in host.said("stop")
    for verb in ("pause", "resume"):
        assert f"cluster {NAME} is stopped\nhint: devenv start" in host.said(verb)
    assert host.posted() == []


def test_a_pause_waits_for_the_command_that_is_at_work_on_the_cluster(host: Host) -> None:
    waits = Thread(target=lambda: host.said("pause"))
    with state.locked(host.folder, "up", print):
        waits.start()
        looked: Callable[[], bool] = lambda: host.docker.asked.count("/containers/n1/json") > 0  # noqa: E731
        eventually(looked)
        waits.join(0.5)
        assert host.posted() == []
    waits.join(30)
    assert host.node.paused


def test_a_wait_ends_at_once_where_nobody_is_about_to_bring_the_cluster_back(host: Host) -> None:
    host.node.paused = True
    assert "hint: devenv resume" in host.said("wait forward/web --timeout 5s")
    with state.locked(host.folder, "resume", print):
        assert "not ready after 0.1 s" in host.said("wait all --timeout 0.1s")


@pytest.mark.parametrize("cluster", [Cluster.STOPPED, Cluster.PAUSED])
def test_what_a_node_at_rest_has_of_images_is_not_known(host: Host, cluster: Cluster) -> None:
    host.node.running, host.node.paused = cluster is Cluster.PAUSED, cluster is Cluster.PAUSED
    said = host.said("images list -o json")
    assert f"cluster {NAME} {cluster.value}: what its node has cannot be seen" in said
    rows = json.loads(said[said.index("[\n") : said.rindex("]") + 1])
    assert {row["node"] for row in rows} == {None}
