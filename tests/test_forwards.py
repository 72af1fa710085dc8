"""The forwards as commands see them."""

import asyncio
import fcntl
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Timer

import pytest

from devenv.cli import output
from devenv.forwarder import __main__ as process
from devenv.forwarder.__main__ import hold, listening
from devenv.forwarder.connection import LINGER_NONE
from devenv.forwarder.spec import LOST, ForwardSpec, ForwardStatus, Pod, ProcessSpec
from devenv.project.schema import Project
from devenv.reconcile import forwards
from devenv.reconcile.forwards import is_free, taken_ports
from devenv.system import state
from devenv.system.state import Folder
from tests.test_forwarder import free_port

SPEC = ForwardSpec("web", 8080, "shop", "web", "http", "http /", 30.0, 31234)


def test_what_a_process_is_told_and_what_it_tells_come_back_as_they_were() -> None:
    spec = ProcessSpec("h", "node", "auto", (SPEC,))
    assert ProcessSpec.from_json(spec.to_json()) == spec
    status = ForwardStatus.of(
        SPEC, "OPEN", "", since=1.5, route="node 10.0.0.1:31234", pods=(Pod("p", "u", "a", 1, True),)
    )
    assert ForwardStatus.from_json(status.to_json()) == status


def test_without_their_process_forwards_are_lost_and_take_no_route(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    state.write(folder.forwards, ProcessSpec("h", "node", "auto", (SPEC,)).to_json())
    (seen,) = forwards.status(folder)
    assert (seen.state, seen.route, seen.pods) == (LOST, None, ())
    (row,) = output.traffic_rows([seen])
    shown = dict(zip(output.TRAFFIC_COLUMNS, row, strict=True))
    assert shown == {
        "FORWARD": "web", "ADDRESS": "127.0.0.1:8080", "STATE": "LOST", "AGE": "-", "ROUTE": "-", "PODS": "-",
        "OPEN": "-", "SERVED": "-", "SENT": "-", "RECEIVED": "-",
        "REASON": "the forwards' process is not running; run `devenv forward start`",
    }  # fmt: skip
    assert forwards.served_hash(folder) == ""
    assert forwards.status(folder, "the cluster is paused")[0].reason == "the cluster is paused"


def test_a_file_of_another_version_is_no_forward(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    for text in ("{", "[]", '{"hash": "h"}', '{"hash": "h", "node": "", "via": "auto", "forwards": [{"old": 1}]}'):
        state.write(folder.forwards, text)
        assert forwards.status(folder) == []


def test_forwards_that_were_changed_since_their_process_began_are_told(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    state.write(folder.forwards, ProcessSpec("h", "node", "auto", (SPEC,)).to_json())
    there = {"service": "web", "ports": "8080:80"}
    table = {"name": "shop", "manifests": "k8s", "forwards": {"web": there}}

    def moved(**changed: dict[str, str]) -> list[str]:
        return forwards.moved(folder, Project.model_validate({**table, "forwards": {"web": there, **changed}}))

    assert moved(web={**there, "ports": "8081:80"}) == []  # without a process nothing is served at all
    with folder.forwards_lock.open("w") as living:
        fcntl.flock(living, fcntl.LOCK_EX)
        assert moved() == []
        told = "forward web leads from port 8080 to service web, not yet from 8081 to web"
        assert moved(web={**there, "ports": "8081:80"}) == [told]
        assert moved(more={"service": "more", "ports": "1:1"}) == ["forward more is not served yet"]


def test_a_stranger_on_a_port_that_is_new_is_told_while_the_forwards_of_before_go_on(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as ours, socket.create_server(("127.0.0.1", 0)) as stranger:
        own, other = (replace(SPEC, local_port=server.getsockname()[1]) for server in (ours, stranger))
        told = [f"port {other.local_port} of forward web is in use"]

        def seen(*wanted: ForwardSpec) -> list[str]:
            return [fault.partition(" by ")[0] for fault in forwards.newly_taken(folder, wanted)]

        state.write(folder.forwards, ProcessSpec("h", "node", "auto", (own,)).to_json())
        assert len(seen(own, other)) == 2  # nobody serves them
        with folder.forwards_lock.open("w") as living:
            fcntl.flock(living, fcntl.LOCK_EX)
            assert seen(own) == []
            assert seen(own, other) == told
            folder.forwards.write_text("{")  # that of another version: its ports are not known
            assert seen(own, other) == []


def test_one_who_looks_whether_forwards_are_served_keeps_no_process_from_beginning(tmp_path: Path) -> None:
    path = tmp_path / "forwards.lock"
    with path.open("w") as looking, path.open("a+") as beginning, path.open("a+") as second:
        fcntl.flock(looking, fcntl.LOCK_SH)
        Timer(0.3, lambda: fcntl.flock(looking, fcntl.LOCK_UN)).start()
        hold(beginning)
        assert state.is_locked(path)
        with pytest.raises(BlockingIOError):  # another process that serves them does
            hold(second)


@pytest.mark.parametrize(("family", "address"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_a_stranger_on_either_loopback_address_has_the_port(family: socket.AddressFamily, address: str) -> None:
    try:
        stranger = socket.create_server((address, 0), family=family)
    except OSError:  # a machine without IPv6: nobody can be there, and that hinders nothing
        assert is_free(free_port())
        return
    with stranger:
        port = stranger.getsockname()[1]
        assert not is_free(port)
        assert f"port {port} of forward x is in use" in taken_ports([ForwardSpec("x", port, "n", "s")])[0]
    assert is_free(port)


@contextmanager
def client() -> Iterator[tuple[socket.socket, int]]:
    """Yield a client's connection, and its port; its end leaves nothing behind."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as made:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NONE)
        with server.accept()[0]:
            yield made, made.getsockname()[1]


def test_a_port_that_the_kernel_has_given_to_a_client_is_waited_for() -> None:
    async def scenario() -> None:
        with client() as (connection, port):
            assert is_free(port)  # nobody listens there
            waiting = asyncio.create_task(listening(replace(SPEC, local_port=port), asyncio.Protocol))
            await asyncio.sleep(0.3)
            assert not waiting.done()
            connection.close()
            listener = await waiting
            assert listener.port == port
            listener.close()

    asyncio.run(scenario())


def test_a_port_that_stays_taken_ends_the_process_with_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "TAKEN_FOR_S", 0.2)
    with client() as (_, port), pytest.raises(SystemExit, match=f"web: port {port}: Address already in use"):
        asyncio.run(listening(replace(SPEC, local_port=port), asyncio.Protocol))


def test_the_holder_of_a_port_is_named_without_its_arguments() -> None:
    """Who looks at another's command line may see a password."""
    code = "import socket; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True); input()"
    argv = [sys.executable, "-c", code, "--password=hunter2"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout
        told = forwards.holder(int(child.stdout.readline()))
        child.kill()
    assert f"process {child.pid} (" in told
    assert "hunter2" not in told
