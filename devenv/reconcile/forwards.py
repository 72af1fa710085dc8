"""The forwards as commands see them: start their process, ask it, stop it. The process itself is devenv/forwarder."""

import errno
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devenv.errors import DevenvError
from devenv.forwarder.spec import LOST, OPEN, STOP, ForwardSpec, ForwardStatus, ProcessSpec
from devenv.images import endpoint
from devenv.project.schema import Project
from devenv.project.settings import port_variable
from devenv.system import process, state, wait
from devenv.system.state import Folder

ANSWERS_WITHIN_S = 20.0
ASKED_WITHIN_S = 10.0  # more than a probe that gets no answer takes
LOG_BYTES = 4 << 20


@dataclass(frozen=True)
class Seen:
    """Whether the process is in the wanted state; done as soon as it is."""

    done: bool


def served_hash(folder: Folder) -> str:
    """Return the hash of the forwards that a living process serves, or an empty string."""
    spec = written(folder) if state.is_locked(folder.forwards_lock) else None
    return spec.hash if spec else ""


def written(folder: Folder) -> ProcessSpec | None:
    """Return what the process was last told to serve; None where there is no file, or one of another version."""
    try:
        return ProcessSpec.from_json(folder.forwards.read_text())
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def taken_ports(forwards: Iterable[ForwardSpec]) -> list[str]:
    """Return a sentence for each local port that someone else listens on."""
    return [
        f"port {f.local_port} of forward {f.name} is in use by {holder(f.local_port)}; "
        f"stop it, or set {port_variable(f.name)} to a free port"
        for f in forwards
        if not is_free(f.local_port)
    ]


def newly_taken(folder: Folder, wanted: Iterable[ForwardSpec]) -> list[str]:
    """Return a sentence for each local port that is to be served and that someone else listens on.

    Those of the living process are its own; where it is not known which they are, none is judged.
    """
    if not state.is_locked(folder.forwards_lock):
        return taken_ports(wanted)
    if (spec := written(folder)) is None:
        return []
    own = {f.local_port for f in spec.forwards}
    return taken_ports(f for f in wanted if f.local_port not in own)


def moved(folder: Folder, project: Project) -> list[str]:
    """Return a sentence for each forward that the living process does not serve as the project has it."""
    if (spec := written(folder)) is None or not state.is_locked(folder.forwards_lock):
        return []
    served = {f.name: f for f in spec.forwards}
    found = []
    for name, wanted in project.forwards.items():
        there = served.get(name)
        if there is None:
            found.append(f"forward {name} is not served yet")
        elif (there.local_port, there.service) != (wanted.local_port, wanted.service):
            found.append(
                f"forward {name} leads from port {there.local_port} to service {there.service}, "
                f"not yet from {wanted.local_port} to {wanted.service}"
            )
    return found


def is_free(port: int) -> bool:
    """Whether nobody listens on a port of this machine: `localhost` leads many a client to IPv6 first.

    A client whose connection the kernel has given the port to does not keep it for long (forwarder/__main__.py waits).
    """
    free = can_bind(socket.AF_INET, "127.0.0.1", port) and can_bind(socket.AF_INET6, "::1", port)
    return free or not is_listened_on(port)


def is_listened_on(port: int) -> bool:
    """Whether somebody listens on a port, as far as the system lets us see it; what it hides from us may."""
    import psutil

    try:
        return bool(listeners(port))
    except psutil.Error:
        return True


def listeners(port: int) -> list[int | None]:
    """Return the processes that listen on a port of this machine, None for one that the system does not name.

    Raise psutil.Error where it lets us see nothing.
    """
    import psutil

    seen = psutil.net_connections("tcp")
    return [c.pid for c in seen if c.status == psutil.CONN_LISTEN and c.laddr and c.laddr.port == port]


def can_bind(family: socket.AddressFamily, address: str, port: int) -> bool:
    try:
        with socket.socket(family) as probe:
            # A port whose last connections are still in TIME_WAIT is free for a listener.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((address, port))
    except OSError as error:
        return error.errno in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)  # this machine has no IPv6
    return True


