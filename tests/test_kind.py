"""The port of a cluster's API server: its own for as long as the cluster is there."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from devenv.cluster import kind
from devenv.errors import DevenvError
from devenv.images import daemon, endpoint
from devenv.project import isolation
from tests import docker_api
from tests.docker_api import Node

PROXY = "Error starting userland proxy: listen tcp4 127.0.0.1:31007: bind: address already in use"
NAME = "taken"


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch) -> Iterator[docker_api.Api]:
    """A Docker host with a stopped node."""
    stopped = Node(NAME, running=False)
    with docker_api.serving(stopped.answers()) as docker:
        monkeypatch.setenv("DOCKER_HOST", docker.host)
        for known in (endpoint.current, daemon.client):
            known.cache_clear()
        yield docker
        for known in (endpoint.current, daemon.client):
            known.cache_clear()


def test_it_is_none_that_a_client_or_a_forward_may_be_given_while_the_cluster_is_stopped() -> None:
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert kind.API_PORTS.start >= isolation.END
    assert kind.API_PORTS.stop <= first
    assert kind.unused_port() in kind.API_PORTS
    assert yaml.safe_load(kind.configuration("", 31007))["networking"] == {"apiServerPort": 31007, "ipFamily": "ipv4"}


def test_it_is_none_that_somebody_has(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        ports = [one.getsockname()[1], other.getsockname()[1]]
        monkeypatch.setattr(kind, "API_PORTS", ports)
        assert kind.unused_port() == 0
        other.close()
        assert kind.unused_port() == ports[1]


@pytest.mark.parametrize(
    "why", [f"driver failed: {PROXY}", "Bind for 127.0.0.1:31007 failed: port is already allocated"]
)
def test_who_has_taken_it_meanwhile_is_told(node: docker_api.Api, why: str) -> None:
    node.answers[f"POST /containers/{NAME}-control-plane/start"] = RuntimeError(why)
    with pytest.raises(DevenvError, match=r"another program has its port 31007\nhint: .* sport = :31007"):
        kind.start(NAME)


def test_any_other_reason_is_docker_s_own(node: docker_api.Api) -> None:
    node.answers[f"POST /containers/{NAME}-control-plane/start"] = RuntimeError("no space left on device")
    with pytest.raises(DevenvError, match="no space left on device"):
        kind.start(NAME)
