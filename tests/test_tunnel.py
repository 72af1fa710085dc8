"""A connection through the API server, over a real WebSocket: what the API server does, the client sees."""

import asyncio
import json
import ssl
import time
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

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

from devenv.certificates.x509 import issue, new_authority
from devenv.forwarder import routes, tunnel
from devenv.forwarder.apiserver import Kubeconfig, connect
from devenv.forwarder.connection import SocketEndpoint
from devenv.forwarder.dial import NodeFirst
from devenv.forwarder.forward import Client, Forward
from devenv.forwarder.routes import ApiRoute, Route
from devenv.forwarder.spec import ForwardSpec, Pod
from tests.test_credentials import kubeconfig as credentials_kubeconfig
from tests.test_credentials import printing, program
from tests.test_forwarder import Here, echo_all, ended, free_port, run, service
from tests.test_tls import serve, serving

PATH = b"/api/v1/namespaces/here/pods/pod-1/portforward?ports=6379"
TOLD_PORT = (6379).to_bytes(2, "little")
LATER_S = 4.5
MUCH, MESSAGE = bytes(1 << 25), 1 << 16
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
    tokens = ("secret", "t1", "t2")  # that the API server before it takes
    ended = 0  # connections to it

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

    def answer(self, transport: WSTransport) -> None:
        transport.send(WSMsgType.BINARY, b"\0later")
        transport.send_close()

    def on_ws_disconnected(self, transport: WSTransport) -> None:  # noqa: ARG002
        Portforward.ended += 1

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
        elif message == b"\0later":
            asyncio.get_running_loop().call_later(LATER_S, self.answer, transport)
        elif message == b"\0much":
            for at in range(0, len(MUCH), MESSAGE):
                transport.send(WSMsgType.BINARY, b"\0" + MUCH[at : at + MESSAGE])
            transport.send_close()
        else:
            transport.send(WSMsgType.BINARY, message)


def upgrade(request: WSUpgradeRequest) -> WSUpgradeResponseWithListener:
    headers = request.headers
    assert headers["Sec-WebSocket-Protocol"] == "v4.channel.k8s.io"
    if headers["Authorization"].removeprefix("Bearer ") not in Portforward.tokens:
        return WSUpgradeResponseWithListener(WSUpgradeResponse.create_error_response(401, b"who?"), None)
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


def kubeconfig(folder: Path, url: str, authority: str = "", name: str = "") -> Kubeconfig:
    """Return the kubeconfig of an API server, read as the forwards' process reads it."""
    data = b64encode(authority.encode()).decode()
    cluster = {"server": url, "certificate-authority-data": data, "tls-server-name": name}
    config = {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": {"token": "secret"}}],
    }
    file = folder / "kubeconfig"
    file.write_text(json.dumps(config))
    return Kubeconfig(file, print)


@asynccontextmanager
async def forward(namespace: str = "here", hold_s: float = 5.0) -> AsyncIterator[tuple[Forward, int]]:
    async with api_server() as port:
        with TemporaryDirectory() as folder:
            server = kubeconfig(Path(folder), f"http://127.0.0.1:{port}")
            async with forward_by(ApiRoute(server), namespace, hold_s) as found:
                yield found


@asynccontextmanager
async def forward_by(route: Route, namespace: str = "here", hold_s: float = 5.0) -> AsyncIterator[tuple[Forward, int]]:
    """Listen on a free port and lead to the pod."""
    one = One(ForwardSpec("x", 0, namespace, "s", hold_s=hold_s), route, None, print)
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


