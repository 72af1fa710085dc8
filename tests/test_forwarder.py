"""The data path of a forward, over real sockets: what one end does, the other end sees."""

import asyncio
import os
import resource
import socket
import ssl
import struct
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from devenv.forwarder import __main__ as forwarder
from devenv.forwarder import routes
from devenv.forwarder.connection import LINGER_NONE, Endpoint
from devenv.forwarder.endpoints import pods_of
from devenv.forwarder.forward import FRESH_S, Client, Forward, judge
from devenv.forwarder.listener import Listener
from devenv.forwarder.polling import BusyPoll
from devenv.forwarder.routes import NodeRoute, Pods
from devenv.forwarder.spec import CONNECTING, HOLDING, LOST, OPEN, ForwardSpec, Pod

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def run(test: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=forwarder.loop) as runner:
        runner.run(asyncio.wait_for(test, 60))


def free_port() -> int:
    with socket.socket() as probe_:
        probe_.bind(("127.0.0.1", 0))
        return int(probe_.getsockname()[1])


class Here(NodeRoute):
    """This machine in the node's place: it is there, whatever Docker knows."""

    def __init__(self) -> None:
        super().__init__("", print)
        self.address = "127.0.0.1"

    async def lost(self) -> str:
        return ""


@asynccontextmanager
async def forward_to(port: int, hold_s: float = 5.0, kind: str = "tcp") -> AsyncIterator[tuple[Forward, int]]:
    """Listen on a free port and lead to `port` of this machine."""
    spec = ForwardSpec("x", 0, node_port=port, hold_s=hold_s, probe=kind)
    forward = Forward(spec, Here(), None, print)
    tasks: set[asyncio.Task[None]] = set()
    server = Listener(0, lambda: Client(forward, tasks), print)
    forward.spec = replace(spec, local_port=server.port)
    try:
        yield forward, forward.spec.local_port
    finally:
        server.close()


@asynccontextmanager
async def service(handler: Handler, port: int = 0) -> AsyncIterator[int]:
    server = await asyncio.start_server(handler, "127.0.0.1", port)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def abort(writer: asyncio.StreamWriter) -> None:
    """SocketEndpoint a connection with a reset."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NONE)
    writer.transport.abort()


async def ended(forward: Forward) -> None:
    """Wait until a forward leads nobody."""
    async with asyncio.timeout(10):
        while forward.clients:
            await asyncio.sleep(0.02)


async def echo_all(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Read to the end, then answer all of it: needs half-close in both directions."""
    writer.write(await reader.read())
    writer.close()


def test_send_shutdown_then_read_the_whole_answer() -> None:
    async def scenario() -> None:
        sent = bytes(range(256)) * 40_000
        async with service(echo_all) as port, forward_to(port) as (forward, local):
            reader, writer = await asyncio.open_connection("127.0.0.1", local)
            writer.write(sent)
            writer.write_eof()
            assert await reader.read() == sent
            writer.close()
            await ended(forward)
            assert (len(forward.clients), forward.served) == (0, 1)
            assert (forward.sent, forward.received) == (len(sent), len(sent))

    run(scenario())


def test_a_connection_waits_for_the_service_and_then_goes_through() -> None:
    async def scenario() -> None:
        port = free_port()
        async with forward_to(port) as (_, local):
            reader, writer = await asyncio.open_connection("127.0.0.1", local)
            writer.write(b"early")
            writer.write_eof()
            await asyncio.sleep(0.5)
            async with service(echo_all, port):
                assert await reader.read() == b"early"
            writer.close()

    run(scenario())


class Counting(BusyPoll):
    """A selector that counts how often the loop asked it."""

    asked = 0

    def select(self, timeout: float | None = None) -> Any:
        self.asked += 1
        return super().select(timeout)


def test_a_held_connection_whose_client_has_spoken_keeps_nobody_busy() -> None:
    async def scenario() -> None:
        async with forward_to(free_port()) as (forward, local):
            _, writer = await asyncio.open_connection("127.0.0.1", local)
            writer.write(b"early")
            await asyncio.sleep(0.5)
            assert len(forward.clients) == 1
            writer.close()

    selector = Counting()
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selector)) as runner:
        runner.run(scenario())
    assert selector.asked < 200


