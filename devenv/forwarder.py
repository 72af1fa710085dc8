"""The forwards' process: listens on 127.0.0.1, leads each connection to the node, holds it while nobody is ready.

Started as `python -m devenv.forwarder FOLDER` by forward.py; alive means that its lock is held.
"""

import asyncio
import fcntl
import json
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from devenv.pipe import End
from devenv.probes import probe

DIAL_WITHIN_S = 2.0
PAUSE_S = 0.05  # between two attempts to reach the service while a connection is held
OPEN_PAUSE_S, OTHER_PAUSE_S = 2.0, 0.25  # between two probes
FIND_NODE_EVERY_S = 3.0  # while the node cannot be reached: Docker may have given it another address


class Forward:
    """One forward: its settings, its state and its counters."""

    def __init__(self, spec: dict[str, Any], node: "Node") -> None:
        self.spec, self.node = spec, node
        self.state, self.reason, self.since = "CONNECTING", "not probed yet", time.time()
        self.connections = self.served = self.refused = 0

    def become(self, state: str, reason: str) -> None:
        if state != self.state:
            say(f"{self.spec['name']}: {self.state} -> {state} {reason}".rstrip())
            self.state, self.since = state, time.time()
        self.reason = reason

    async def watch(self) -> None:
        """Probe for ever; what was open once and answers no more is HOLDING: new connections wait."""
        while True:
            if wrong := await probe(self.spec["probe"], self.node.address, self.spec["node_port"]):
                self.become("CONNECTING" if self.state == "CONNECTING" else "HOLDING", wrong)
                if not wrong.startswith("ConnectionRefused"):
                    await self.node.find()
            else:
                self.become("OPEN", "")
            await asyncio.sleep(OPEN_PAUSE_S if self.state == "OPEN" else OTHER_PAUSE_S)

    def report(self) -> dict[str, Any]:
        keys = ("name", "local_port", "service", "probe", "hold_s")
        counters = {"connections": self.connections, "served": self.served, "refused": self.refused}
        way = f"node {self.node.address}:{self.spec['node_port']}"
        state = {"state": self.state, "reason": self.reason, "since": self.since, "way": way}
        return {key: self.spec[key] for key in keys} | state | counters


class Node:
    """The node's address, which Docker may change when it restarts."""

    def __init__(self, container: str) -> None:
        self.container, self.address, self._asked = container, "", 0.0

    async def find(self) -> None:
        if time.monotonic() - self._asked < FIND_NODE_EVERY_S:
            return
        self._asked = time.monotonic()
        template = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
        asked = await asyncio.create_subprocess_exec(
            "docker", "inspect", "--format", template, self.container,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        found = (await asked.communicate())[0].decode().strip()
        if found and found != self.address:
            say(f"the node is at {found}")
            self.address = found


class Client(End):
    """The local end: waits, unread, until the service is reached or the hold limit is over."""

    def __init__(self, forward: Forward, tasks: set[asyncio.Task[None]]) -> None:
        super().__init__()
        self.forward, self.tasks = forward, tasks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        assert self.transport
        self.transport.pause_reading()
        self.forward.connections += 1
        task = asyncio.get_running_loop().create_task(self.lead())
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def lead(self) -> None:
        loop, spec, why = asyncio.get_running_loop(), self.forward.spec, ""
        end = time.monotonic() + spec["hold_s"]
        while self.transport and not self.transport.is_closing():
            try:
                async with asyncio.timeout(DIAL_WITHIN_S):
                    _, far = await loop.create_connection(
                        End, self.forward.node.address, self.forward.spec["node_port"]
                    )
                break
            except (OSError, TimeoutError) as error:
                why = str(error) or type(error).__name__
            if time.monotonic() >= end:
                self.forward.refused += 1
                say(f"{spec['name']}: gave a connection up after {spec['hold_s']} s: {why}")
                self.reset()
                return
            await asyncio.sleep(PAUSE_S)
        else:
            return
        if self.transport is None:
            far.reset()
            return
        self.peer, far.peer = far, self
        self.forward.served += 1
        self.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self.forward.connections -= 1
        super().connection_lost(exc)


def say(text: str) -> None:
    print(time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), text, flush=True)


async def serve(folder: Path) -> None:
    spec = json.loads((folder / "forwards.json").read_text())
    node, stop, loop = Node(spec["node"]), asyncio.Event(), asyncio.get_running_loop()
    await node.find()
    forwards = [Forward(one, node) for one in spec["forwards"]]
    tasks: set[asyncio.Task[None]] = set()
    for forward in forwards:
        port = forward.spec["local_port"]
        await loop.create_server(lambda f=forward: Client(f, tasks), "127.0.0.1", port)  # type: ignore[misc]
        say(f"{forward.spec['name']}: 127.0.0.1:{port} leads to service {forward.spec['service']}")
        tasks.add(loop.create_task(forward.watch()))

    async def control(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if (await reader.readline()).strip() == b"stop":
            stop.set()
        writer.write(json.dumps({"pid": os.getpid(), "forwards": [f.report() for f in forwards]}).encode())
        writer.close()

    (folder / "forwards.sock").unlink(missing_ok=True)
    await asyncio.start_unix_server(control, folder / "forwards.sock")
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    # A process whose folder was taken away can be found by nobody: it ends.
    while folder.exists() and not stop.is_set():
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), 5)
    say("end")


def main() -> None:
    folder = Path(sys.argv[1])
    with (folder / "forwards.lock").open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        asyncio.run(serve(folder))
    os._exit(0)  # what clients still had open ends with us


if __name__ == "__main__":
    main()
