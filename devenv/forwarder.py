"""The forwards' process: listens on 127.0.0.1 and leads each connection to a pod of the cluster.

Started as `python -m devenv.forwarder FOLDER` by forward.py; alive means that its lock is held.
"""

import asyncio
import ctypes
import fcntl
import json
import os
import resource
import signal
import sys
import time
import traceback
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Lock

import aiofastnet

from devenv import apiserver, endpoints
from devenv.apiserver import ApiServer
from devenv.balancer import Balancer
from devenv.busypoll import BusyPoll
from devenv.credentials import CredentialsError
from devenv.node_first import choose
from devenv.relay import Client, Forward
from devenv.watch import Watch

BACKLOG = 1024
AGAIN_S = 1.0  # before a task that failed is started again
CREDENTIALS_AGAIN_S = 5.0
TIDY_S = 5.0


def say(text: str) -> None:
    print(time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), text, flush=True)


class Kubeconfig:
    """The environment's kubeconfig, read again when it was written anew, or when its credentials end."""

    def __init__(self, path: Path) -> None:
        self.path, self._read, self._server = path, 0, ApiServer("")
        self._guard = Lock()  # the watches call too

    def __call__(self) -> ApiServer:
        with self._guard:
            changed = self.path.stat().st_mtime_ns
            if changed != self._read or time.time() >= self._server.until:
                self._server, self._read = self.read(), changed
            return self._server

    def read(self) -> ApiServer:
        """Read it; where its credentials cannot be had, go on with those of before and try again soon."""
        try:
            return apiserver.read(self.path)
        except CredentialsError as error:
            say(f"credentials: {error}")
            return replace(self._server, until=time.time() + CREDENTIALS_AGAIN_S)


class Process:
    """Everything that the process holds: the forwards, their tasks, and the word to stop."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.stop = folder, asyncio.Event()
        self.spec = json.loads((folder / "forwards.json").read_text())
        self.server = Kubeconfig(folder / "kubeconfig")
        self.forwards: list[Forward] = []
        self.tasks: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        loop = asyncio.get_running_loop()
        way = await choose(self.spec["via"], self.spec["node"], self.server, say)
        slices = {
            namespace: Watch(self.server, endpoints.path(namespace), partial(loop.call_soon_threadsafe, self.tell))
            for namespace in dict.fromkeys(one["namespace"] for one in self.spec["forwards"])
        }
        for one in self.spec["forwards"]:
            forward = Forward(one, way, slices[one["namespace"]], say)
            client = partial(Client, forward, self.tasks)
            await aiofastnet.create_server(loop, client, "127.0.0.1", one["local_port"], backlog=BACKLOG)
            say(f"{one['name']}: 127.0.0.1:{one['local_port']} leads to service {one['service']} by {way.name}")
            self.forwards.append(forward)
            self.tasks.add(loop.create_task(self.supervise(forward)))
        for watched in slices.values():
            watched.start()
        if self.spec["node"]:
            Balancer(self.server, say).start()

    @property
    def served(self) -> int:
        return sum(forward.served for forward in self.forwards)

    def tell(self) -> None:
        for forward in self.forwards:
            forward.tell()

    async def supervise(self, forward: Forward) -> None:
        """Watch a forward for ever: a fault in it is told, and ends neither it nor another one."""
        while True:
            try:
                await forward.watch()
            except Exception as error:
                say(f"{forward.spec['name']}: {type(error).__name__}: {error}")
                forward.last_error = str(error)
                await asyncio.sleep(AGAIN_S)

    async def control(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if (await reader.readline()).strip() == b"stop":
            self.stop.set()
        else:
            await asyncio.gather(*(forward.fresh() for forward in self.forwards))
        writer.write(json.dumps({"pid": os.getpid(), "forwards": [f.report() for f in self.forwards]}).encode())
        writer.close()


async def serve(folder: Path) -> None:
    process, loop = Process(folder), asyncio.get_running_loop()
    await process.open()
    (folder / "forwards.sock").unlink(missing_ok=True)
    await asyncio.start_unix_server(process.control, folder / "forwards.sock")
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, process.stop.set)
    # A process whose folder was taken away can be found by nobody: it ends.
    while folder.exists() and not process.stop.is_set():
        served = process.served
        with suppress(TimeoutError):
            await asyncio.wait_for(process.stop.wait(), TIDY_S)
        if process.served != served:
            give_back()
    say("end")


def give_back() -> None:
    """Return freed memory to the system: glibc keeps all that many connections at once took (malloc_trim(3))."""
    with suppress(AttributeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)


def loop() -> asyncio.AbstractEventLoop:
    return asyncio.SelectorEventLoop(BusyPoll())


def main() -> None:
    folder = Path(sys.argv[1])
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with (folder / "forwards.lock").open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        code = 1
        try:
            with asyncio.Runner(loop_factory=loop) as runner:
                runner.run(serve(folder))
            code = 0
        except Exception:
            traceback.print_exc()
    os._exit(code)  # what clients still have open ends with us


if __name__ == "__main__":
    main()