def test_a_connection_held_too_long_is_reset() -> None:
    async def scenario() -> None:
        async with forward_to(free_port(), hold_s=0.3) as (forward, local):
            reader, _ = await asyncio.open_connection("127.0.0.1", local)
            with pytest.raises(ConnectionResetError):
                await reader.read()
            assert forward.refused == 1
            assert "gave a connection up after 0.3 s" in forward.last_error

    run(scenario())


def test_a_fault_of_any_kind_on_the_route_is_told_and_the_connection_is_reset() -> None:
    class Faulty(NodeRoute):
        async def dial(self, spec: ForwardSpec, pods: Pods, sure: bool) -> Endpoint:  # noqa: ARG002
            raise ValueError("not a number")

    async def scenario() -> None:
        async with forward_to(free_port(), hold_s=0.2) as (forward, local):
            forward.route = Faulty("", print)
            reader, _ = await asyncio.open_connection("127.0.0.1", local)
            with pytest.raises(ConnectionResetError):
                await reader.read()
            assert "not a number" in forward.last_error

    run(scenario())


def test_a_reset_of_the_service_is_a_reset_for_the_client_and_touches_no_other() -> None:
    async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await reader.readexactly(1) == b"r":
            abort(writer)
        else:
            writer.write(await reader.readexactly(4))
            writer.close()

    async def scenario() -> None:
        async with service(reset) as port, forward_to(port) as (forward, local):
            quiet_reader, quiet = await asyncio.open_connection("127.0.0.1", local)
            quiet.write(b"q")
            for _ in range(20):
                reader, writer = await asyncio.open_connection("127.0.0.1", local)
                writer.write(b"r")
                with pytest.raises(ConnectionResetError):
                    await reader.read()
            assert forward.last_error.startswith("the pod: ")
            assert "Connection reset by peer" in forward.last_error
            quiet.write(b"fine")
            assert await quiet_reader.read() == b"fine"
            quiet.close()

    run(scenario())


def test_a_reset_that_follows_the_client_s_own_end_is_told_as_such() -> None:
    async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        abort(writer)

    async def scenario() -> None:
        async with service(reset) as port, forward_to(port) as (forward, local):
            reader, writer = await asyncio.open_connection("127.0.0.1", local)
            writer.write_eof()
            with pytest.raises(ConnectionResetError):
                await reader.read()
            assert forward.last_error.startswith("the pod: ")
            assert forward.last_error.endswith("reset by peer, after the client's end")

    run(scenario())


def test_a_client_that_aborts_is_a_reset_for_the_service_and_leaves_nothing_behind() -> None:
    async def scenario() -> None:
        seen: asyncio.Queue[type[BaseException]] = asyncio.Queue()

        async def heard(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"hello")
            try:
                await reader.read()
            except ConnectionError as error:
                seen.put_nowait(type(error))

        async with service(heard) as port, forward_to(port) as (forward, local):
            before = psutil.Process().num_fds()
            for _ in range(20):
                reader, writer = await asyncio.open_connection("127.0.0.1", local)
                assert await reader.readexactly(5) == b"hello"
                abort(writer)
                assert await asyncio.wait_for(seen.get(), 5) is ConnectionResetError
            await ended(forward)
            assert (forward.clients, forward.received) == (set(), 100)
            assert forward.last_error.startswith("the client: ")
            assert psutil.Process().num_fds() <= before

    run(scenario())


def test_a_reader_that_stops_slows_nobody_else_and_fills_no_memory() -> None:
    total, sent = 256 << 20, 0

    async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:  # noqa: ARG001
        nonlocal sent
        while sent < total:
            writer.write(bytes(1 << 16))
            await writer.drain()
            sent += 1 << 16

    async def scenario() -> None:
        async with service(pour) as port, service(echo_all) as other, forward_to(port) as (_, local):
            slow = socket.create_connection(("127.0.0.1", local))
            await asyncio.sleep(1)
            stopped_at = sent
            async with forward_to(other) as (_, quick):
                reader, writer = await asyncio.open_connection("127.0.0.1", quick)
                writer.write(b"x" * 1000)
                writer.write_eof()
                assert await reader.read() == b"x" * 1000
                writer.close()
            assert sent == stopped_at < 32 << 20
            slow.close()

    run(scenario())


