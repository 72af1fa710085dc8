"""A connection through the API server, over a real WebSocket: what the API server does, the client sees."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import aiofastnet
import pytest
from picows import (
    WSFrame,
    WSListener,
    WSMsgType,
    WSTransport,
    WSUpgradeRequest,
    WSUpgradeResponse,
    WSUpgradeResponseWithListener,
    ws_create_server,
)

from devenv import ways
from devenv.apiserver import ApiServer
from devenv.certificates import issue, new_authority
from devenv.endpoints import Pod
from devenv.relay import Client, Forward
from devenv.ways import ApiWay, Way
from tests.test_forwarder import Here, ended, free_port, run
from tests.test_tls import serve, serving

PATH = b"/api/v1/namespaces/here/pods/pod-1/portforward?ports=6379"
TOLD_PORT = (6379).to_bytes(2, "little")
POD = Pod("pod-1", "uid", "10.0.0.1", 6379, True)


class One(Forward):
    """A forward to one pod, whatever a watch would tell."""

    def pods(self) -> list[Pod]:
        return [POD]


class Portforward(WSListener):
    """A pod that speaks first, does what `end`, `break` and `fail` say, and sends everything else back.

    It refuses the first `refusals` connections, as the kubelet tells it: after the tunnel was opened.
    """

    refusals = 0

    def on_ws_connected(self, transport: WSTransport) -> None:
        transport.send(WSMsgType.BINARY, b"\0" + TOLD_PORT)
        transport.send(WSMsgType.BINARY, b"\1" + TOLD_PORT)
        if Portforward.refusals:
            Portforward.refusals -= 1
            asyncio.get_running_loop().call_later(0.05, self.fail, transport)
        else:
            transport.send(WSMsgType.BINARY, b"\0hello ")

    def fail(self, transport: WSTransport) -> None:
        transport.send(WSMsgType.BINARY, b"\1the pod does not listen")
        transport.send_close()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type != WSMsgType.BINARY:
            return
        message = frame.get_payload_as_bytes()
        if message == b"\0end":
            transport.send_close()
        elif message == b"\0fail":
            self.fail(transport)
        elif message == b"\0break":
            transport.disconnect()
        else:
            transport.send(WSMsgType.BINARY, message)


def upgrade(request: WSUpgradeRequest) -> WSUpgradeResponseWithListener:
    headers = request.headers
    assert headers["Authorization"] == "Bearer secret"
    assert headers["Sec-WebSocket-Protocol"] == "v4.channel.k8s.io"
    if request.path != PATH:
        refusal = WSUpgradeResponse.create_error_response(404, b"no such pod")
        return WSUpgradeResponseWithListener(refusal, None)
    chosen = {"Sec-WebSocket-Protocol": "v4.channel.k8s.io"}
    return WSUpgradeResponseWithListener(WSUpgradeResponse.create_101_response(extra_headers=chosen), Portforward())


@asynccontextmanager
async def api_server(port: int = 0, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Listen, and yield the port."""
    api = await ws_create_server(upgrade, "127.0.0.1", port, ssl=tls)
    try:
        yield api.sockets[0].getsockname()[1]
    finally:
        api.close()


@asynccontextmanager
async def forward(namespace: str = "here", hold_s: float = 5.0) -> AsyncIterator[tuple[Forward, int]]:
    async with api_server() as port:
        server = ApiServer(f"http://127.0.0.1:{port}", token="secret")  # noqa: S106
        async with forward_by(ApiWay(lambda: server), namespace, hold_s) as found:
            yield found


@asynccontextmanager
async def forward_by(way: Way, namespace: str = "here", hold_s: float = 5.0) -> AsyncIterator[tuple[Forward, int]]:
    """Listen on a free port and lead to the pod."""
    spec = {"name": "x", "namespace": namespace, "service": "s", "hold_s": hold_s, "probe": "tcp"}
    one = One(spec, way, None, print)
    tasks: set[asyncio.Task[None]] = set()
    client = partial(Client, one, tasks)
    listener = await aiofastnet.create_server(asyncio.get_running_loop(), client, "127.0.0.1", 0)
    try:
        yield one, listener.sockets[0].getsockname()[1]
    finally:
        listener.close()


