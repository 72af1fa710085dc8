"""What the docker program itself is told to talk to, and how its answers are read."""

import asyncio
import io
import json
import os
import tarfile
from pathlib import Path

import docker
import pytest

from devenv.cluster import kind
from devenv.forwarder.forward import Client, Forward
from devenv.forwarder.listener import Listener
from devenv.forwarder.routes import NodeRoute
from devenv.forwarder.spec import LOST, OPEN, ForwardSpec
from devenv.images import daemon, endpoint
from devenv.project import envfile
from devenv.system import process
from tests import docker_api
from tests.test_docker_endpoint import configured
from tests.test_forwarder import free_port, run, service


@pytest.mark.parametrize("running", [True, False])
def test_a_node_on_two_networks_has_one_of_its_addresses(monkeypatch: pytest.MonkeyPatch, running: bool) -> None:
    networks = {name: {"IPAddress": ip} for name, ip in (("a", ""), ("b", "172.18.0.2"), ("c", "172.19.0.3"))}
    seen = {"Id": "1", "State": {"Running": running}, "NetworkSettings": {"Networks": networks}}
    with docker_api.serving({"/containers/n-control-plane/json": seen}) as api:
        monkeypatch.setenv("DOCKER_HOST", api.host)
        route = NodeRoute("n-control-plane", lambda _: None)
        asyncio.run(route.find())
    assert route.address == ("172.18.0.2" if running else "")


def test_forwards_to_a_paused_node_are_lost_leave_it_alone_and_open_when_it_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    node, told, reached = docker_api.Node("n", paused=True), list[str](), list[int]()

    async def answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:  # noqa: ARG001
        reached.append(1)
        if node.paused:
            await asyncio.sleep(60)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")

    async def scenario() -> None:
        route = NodeRoute(node.name, told.append)
        await route.look(0)
        async with service(answers) as port:
            spec = ForwardSpec("web", free_port(), "shop", "web", probe="http /", node_port=port)
            forward = Forward(spec, route, None, told.append, route)
            listener = Listener(spec.local_port, lambda: Client(forward, set()), told.append)
            watching = asyncio.create_task(forward.watch())
            await forward.probed()
            assert (forward.state, forward.reason, reached) == (LOST, "the cluster is paused", [])
            await asyncio.sleep(1)
            assert reached == []
            node.paused = False
            await route.look(0)
            await forward.fresh()
            assert (forward.state, len(reached)) == (OPEN, 1)
            node.paused = True  # by somebody who did not say so
            await route.look(0)
            await forward.fresh()
            assert (forward.state, len(reached)) == (LOST, 1)
            watching.cancel()
            listener.close()

    with docker_api.serving(node.answers()) as api:
        monkeypatch.setenv("DOCKER_HOST", api.host)
        run(scenario())
    turns = [line for line in told if "->" in line]
    assert turns == [
        "web: CONNECTING -> LOST the cluster is paused", "web: LOST -> OPEN", "web: OPEN -> LOST the cluster is paused",
    ]  # fmt: skip


def test_a_stop_that_cannot_end_the_pods_by_itself_leaves_them_to_the_node_and_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    node = docker_api.Node("n", paused=True)
    with docker_api.serving(node.answers()) as api:
        monkeypatch.setenv("DOCKER_HOST", api.host)
        for cached in (endpoint.current, daemon.client):
            cached.cache_clear()
        try:
            (late,) = kind.stop("n")
        finally:
            for cached in (endpoint.current, daemon.client):
                cached.cache_clear()
    assert late.startswith("pods, by the node's own shutdown: ")
    assert (node.running, node.paused) == (False, False)
    posted = [path.rpartition("/")[2] for path in api.asked if path.startswith("POST ")]
    assert posted == ["unpause", "exec", "stop"]


@pytest.mark.parametrize(
    ("current", "environ", "reached"),
    [
        ("one", {}, "one"),
        ("one", {"DOCKER_CONTEXT": "two"}, "two"),
        ("one", {"DOCKER_HOST": "two"}, "two"),
        ("one", {"DOCKER_HOST": "two", "DOCKER_CONTEXT": "one"}, "two"),
        ("one", {"DOCKER_HOST": "", "DOCKER_CONTEXT": ""}, "one"),
        ("", {"DOCKER_CONTEXT": "one"}, "one"),
    ],
)
def test_the_library_and_the_program_talk_to_the_same_daemon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, current: str, environ: dict[str, str], reached: str
) -> None:
    with docker_api.serving({"/containers/json": []}) as one, docker_api.serving({"/containers/json": []}) as two:
        hosts = {"one": one.host, "two": two.host}
        monkeypatch.setenv("DOCKER_CONFIG", str(configured(tmp_path, current, **hosts)))
        for name in ("DOCKER_HOST", "DOCKER_CONTEXT"):
            monkeypatch.delenv(name, raising=False)
        for name, value in environ.items():
            monkeypatch.setenv(name, hosts.get(value, value) if name == "DOCKER_HOST" else value)
        found = endpoint.of(os.environ)
        assert docker.DockerClient(**found.arguments).api.containers() == []
        configured(tmp_path, "two")  # `docker context use two` in another shell
        assert process.run(["docker", "ps", "--quiet"], env=found.variables) == ""
        asked = {"one": one.asked.count("/containers/json"), "two": two.asked.count("/containers/json")}
    assert asked == {**dict.fromkeys(hosts, 0), reached: 2}


def test_docker_takes_the_values_of_an_env_file_that_need_no_quotes_as_they_are(tmp_path: Path) -> None:
    values = {"A": "x", "B": "", "URL": "postgresql://u:p@127.0.0.1:5432/db", "C": "a=b==", "D": "%41+_-./:@"}
    assert all(envfile.SAFE.fullmatch(value) for value in values.values())
    file = tmp_path / "settings.env"
    file.write_text(envfile.as_dotenv(values))
    image = process.run(["docker", "import", "-"], stdin=empty_archive()).strip()
    container = process.run(["docker", "create", "--env-file", str(file), image, "/nothing"]).strip()
    try:
        seen = json.loads(process.run(["docker", "inspect", "--format", "{{json .Config.Env}}", container]))
    finally:
        process.run(["docker", "rm", container])
        process.run(["docker", "rmi", image])
    assert values.items() <= dict(pair.split("=", 1) for pair in seen).items()


def empty_archive() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w"):
        pass
    return file.getvalue()
