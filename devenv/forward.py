"""The forwards as commands see them: start their process, ask it, stop it. The process itself is forwarder.py."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Event
from typing import Any

from devenv import state, wait
from devenv.errors import DevenvError
from devenv.stack import Forward
from devenv.state import Folder

ANSWERS_WITHIN_S = 20.0
ASKED_WITHIN_S = 10.0  # more than a probe that gets no answer takes
AUTO, NODE = "auto", "node"  # ways: that which the process chooses, and the node's own; see node_first.py
LOG_BYTES = 4 << 20


@dataclass(frozen=True)
class Seen:
    """Whether the process is in the wanted state; settled as soon as it is."""

    settled: bool


def served_hash(where: Folder) -> str:
    """Return the hash of the forwards that a living process serves, or nothing."""
    if not state.is_locked(where.forwards_lock):
        return ""
    return str((state.read_json(where.forwards) or {}).get("hash", ""))


def taken_ports(forwards: Iterable[Forward]) -> list[str]:
    """Return a sentence for each local port that someone else listens on."""
    return [
        f"port {f.local_port} of forward {f.name} is taken by {holder(f.local_port)}; "
        f"stop it, or set DEVENV_PORT_{f.name.upper().replace('-', '_')} to a free port"
        for f in forwards
        if not is_free(f.local_port)
    ]


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        # A port whose last connections are still in TIME_WAIT is free for a listener.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def holder(port: int) -> str:
    """Name the process that listens on a local port, as far as the system lets us see it."""
    import psutil

    with suppress(psutil.Error):
        for connection in psutil.net_connections("tcp"):
            listens = connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr.port == port
            if listens and connection.pid:
                process = psutil.Process(connection.pid)
                return f"process {process.pid} ({' '.join(process.cmdline())[:120] or process.name()})"
    return "a process of another user"


def start(where: Folder, forwards: Iterable[Forward], digest: str, node: str, ports: dict[str, int], via: str) -> None:
    """Start the forwards' process anew; it outlives us.

    `node` is the container that `ports`, a node port for each forward, belong to, or nothing where the API server is
    the only way; `via` is a way of ways.py.
    """
    stop(where)
    where.make()
    served = [asdict(f) | {"node_port": ports.get(f.name, 0)} for f in forwards]
    state.write(where.forwards, json.dumps({"hash": digest, "node": node, "via": via, "forwards": served}))
    log = where.log("forwards")
    log.parent.mkdir(parents=True, exist_ok=True)
    # The log of the last process is of use where that one died; one that has grown too long is begun anew.
    grown = log.exists() and log.stat().st_size > LOG_BYTES
    with log.open("wb" if grown else "ab") as out:
        child = subprocess.Popen(
            [sys.executable, "-m", "devenv.forwarder", str(where.path)],
            stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd="/", start_new_session=True,
        )  # fmt: skip
    up = wait.settle(lambda: Seen(ask(where) is not None or child.poll() is not None), ANSWERS_WITHIN_S, Event())
    if child.poll() is not None or not up.settled:
        raise DevenvError(f"the forwards did not start; the end of {log}:\n{tail(log)}")


def tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-10:])


def ask(where: Folder, word: str = "status") -> Any:
    """Return the process's answer to a word on its control socket, or None where nobody answers."""
    try:
        with socket.socket(socket.AF_UNIX) as control:
            control.settimeout(ASKED_WITHIN_S)
            control.connect(str(where.socket))
            control.sendall(f"{word}\n".encode())
            return json.loads(b"".join(iter(lambda: control.recv(65536), b"")))
    except (OSError, ValueError):
        return None


def status(where: Folder) -> list[dict[str, Any]]:
    """Return the state of each forward; those of a process that is gone are LOST."""
    if state.is_locked(where.forwards_lock) and (answer := ask(where)):
        return list(answer["forwards"])
    known = (state.read_json(where.forwards) or {}).get("forwards", [])
    return [
        {**f, "state": "LOST", "reason": "the forwards' process does not run; devenv forward start", "pods": []}
        for f in known
    ]


def closed(where: Folder) -> str:
    """Return which forwards do not lead to a service that answers, and why; nothing where all do."""
    return "; ".join(f"{f['name']} is {f['state']}: {f['reason']}" for f in status(where) if f["state"] != "OPEN")


def usurped(where: Folder, forwards: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return a sentence for each local port that is not listened on by the forwards' own process."""
    import psutil

    pid = int(where.forwards_lock.read_text())
    mine = {c.laddr.port for c in psutil.Process(pid).net_connections("tcp") if c.status == psutil.CONN_LISTEN}
    return [
        f"port {f['local_port']} of forward {f['name']} is not ours: {holder(f['local_port'])} holds it"
        for f in forwards
        if f["local_port"] not in mine
    ]


def stop(where: Folder) -> bool:
    """End the forwards' process and see it gone; return whether there was one."""
    if not state.is_locked(where.forwards_lock):
        return False
    pid = int(where.forwards_lock.read_text())
    ask(where, "stop")
    gone = wait.settle(lambda: Seen(not state.is_locked(where.forwards_lock)), 5, Event())
    if not gone.settled:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        gone = wait.settle(lambda: Seen(not state.is_locked(where.forwards_lock)), 5, Event())
    if not gone.settled:
        raise DevenvError(f"the forwards' process {pid} does not end")
    return True
