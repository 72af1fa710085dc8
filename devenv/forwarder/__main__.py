"""The forwards' process: listens on 127.0.0.1 and forwards each connection to a pod of the cluster.

Started as `python -m devenv.forwarder FOLDER` by reconcile/forwards.py; alive means that its lock is held.
"""

import asyncio
import ctypes
import errno
import fcntl
import json
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import IO

from devenv.forwarder import endpoints
from devenv.forwarder.apiserver import ApiError, Kubeconfig
from devenv.forwarder.dial import choose
from devenv.forwarder.forward import FRESH_S, Client, Forward
from devenv.forwarder.journal import Journal
from devenv.forwarder.listener import Listener
from devenv.forwarder.loadbalancer import Balancer
from devenv.forwarder.polling import BusyPoll
from devenv.forwarder.routes import NodeRoute
from devenv.forwarder.spec import LOOK, STOP, ForwardSpec, ProcessSpec
from devenv.forwarder.watch import Watch

AGAIN_S = 1.0  # before a task that failed is started again
TIDY_S = 5.0
OPEN_MAX = 10240  # what macOS lets a process open (sys/syslimits.h), though it says that there is no limit
TAKEN_FOR_S, PAUSE_S = 10.0, 0.1  # a port, and between two looks at it
LOOKS_FOR_S = 2.0  # longer than who looks whether the lock is taken has it


log = Journal(None)


class Process:
    """Everything that the process holds: the forwards, their tasks, and the word to stop."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.stop = folder, asyncio.Event()
        self.spec = ProcessSpec.from_json((folder / "forwards.json").read_text())
        self.server = Kubeconfig(folder / "kubeconfig", log)
        self.node = NodeRoute(self.spec.node, log) if self.spec.node else None
        self.forwards: list[Forward] = []
        self.listeners: list[Listener] = []
        self.tasks: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        loop = asyncio.get_running_loop()
        with suppress(ApiError):  # the log says why; it is tried again
            await self.server.access()
        route = await choose(self.spec.via, self.node, self.server)
        slices = {
            namespace: Watch(self.server, endpoints.path(namespace), partial(loop.call_soon_threadsafe, self.notify))
            for namespace in dict.fromkeys(one.namespace for one in self.spec.forwards)
        }
        for one in self.spec.forwards:
            forward = Forward(one, route, slices[one.namespace], log, self.node)
            client = partial(Client, forward, self.tasks)
            self.listeners.append(await listening(one, client))
            log(f"{one.name}: 127.0.0.1:{one.local_port} -> service {one.service}, route {route.name}")
            self.forwards.append(forward)
            self.tasks.add(loop.create_task(self.supervise(forward)))
        for watched in slices.values():
            watched.start()
        if self.spec.node:
            Balancer(self.server, log).start()

    @property
    def served(self) -> int:
        return sum(forward.served for forward in self.forwards)

    def notify(self) -> None:
        for forward in self.forwards:
            forward.notify()

    async def supervise(self, forward: Forward) -> None:
        """Watch a forward for ever: a fault in it is logged, and ends neither it nor another one."""
        while True:
            try:
                await forward.watch()
            except Exception as error:
                log(f"{forward.spec.name}: {type(error).__name__}: {error}")
                forward.last_error = str(error)
                await asyncio.sleep(AGAIN_S)

    async def control(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        word = (await reader.readline()).decode(errors="replace").strip()
        if word == STOP:
            self.stop.set()
        else:
            if self.node:
                await self.node.look(0 if word == LOOK else FRESH_S)
            await asyncio.gather(*(f.probed() if word == LOOK else f.fresh() for f in self.forwards))
        writer.write(
            json.dumps({"pid": os.getpid(), "forwards": [f.status().to_json() for f in self.forwards]}).encode()
        )
        writer.close()


async def listening(one: ForwardSpec, client: Callable[[], asyncio.BaseProtocol]) -> Listener:
    """Listen on a forward's port. Raise SystemExit where it stays taken.

    The kernel may have given it to a client, whose connection ends soon (ip(7), "ip_local_port_range").
    """
    end, told = time.monotonic() + TAKEN_FOR_S, False
    while True:
        try:
            return Listener(one.local_port, client, log)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or time.monotonic() > end:
                raise SystemExit(f"{one.name}: port {one.local_port}: {error.strerror}") from None
        if not told:
            log(f"{one.name}: port {one.local_port} is in use; waiting for up to {TAKEN_FOR_S:g} s")
            told = True
        await asyncio.sleep(PAUSE_S)


async def serve(folder: Path) -> None:
    process, loop = Process(folder), asyncio.get_running_loop()
    loop.set_exception_handler(log.fault)
    await process.open()
    (folder / "forwards.sock").unlink(missing_ok=True)
    await asyncio.start_unix_server(process.control, folder / "forwards.sock")
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, process.stop.set)
    # Without its folder the process cannot be found any more: it ends.
    while folder.exists() and not process.stop.is_set():
        served = process.served
        with suppress(TimeoutError):
            await asyncio.wait_for(process.stop.wait(), TIDY_S)
        if process.served != served:
            give_back()
    log("end")


def give_back() -> None:
    """Return freed memory to the system: glibc keeps all that many connections at once took (malloc_trim(3))."""
    with suppress(AttributeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)


def descriptors(most: int) -> int:
    """Return how many descriptors to ask for. macOS refuses "no limit", which is what it says (setrlimit(2))."""
    return OPEN_MAX if most == resource.RLIM_INFINITY else most


def loop() -> asyncio.AbstractEventLoop:
    return asyncio.SelectorEventLoop(BusyPoll())


def hold(lock: IO[str]) -> None:
    """Take the lock that says that a process serves the forwards. Raise BlockingIOError where another one has it.

    Who only looks whether it is taken has it for a moment too.
    """
    end = time.monotonic() + LOOKS_FOR_S
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                raise
            time.sleep(0.02)
        else:
            return


def main() -> None:
    folder = Path(sys.argv[1])
    log.file = folder / "logs/forwards.log"
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors(most), most))
    os.umask(0o077)  # all that it writes is its own
    with (folder / "forwards.lock").open("a+") as lock:
        hold(lock)
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