def test_what_is_read_while_a_write_is_unfinished_does_not_overwrite_it() -> None:
    """All connections share one read buffer: two that pour at once into slow readers get their own bytes."""

    async def scenario() -> None:
        async def pattern(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(await reader.readexactly(1) * (8 << 20))
            writer.close()

        async def fetch(local: int, letter: bytes) -> bytes:
            reader, writer = await asyncio.open_connection("127.0.0.1", local)
            writer.write(letter)
            await asyncio.sleep(0.3)
            got = await reader.read()
            writer.close()
            return got

        async with service(pattern) as port, forward_to(port) as (_, local):
            letters = [bytes([n]) for n in b"abcdefgh"]
            for letter, got in zip(letters, await asyncio.gather(*(fetch(local, x) for x in letters)), strict=True):
                assert got == letter * (8 << 20)

    run(scenario())


def test_a_probe_believes_an_answer_and_not_an_open_port() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async def hangs_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:  # noqa: ARG001
        writer.close()

    def says(text: bytes) -> Handler:
        async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(1)
            writer.write(text)
            writer.close()

        return handler

    starting = b"SFATAL\0C57P03\0Mthe database system is starting up\0\0"
    wrong_password = b"SFATAL\0C28P01\0Mpassword authentication failed\0\0"
    cases = [
        ("http /health", says(b"HTTP/1.1 200 OK\r\n\r\n"), True),
        ("http /health", says(b"HTTP/1.1 503 no\r\n\r\n"), False),
        ("http /health", says(b""), False),
        ("http /health", says(b"HTTP/1.1  200\r\n\r\n"), False),
        ("http /health", says(b"HTTP/1.1 23 odd\r\n\r\n"), False),
        ("http /health", says(b"HTTP/1.1 200 " + b"x" * (1 << 17)), False),
        ("http /health", silent, False),
        ("redis", says(b"+PONG\r\n"), True),
        ("redis", says(b"-NOAUTH Authentication required.\r\n"), True),
        ("redis", says(b"-LOADING Redis is loading\r\n"), False),
        ("redis", silent, False),
        ("postgres", says(b"R" + struct.pack("!ii", 8, 10)), True),
        ("postgres", says(b"E" + struct.pack("!i", len(wrong_password) + 4) + wrong_password), True),
        ("postgres", says(b"E" + struct.pack("!i", len(starting) + 4) + starting), False),
        ("postgres", says(b""), False),
        ("postgres", says(b"J\0\0\0\x0a8.0.36\0"), False),  # MySQL's greeting
        ("postgres", says(b"R" + struct.pack("!i", 2)), False),
        ("tls", says(b"HTTP/1.1 400 this port wants plain text\r\n"), False),
        ("tls", silent, False),
        ("tcp", silent, True),
        ("tcp", hangs_up, False),
    ]

    async def scenario() -> None:
        for kind, handler, fine in cases:
            async with service(handler) as port, forward_to(port, kind=kind) as (forward, _):
                assert (await forward.ask() == "") is fine, kind
                assert forward.served == 0
        for kind in ("tcp", "http /", "redis", "postgres"):
            async with forward_to(free_port(), kind=kind) as (forward, _):
                assert "Connect call failed" in await forward.ask()
                assert forward.refused == 0

    run(scenario())


def test_who_asks_is_told_what_is_true_now_though_a_quiet_forward_is_seldom_probed() -> None:
    async def scenario() -> None:
        probed, fine = 0, True

        async def redis(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal probed
            probed += 1
            await reader.readline()
            writer.write(b"+PONG\r\n" if fine else b"-LOADING\r\n")
            writer.close()

        async with service(redis) as port, forward_to(port, kind="redis") as (forward, _):
            watching = asyncio.create_task(forward.watch())
            async with asyncio.timeout(10):
                while forward.state != OPEN:
                    await asyncio.sleep(0.02)
            await asyncio.sleep(FRESH_S + 0.2)
            assert probed == 1
            fine = False
            await asyncio.gather(*(forward.fresh() for _ in range(10)))
            assert (forward.state, forward.reason) == (HOLDING, "PING was answered with b'-LOADING\\r\\n'")
            fine = True
            async with asyncio.timeout(10):
                while forward.state != OPEN:
                    await asyncio.sleep(0.02)
            seen = probed
            await asyncio.gather(*(forward.fresh() for _ in range(10)))
            assert probed == seen, "it was probed within the second"
            watching.cancel()

    run(scenario())


@pytest.mark.parametrize("before", [CONNECTING, OPEN, HOLDING, LOST])
@pytest.mark.parametrize("lost", ["", "no node"])
@pytest.mark.parametrize("idle", ["", "no pod"])
@pytest.mark.parametrize("wrong", ["", "no answer"])
def test_a_forward_is_open_only_where_a_pod_was_reached_and_answered(
    before: str, lost: str, idle: str, wrong: str
) -> None:
    state, reason = judge(before, lost, idle, wrong)
    assert (state == OPEN) is (not (lost or idle or wrong))
    assert (state == LOST) is bool(lost)
    assert (state == CONNECTING) is (before == CONNECTING and not lost and bool(idle or wrong))
    assert reason == (lost or idle or wrong)


def test_the_pods_of_a_slice_are_those_that_serve_the_port() -> None:
    def endpoint(name: str, **more: object) -> dict[str, object]:
        return {"targetRef": {"kind": "Pod", "name": name, "uid": f"uid-{name}"}, "addresses": ["10.0.0.1"], **more}

    piece = {
        "ports": [{"name": "http", "port": 80}, {"name": "admin", "port": 81}],
        "endpoints": [
            endpoint("told", conditions={"ready": True}),
            endpoint("going", conditions={"ready": False, "serving": True, "terminating": True}),
            endpoint("untold", conditions={}),
            {"addresses": ["10.0.0.9"], "conditions": {"ready": True}},  # no pod of the cluster
        ],
    }
    found = pods_of(piece, "admin")
    assert found[0] == Pod("told", "uid-told", "10.0.0.1", 81, True)
    assert [(pod.name, pod.ready) for pod in found] == [("told", True), ("going", False), ("untold", True)]
    assert pods_of(piece, "other") == []


def test_a_handshake_is_the_answer_of_a_service_that_speaks_tls(tmp_path: Path) -> None:
    pair = [str(tmp_path / "tls.crt"), str(tmp_path / "tls.key")]
    argv = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-subj",
        "/CN=x",
        "-out",
        pair[0],
        "-keyout",
        pair[1],
    ]
    subprocess.run(argv, check=True, capture_output=True)
    certified = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    certified.load_cert_chain(*pair)

    async def scenario() -> None:
        server = await asyncio.start_server(echo_all, "127.0.0.1", 0, ssl=certified)
        async with forward_to(server.sockets[0].getsockname()[1], kind="tls") as (forward, _):
            # More than once: what is left of a probe would be in the way of the next connection.
            assert [await forward.ask() for _ in range(5)] == [""] * 5
        server.close()

    run(scenario())


def test_a_machine_that_knows_no_limit_of_descriptors_is_asked_for_a_number() -> None:
    assert forwarder.descriptors(4096) == 4096
    assert 256 < forwarder.descriptors(resource.RLIM_INFINITY) < 1 << 20


@pytest.mark.parametrize("known", ["", "10.0.0.1"])
def test_a_docker_that_does_not_answer_holds_nobody_up_and_what_was_known_of_the_node_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, known: str
) -> None:
    docker = tmp_path / "docker"
    docker.write_text("#!/bin/sh\nexec sleep 60\n")
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(routes, "INSPECT_WITHIN_S", 0.2)

    async def scenario() -> None:
        route = NodeRoute("n", print)
        route.address = known
        await route.look(0)
        assert (route.address, route.frozen) == (known, "")
        assert await route.lost() == ("" if known else "node n is not running")
        await asyncio.sleep(0.5)  # in which the program that was killed is seen gone

    begun = time.monotonic()
    run(scenario())
    assert time.monotonic() - begun < 30  # the program itself takes a minute


def test_memory_that_a_storm_took_goes_back_to_the_system() -> None:
    def resident() -> int:
        return int(psutil.Process().memory_info().rss)

    storm = [bytes(1000) for _ in range(100_000)]
    later = bytes(1000)  # above it on the heap: glibc gives back by itself only what lies at the end
    before = resident()
    storm.clear()
    forwarder.give_back()
    assert resident() < before - (50 << 20)
    assert len(later) == 1000