async def half_closed(local: int, said: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Return a client that has said its word and sends nothing more."""
    reader, writer = await asyncio.open_connection("127.0.0.1", local)
    assert await reader.readexactly(6) == b"hello "
    writer.write(said)
    writer.write_eof()
    return reader, writer


@pytest.mark.parametrize("answer", [b"later", MUCH], ids=["late", "much"])
def test_a_client_that_has_sent_everything_gets_all_of_its_answer(answer: bytes) -> None:
    async def scenario() -> None:
        async with forward() as (one, local):
            reader, writer = await half_closed(local, b"much" if answer is MUCH else b"later")
            if answer is MUCH:  # which it takes its time to read
                await asyncio.sleep(LATER_S)
            assert await reader.read() == answer
            writer.close()
            await ended(one)
            assert one.last_error == ""

    run(scenario())


def test_an_answer_that_does_not_end_is_never_taken_for_a_whole_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tunnel, "SILENCE_S", 0.5)

    async def scenario() -> None:
        async with forward() as (one, local):
            reader, _ = await half_closed(local, b"rest")
            assert await reader.readexactly(4) == b"rest"
            with pytest.raises(ConnectionResetError):
                await reader.read()
            assert one.last_error == "no end of the answer came within 0.5 s, after the client's end"

    run(scenario())


def test_a_client_that_is_gone_leaves_no_tunnel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Portforward, "ended", 0)

    async def scenario() -> None:
        async with forward() as (one, local):
            reader, writer = await half_closed(local, b"rest")
            assert await reader.readexactly(4) == b"rest"
            writer.close()
            await ended(one)
            async with asyncio.timeout(5):
                while not Portforward.ended:
                    await asyncio.sleep(0.05)

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
    monkeypatch.setattr(routes, "API_PORT", there[at_the_node])
    told = nobody if at_the_node == "the API server" else port
    server = kubeconfig(tmp_path, f"https://localhost:{told}", ours.certificate)

    async def scenario() -> None:
        tls = serving(issue(ours, "localhost", now), tmp_path)
        async with api_server(port, tls), forward_by(ApiRoute(server, Here())) as (one, local):
            reader, writer = await asyncio.open_connection("127.0.0.1", local)
            assert await reader.readexactly(6) == b"hello "
            writer.close()
            where = "127.0.0.1" if at_the_node == "the API server" else "localhost"
            assert one.route.describe(one.spec) == f"api https://{where}:{port}"

    run(scenario())


@pytest.mark.parametrize("name", ["localhost", "elsewhere"])
def test_the_certificate_has_to_be_for_the_name_that_the_kubeconfig_tells(name: str, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    ours = new_authority("x", "localhost", now)

    async def scenario() -> None:
        async with api_server(0, serving(issue(ours, "localhost", now), tmp_path)) as port:
            server = kubeconfig(tmp_path, f"https://127.0.0.1:{port}", ours.certificate, name)
            async with forward_by(ApiRoute(server), hold_s=0.2) as (one, local):
                reader, _ = await asyncio.open_connection("127.0.0.1", local)
                if name == "localhost":
                    assert await reader.readexactly(6) == b"hello "
                    (await asyncio.to_thread(connect, server.get())).close()
                    return
                with pytest.raises(ConnectionResetError):
                    await reader.read()
                assert "hostname mismatch" in one.last_error
                with pytest.raises(ssl.SSLCertVerificationError, match="elsewhere"):
                    await asyncio.to_thread(connect, server.get())

    run(scenario())


PROGRAM_TAKES_S = 3


def renewing(folder: Path, url: str, first_lasts_s: float, takes_s: float = PROGRAM_TAKES_S) -> Kubeconfig:
    """Return a kubeconfig whose program gives t1 at once, and t2 only after a while."""
    end = datetime.fromtimestamp(time.time() + first_lasts_s, UTC).isoformat()
    first, next_ = (printing({"token": t, **more}) for t, more in (("t1", {"expirationTimestamp": end}), ("t2", {})))
    script = f"if mkdir {folder}/first 2>/dev/null; then\n{first}\nelse\nsleep {takes_s}\n{next_}\nfi"
    return Kubeconfig(credentials_kubeconfig(folder, url, program(folder, script)), print)


@pytest.mark.parametrize("first_lasts_s", [-1.0, 20.0])
def test_a_slow_program_delays_no_open_connection_and_new_ones_only_without_valid_credentials(
    tmp_path: Path, first_lasts_s: float
) -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        async with api_server() as port:
            server = renewing(tmp_path, f"http://127.0.0.1:{port}", first_lasts_s)
            async with forward_by(ApiRoute(server)) as (_, local):
                reader, writer = await asyncio.open_connection("127.0.0.1", local)
                assert await reader.readexactly(6) == b"hello "
                begun = answered = loop.time()
                later, _ = await asyncio.open_connection("127.0.0.1", local)
                heard_at, slowest = loop.create_future(), 0.0
                heard = asyncio.create_task(later.readexactly(6))
                heard.add_done_callback(lambda _: heard_at.set_result(loop.time() - begun))
                while loop.time() - begun < PROGRAM_TAKES_S + 2:
                    writer.write(b"ping")
                    assert await reader.readexactly(4) == b"ping"
                    slowest, answered = max(slowest, loop.time() - answered), loop.time()
                    await asyncio.sleep(0.01)
                assert await heard == b"hello "
                assert slowest < 0.8 * PROGRAM_TAKES_S  # as long as it takes, were it waited for in the loop
                assert (await heard_at > PROGRAM_TAKES_S) is (first_lasts_s < 0)
                assert server.known.token == "t2"  # noqa: S105

    run(scenario())


def test_a_connection_waits_for_new_credentials_where_the_api_server_refuses_the_old_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Portforward, "tokens", ("t2",))

    async def scenario() -> None:
        async with api_server() as port:
            server = renewing(tmp_path, f"http://127.0.0.1:{port}", 3600, 0)
            async with forward_by(ApiRoute(server)) as (one, local):
                reader, _ = await asyncio.open_connection("127.0.0.1", local)
                assert await reader.readexactly(6) == b"hello "
                assert (one.served, one.refused, server.known.token) == (1, 0, "t2")

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


def test_of_many_that_waited_few_tunnels_open_at_once_and_the_rest_take_the_node_s_route_once_it_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "DIAL_WITHIN_S", 10.0)  # a busy machine is no lost node
    opening: set[asyncio.StreamWriter] = set()
    node_port = free_port()

    async def hangs(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:  # noqa: ARG001
        opening.add(writer)

    async def scenario() -> None:
        async with service(hangs) as port:
            route = NodeFirst(Here(), ApiRoute(kubeconfig(tmp_path, f"http://127.0.0.1:{port}")))
            spec = ForwardSpec("x", 0, "here", "s", node_port=node_port)
            dials = [asyncio.create_task(route.dial(spec, lambda: [POD], sure=True)) for _ in range(200)]
            while len(opening) < routes.OPENED_AT_ONCE:
                await asyncio.sleep(0.05)
            await asyncio.sleep(0.3)  # in which no other one opens
            assert len(opening) == routes.OPENED_AT_ONCE
            async with service(echo_all, node_port):
                for writer in opening:
                    writer.close()
                done = await asyncio.gather(*dials, return_exceptions=True)
        assert sum(isinstance(one, OSError) for one in done) == len(opening) == routes.OPENED_AT_ONCE
        assert sum(isinstance(one, SocketEndpoint) for one in done) == 200 - routes.OPENED_AT_ONCE

    run(scenario())


def test_a_tunnel_to_a_pod_that_began_to_end_meanwhile_is_not_used(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with api_server() as port:
            route = ApiRoute(kubeconfig(tmp_path, f"http://127.0.0.1:{port}"))
            spec = ForwardSpec("x", 0, "here", "s")
            told = [[POD], [replace(POD, ready=False)]]
            with pytest.raises(OSError, match="pod pod-1 is not ready any more"):
                await route.dial(spec, lambda: told.pop(0), sure=True)
            (await route.dial(spec, lambda: [POD], sure=True)).close()

    run(scenario())


def test_the_pods_of_each_forward_are_taken_in_turn(tmp_path: Path) -> None:
    route = ApiRoute(kubeconfig(tmp_path, "http://127.0.0.1:1"))
    pods = [Pod(name, name, "10.0.0.1", 1, ready) for name, ready in (("a", True), ("b", True), ("c", False))]
    taken: dict[str, list[str]] = {"x": [], "y": []}
    for _ in range(4):
        for name, order in taken.items():
            order.append(route.next_of(ForwardSpec(name, 0), lambda: pods).name)
    assert taken["x"] in (["a", "b"] * 2, ["b", "a"] * 2)
    assert taken["x"] == taken["y"]