def holder(port: int) -> str:
    """Name the process that listens on a local port, as far as the system lets us see it."""
    import psutil

    with suppress(psutil.Error):
        for pid in filter(None, listeners(port)):
            return f"process {pid} ({psutil.Process(pid).name()})"  # its arguments may hold a password
    return "a process of another user"


def start(folder: Folder, spec: ProcessSpec) -> None:
    """Start the forwards' process again; it outlives this command."""
    stop(folder)
    folder.make()
    state.write(folder.forwards, spec.to_json())
    log = folder.log("forwards")
    log.parent.mkdir(parents=True, exist_ok=True)
    # The log of the last process is useful if that one died; a log that has grown too long is truncated.
    grown = log.exists() and log.stat().st_size > LOG_BYTES
    with open(log, "wb" if grown else "ab", opener=process.private) as out:
        child = subprocess.Popen(
            [sys.executable, "-m", "devenv.forwarder", str(folder.path)],
            stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd="/", start_new_session=True,
            env={**os.environ, **(endpoint.variables() if spec.node else {})},
        )  # fmt: skip
    up = wait.poll(lambda: Seen(ask(folder) is not None or child.poll() is not None), ANSWERS_WITHIN_S)
    if child.poll() is not None or not up.done:
        raise DevenvError(f"the forwards did not start; the end of {log}:\n{tail(log)}")


def tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-10:])


def ask(folder: Folder, word: str = "status") -> Any:
    """Return the process's answer to a command on its control socket, or None if there is no answer."""
    try:
        with socket.socket(socket.AF_UNIX) as control:
            control.settimeout(ASKED_WITHIN_S)
            control.connect(str(folder.socket))
            control.sendall(f"{word}\n".encode())
            return json.loads(b"".join(iter(lambda: control.recv(65536), b"")))
    except (OSError, ValueError):
        return None


def status(folder: Folder, lost: str = "") -> list[ForwardStatus]:
    """Return the state of each forward; those of a process that is gone are LOST.

    Where it is known why all are `lost`, the process is not asked: it would take its time to find that out.
    """
    if not lost and state.is_locked(folder.forwards_lock) and (answer := ask(folder)):
        return [ForwardStatus.from_json(one) for one in answer["forwards"]]
    spec, why = written(folder), lost or "the forwards' process is not running; run `devenv forward start`"
    return [ForwardStatus.of(forward, LOST, why) for forward in (spec.forwards if spec else ())]


def closed(folder: Folder) -> str:
    """Return which forwards do not reach a service that answers, and why; an empty string where all do."""
    return "; ".join(f"{f.name} is {f.state}: {f.reason}" for f in status(folder) if f.state != OPEN)


def foreign_listeners(folder: Folder, forwards: Iterable[ForwardStatus]) -> list[str]:
    """Return a sentence for each local port that is not listened on by the forwards' own process."""
    import psutil

    pid = int(folder.forwards_lock.read_text())
    mine = {c.laddr.port for c in psutil.Process(pid).net_connections("tcp") if c.status == psutil.CONN_LISTEN}
    return [
        f"port {f.local_port} of forward {f.name} is not ours: {holder(f.local_port)} holds it"
        for f in forwards
        if f.local_port not in mine
    ]


def stop(folder: Folder) -> bool:
    """End the forwards' process and see it gone; return whether there was one."""
    if not state.is_locked(folder.forwards_lock):
        return False
    pid = int(folder.forwards_lock.read_text())
    ask(folder, STOP)
    gone = wait.poll(lambda: Seen(not state.is_locked(folder.forwards_lock)), 5)
    if not gone.done:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        gone = wait.poll(lambda: Seen(not state.is_locked(folder.forwards_lock)), 5)
    if not gone.done:
        raise DevenvError(f"the forwards' process {pid} does not end")
    return True
