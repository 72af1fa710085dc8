"""Clients that are held, gone, or too many; and what the forwards' process then does to its log."""

import asyncio
import itertools
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from devenv.forwarder.connection import LINGER_NONE
from devenv.forwarder.endpoints import pods_of
from devenv.forwarder.forward import LONGEST_PAUSE_S, PAUSE_S, Client, Forward
from devenv.forwarder.journal import MOST_BYTES, TELL_S, Journal
from devenv.forwarder.listener import Listener
from devenv.forwarder.presence import Presence
from devenv.forwarder.routes import DIALLED_AT_ONCE
from devenv.forwarder.spec import OPEN, ForwardSpec, Pod
from tests.cluster.environment import CHECKOUT
from tests.test_forwarder import Here, ended, forward_to, free_port, run, service
from tests.waiting import eventually


def test_a_client_that_is_gone_before_it_is_accepted_leaves_nothing_behind() -> None:
    async def scenario() -> None:
        loop, process = asyncio.get_running_loop(), psutil.Process()
        forward = Forward(ForwardSpec("x", 0, node_port=free_port(), hold_s=5), Here(), None, print)
        tasks: set[asyncio.Task[None]] = set()
        faults: list[Any] = []
        loop.set_exception_handler(lambda _, context: faults.append(context))
        listener = Listener(0, lambda: Client(forward, tasks), print)
        before = process.num_fds()
        for _ in range(50):  # the loop, which accepts, does not run meanwhile
            with socket.create_connection(("127.0.0.1", listener.port)) as gone:
                gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NONE)
        await asyncio.sleep(0.5)
        await ended(forward)
        assert process.num_fds() <= before + 1
        listener.close()
        assert faults == []

    run(scenario())


def spoken(port: int, last: int | None, *, word: bytes = b"POST") -> socket.socket:
    """Return a client that has said something and then ended its side, in the way of `last`."""
    client = socket.create_connection(("127.0.0.1", port))
    client.sendall(word)
    if last is not None:
        client.shutdown(last)
    return client


def test_nothing_of_a_client_that_has_gone_while_it_was_held_is_delivered() -> None:
    async def scenario() -> None:
        heard: list[bytes] = []

        async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            heard.append(await reader.read())
            writer.write(heard[-1])
            writer.close()

        port = free_port()
        async with forward_to(port, hold_s=20) as (forward, local):
            gone = [spoken(local, how, word=b"gone") for how in (None, socket.SHUT_WR) for _ in range(100)]
            gone += [socket.create_connection(("127.0.0.1", local)) for _ in range(100)]
            waits, half = spoken(local, None, word=b"waits"), spoken(local, socket.SHUT_WR, word=b"half")
            async with asyncio.timeout(10):
                while len(forward.clients) < 302:
                    await asyncio.sleep(0.02)
            for number, client in enumerate(gone):
                if number % 2:
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NONE)
                client.close()
            async with asyncio.timeout(10):
                while len(forward.clients) > 2:
                    await asyncio.sleep(0.02)
            assert forward.last_error == "the client has gone"
            async with service(hear, port):
                waits.shutdown(socket.SHUT_WR)
                loop = asyncio.get_running_loop()
                for client, word in ((waits, b"waits"), (half, b"half")):
                    client.setblocking(False)
                    assert await loop.sock_recv(client, 10) == word
                    client.close()
                await ended(forward)
            assert sorted(heard) == [b"half", b"waits"]
            assert forward.served == 2

    run(scenario())


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
@pytest.mark.parametrize("spoke", [b"", b"x"])
def test_who_has_ended_its_side_and_waits_has_not_gone(spoke: bytes, family: socket.AddressFamily) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.socket(family)  # one of IPv6 too, as Java makes them
        client.connect(("127.0.0.1" if family == socket.AF_INET else "::ffff:127.0.0.1", listener.getsockname()[1]))
        held, _ = listener.accept()
        client.sendall(spoke)
        presence = Presence(held)
        assert presence.has_gone() is False
        client.shutdown(socket.SHUT_WR)
        for _ in range(20):  # at no moment is it taken for one that has gone
            assert not presence.has_gone()
            time.sleep(0.05)
        assert presence.has_gone() is False
        client.close()
        eventually(lambda: presence.has_gone() is True, 3)
        held.close()


def test_a_client_is_not_held_for_ever_by_what_the_endpoints_are_not() -> None:
    class Odd(Forward):
        def pods(self) -> list[Pod]:
            raise TypeError("a slice whose endpoints are a number")

        def idle(self) -> str:
            return str(self.pods())

    async def scenario() -> None:
        forward = Odd(ForwardSpec("x", 0, node_port=free_port(), hold_s=0.3), Here(), None, print)
        tasks: set[asyncio.Task[None]] = set()
        listener = Listener(0, lambda: Client(forward, tasks), print)
        reader, _ = await asyncio.open_connection("127.0.0.1", listener.port)
        with pytest.raises(ConnectionResetError):
            await reader.read()
        assert "a slice whose endpoints are a number" in forward.last_error
        listener.close()

    run(scenario())