def test_a_service_that_speaks_first_is_heard_and_all_comes_back() -> None:
    async def scenario() -> None:
        async with forward() as (one, local):
            reader, writer = await asyncio.open_connection("127.0.0.1", local)
            assert await reader.readexactly(6) == b"hello "
            sent = bytes(range(256)) * 20_000
            writer.write(sent)
            assert await reader.readexactly(len(sent)) == sent
            writer.write(b"end")
            assert await reader.read() == b""
            writer.close()
            await ended(one)
            assert (one.sent, one.received, len(one.clients)) == (len(sent) + 3, len(sent) + 6, 0)

    run(scenario())


def test_a_client_that_has_sent_everything_gets_the_rest_of_its_answer() -> None:
    async def scenario() -> None:
        async with forward() as (_, local):
            reader, writer = await asyncio.open_connection("127.0.0.1", local)
            writer.write(b"rest")
            writer.write_eof()
            assert await reader.read() == b"hello rest"
            writer.close()

    run(scenario())


@pytest.mark.parametrize(
    ("word", "why"), [(b"break", "the API server broke the connection"), (b"fail", "the pod does not listen")]
)
def test_a_connection_that_the_api_server_did_not_end_well_is_reset(word: bytes, why: str) -> None:
    async def scenario() -> None:
        async with forward() as (one, local):
            reader, writer = await asyncio.open_connection("127.0.0.1", local)
            await reader.readexactly(6)
            writer.write(word)
            with pytest.raises(ConnectionResetError):
                await reader.read()
            assert one.last_error == why

    run(scenario())


def test_what_the_api_server_answers_instead_is_the_reason() -> None:
    async def scenario() -> None:
        async with forward(namespace="elsewhere", hold_s=0.2) as (one, local):
            reader, _ = await asyncio.open_connection("127.0.0.1", local)
            with pytest.raises(ConnectionResetError):
                await reader.read()
            assert "404" in one.last_error
            assert "no such pod" in one.last_error

    run(scenario())


@pytest.mark.parametrize("at_the_node", ["the API server", "nobody", "a stranger"])
def test_the_api_server_is_asked_at_the_node_or_else_where_the_kubeconfig_says(
    at_the_node: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its certificate names the kubeconfig's host, and not the node's address."""
    port, nobody, now = free_port(), free_port(), datetime.now(UTC)
    ours, theirs = (new_authority("x", "localhost", now) for _ in range(2))
    there = {"the API server": port, "nobody": nobody, "a stranger": serve(issue(theirs, "localhost", now), tmp_path)}
    monkeypatch.setattr(ways, "API_PORT", there[at_the_node])
    trusted = ssl.create_default_context(cadata=ours.certificate)
    told = nobody if at_the_node == "the API server" else port
    server = ApiServer(f"https://localhost:{told}", trusted, "secret")

    async def scenario() -> None:
        tls = serving(issue(ours, "localhost", now), tmp_path)
        async with api_server(port, tls), forward_by(ApiWay(lambda: server, Here())) as (one, local):
            reader, writer = await asyncio.open_connection("127.0.0.1", local)
            assert await reader.readexactly(6) == b"hello "
            writer.close()
            where = "127.0.0.1" if at_the_node == "the API server" else "localhost"
            assert one.way.describe(one.spec) == f"api https://{where}:{port}"

    run(scenario())


def test_a_connection_waits_for_a_pod_that_is_ready_and_refuses_still(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Portforward, "refusals", 3)

    async def scenario() -> None:
        async with forward() as (one, local):
            reader, writer = await asyncio.open_connection("127.0.0.1", local)
            assert await reader.readexactly(6) == b"hello "
            writer.close()
            assert (Portforward.refusals, one.served, one.refused) == (0, 1, 0)

    run(scenario())