def test_so_many_held_clients_dial_no_more_than_so_many_at_once() -> None:
    async def scenario() -> None:
        with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
            # What is beyond its queue gets no answer: each dial takes all of its time.
            port = full.getsockname()[1]
            queue = [socket.socket() for _ in range(4)]
            for one in queue:
                one.setblocking(False)
                one.connect_ex(("127.0.0.1", port))
            theirs = {one.getsockname()[1] for one in queue}
            async with forward_to(port, hold_s=2) as (forward, local):
                clients = [socket.create_connection(("127.0.0.1", local)) for _ in range(300)]
                most = 0
                for _ in range(10):
                    await asyncio.sleep(0.1)
                    dialled = [c for c in psutil.Process().net_connections("tcp4") if c.raddr and c.raddr.port == port]
                    most = max(
                        most, sum(c.status == psutil.CONN_SYN_SENT and c.laddr.port not in theirs for c in dialled)
                    )
                assert DIALLED_AT_ONCE / 2 < most <= DIALLED_AT_ONCE
                for client in (*clients, *queue):
                    client.close()
                await ended(forward)

    run(scenario())


def test_a_pod_that_takes_no_connection_is_dialled_after_ever_longer_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        dialled: list[float] = []
        async with forward_to(free_port(), hold_s=3) as (forward, local):
            forward.state, dial = OPEN, forward.route.dial

            async def noted(*args: Any) -> Any:
                dialled.append(time.monotonic())
                return await dial(*args)

            monkeypatch.setattr(forward.route, "dial", noted)
            with socket.create_connection(("127.0.0.1", local)):
                await asyncio.sleep(2)
            await ended(forward)
        pauses = [later - sooner for sooner, later in itertools.pairwise(dialled)]
        assert len(pauses) >= 3
        for number, pause in enumerate(pauses):
            assert pause >= 0.9 * min(PAUSE_S * 2**number, LONGEST_PAUSE_S)

    run(scenario())


# A forward in a process that may have few descriptors; it says its port, and on standard error what it logs.
FEW = """
import asyncio, resource, sys
from devenv.forwarder.forward import Client, Forward
from devenv.forwarder.listener import Listener
from devenv.forwarder.spec import ForwardSpec
from tests.test_forwarder import Here
async def main():
    log = lambda text: print(text, file=sys.stderr, flush=True)
    asyncio.get_running_loop().set_exception_handler(lambda _, context: log(str(context)))
    forward = Forward(ForwardSpec("x", 0, node_port=1, hold_s=60), Here(), None, log)
    tasks = set()
    listener = Listener(0, lambda: Client(forward, tasks), log)
    resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
    print(listener.port, flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""


def test_a_process_without_descriptors_waits_for_one_and_says_so_once() -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", FEW], cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert child.stdout
    assert child.stderr
    try:
        port = int(child.stdout.readline())
        clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(100)]
        process = psutil.Process(child.pid)
        eventually(lambda: process.num_fds() >= 39)
        before = process.cpu_times().user
        time.sleep(2)
        assert process.cpu_times().user - before < 1
        for client in clients[:80]:
            client.close()
        # Who has gone is noticed, and who waited in the kernel is accepted.
        last = clients[-1].getsockname()[1]
        eventually(lambda: last in {c.raddr.port for c in process.net_connections() if c.raddr})
        for client in clients:
            client.close()
        eventually(lambda: process.num_fds() < 20)
    finally:
        child.kill()
    told = child.stderr.read().splitlines()
    assert len(told) == 1
    assert "no new connection is accepted at the moment: Too many open files" in told[0]


def test_many_faults_alike_are_a_line_a_second(capfd: pytest.CaptureFixture[str]) -> None:
    async def scenario() -> None:
        journal, loop = Journal(None), asyncio.get_running_loop()
        for _ in range(1000):
            journal.fault(loop, {"message": "SSL handshake failed\nprotocol: 1", "exception": OSError("no")})
        await asyncio.sleep(TELL_S)
        journal.fault(loop, {"message": "SSL handshake failed\nprotocol: 2", "exception": OSError("no")})

    run(scenario())
    lines = [line.partition(" ")[2] for line in capfd.readouterr().out.splitlines()]
    assert lines == ["SSL handshake failed: OSError: no", "SSL handshake failed: OSError: no (1000 times)"]


def test_the_log_goes_on_as_a_new_file_when_it_has_grown(tmp_path: Path) -> None:
    file = tmp_path / "forwards.log"
    script = (
        "import sys; from pathlib import Path; from devenv.forwarder.journal import Journal; "
        "log = Journal(Path(sys.argv[1])); [log('x' * 1000) for _ in range(2500)]; print('at last', flush=True)"
    )
    with file.open("ab") as out:
        subprocess.run([sys.executable, "-c", script, str(file)], cwd=CHECKOUT, stdout=out, stderr=out, check=True)
    assert file.read_text().endswith("at last\n")
    kept = sorted(tmp_path.iterdir())
    assert [f.name for f in kept] == ["forwards.log", "forwards.old.log"]
    assert all(f.stat().st_size < MOST_BYTES + 2000 for f in kept)
    assert file.stat().st_mode & 0o077 == 0


def test_an_endpoint_that_lacks_what_it_should_have_is_passed_over() -> None:
    target = {"kind": "Pod", "name": "p", "uid": "1"}
    whole = {"targetRef": target, "addresses": ["10.0.0.1"]}
    ports = [{"name": "x", "port": 53, "protocol": "UDP"}, {"name": "x", "port": 5353, "protocol": "TCP"}]
    broken: list[Any] = [
        {},
        {"targetRef": target},
        {"targetRef": target, "addresses": []},
        {"targetRef": {"kind": "Pod"}},
    ]
    found = pods_of({"ports": ports, "endpoints": [*broken, whole]}, "x")
    assert found == [Pod("p", "1", "10.0.0.1", 5353, ready=True)]
    assert pods_of({"ports": [{"name": "x"}, ports[0]], "endpoints": [whole]}, "x") == []
    assert pods_of({"ports": None, "endpoints": None}, "x") == []
