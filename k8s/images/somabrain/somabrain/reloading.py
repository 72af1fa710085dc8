"""Serve code that can be put in the place of the running one: SIGHUP starts it anew, and it takes over once it serves.

For development (SOMABRAIN_RELOAD). A parent holds the socket and has the libraries loaded; the service itself is read
by its children alone, each from the files as they are then. A child that does not come to serve is told of, and the
former one serves on.
"""

import asyncio
import importlib
import logging
import os
import runpy
import selectors
import signal
import socket
import sys
import traceback
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import uvicorn

log = logging.getLogger(__name__)

# What the service imports of others. One that is missing here is imported by each child, which takes the longer.
LIBRARIES = (
    "alembic.config", "alembic.runtime.migration", "alembic.script", "fastapi.responses", "httpx", "numpy.typing",
    "prometheus_client.core", "prometheus_client.multiprocess", "psycopg.types.json", "pydantic.v1", "redis.asyncio",
    "sqlalchemy.dialects.postgresql.psycopg", "uvicorn.lifespan.on", "uvicorn.loops.auto",
    "uvicorn.protocols.http.auto", "uvicorn.protocols.websockets.auto",
)  # fmt: skip
HEARD = (signal.SIGHUP, signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)
FILES = "SOMABRAIN_RELOAD_FILES"  # to a child: the descriptors of the socket and of the pipe to its parent
ASKS_WITHIN_S = 0.1  # a client whose connection was just accepted
SERVES, CLOSED = b"s", b"c"  # what a child tells: it takes connections, it takes no more


class Announcing(uvicorn.Server):
    """A server that tells its parent when it serves, and when it no longer does."""

    def __init__(self, config: uvicorn.Config, pipe: int) -> None:
        super().__init__(config)
        self.pipe = pipe

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        os.write(self.pipe, SERVES)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for held in (*self.servers, *(sockets or ())):
            held.close()
        await asyncio.sleep(ASKS_WITHIN_S)
        os.write(self.pipe, CLOSED)
        await super().shutdown(sockets)  # this ends connections that ask nothing


def is_child(environ: Mapping[str, str]) -> bool:
    return FILES in environ


def serve_as_child(config: uvicorn.Config) -> None:
    """Serve on the parent's socket until SIGTERM."""
    listening, pipe = map(int, os.environ[FILES].split())
    Announcing(config, pipe).run([socket.socket(fileno=listening)])


@dataclass(eq=False)
class Child:
    pid: int
    pipe: int  # what it tells


@dataclass
class Parent:
    """Keeps one child serving, and lets the next one take its place."""

    listening: socket.socket
    serving: Child | None = None
    coming: Child | None = None
    leaving: Child | None = None  # it still ends what it was asked before
    ends: bool = False
    own: bytes = field(default_factory=lambda: Path(__file__).read_bytes())

    def run(self) -> int:
        """Return the exit code of the child that served last."""
        for name in LIBRARIES:
            importlib.import_module(name)
        woken, wakes = socket.socketpair()
        for end in (woken, wakes):
            end.setblocking(False)
        signal.set_wakeup_fd(wakes.fileno())
        for heard in HEARD:
            signal.signal(heard, lambda *_: None)
        self.selector = selectors.DefaultSelector()
        self.selector.register(woken, selectors.EVENT_READ)
        self.coming = self.start()
        while True:
            for key, _ in self.selector.select():
                if isinstance(key.data, Child):
                    self.hear(key.data)
                    continue
                for number in map(signal.Signals, woken.recv(64)):
                    if (code := self.on_signal(number)) is not None:
                        return code

    def start(self) -> Child:
        mine, theirs = os.pipe()
        pid = os.fork()
        if not pid:
            os.close(mine)
            self.become_child(theirs)
        os.close(theirs)
        child = Child(pid, mine)
        self.selector.register(mine, selectors.EVENT_READ, child)
        return child

    def become_child(self, pipe: int) -> NoReturn:
        """Run the service as if it were started now. Never returns into the parent's code."""
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            for heard in HEARD:
                signal.signal(heard, signal.SIG_DFL)
            os.environ[FILES] = f"{os.dup(self.listening.fileno())} {pipe}"
            for name in [n for n in sys.modules if n.partition(".")[0] == "somabrain"]:
                del sys.modules[name]
            importlib.invalidate_caches()
            runpy.run_module("somabrain", run_name="__main__", alter_sys=True)
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        except BaseException:  # it must not go on as a second parent
            traceback.print_exc()
        finally:
            os._exit(code)

    def hear(self, child: Child) -> None:
        told = os.read(child.pipe, 16)
        if SERVES in told and child is self.coming:
            self.leaving, self.serving, self.coming = self.serving, child, None
            if self.leaving is None:
                self.tell()
            else:
                os.kill(self.leaving.pid, signal.SIGTERM)
        if (CLOSED in told or not told) and child is self.leaving:
            self.leaving = None
            if not self.coming:  # else newer code is to be told of
                self.tell()
        if not told:
            self.selector.unregister(child.pipe)
            os.close(child.pipe)

    def tell(self) -> None:
        log.info("serving the code of %s", Path.cwd())

    def on_signal(self, number: signal.Signals) -> int | None:
        """Do what a signal is for; return the exit code where it is the end."""
        if number == signal.SIGHUP and not self.ends:
            if Path(__file__).read_bytes() != self.own:
                self.start_over()
            self.drop(self.coming)
            self.coming = self.start()
        elif number in (signal.SIGTERM, signal.SIGINT):
            self.ends = True
            for child in filter(None, (self.serving, self.coming)):
                os.kill(child.pid, signal.SIGTERM)
        elif number == signal.SIGCHLD:
            return self.reap()
        return None

    def start_over(self) -> NoReturn:
        """Be the parent anew, of its own changed code; nobody serves meanwhile."""
        for child in (self.coming, self.serving):
            self.drop(child)
        self.listening.close()
        os.execv(sys.executable, [sys.executable, "-m", "somabrain"])  # noqa: S606  itself

    def drop(self, child: Child | None) -> None:
        if child:
            os.kill(child.pid, signal.SIGKILL)
            os.waitpid(child.pid, 0)

    def reap(self) -> int | None:
        with suppress(ChildProcessError):
            while (found := os.waitpid(-1, os.WNOHANG))[0]:
                pid, code = found[0], os.waitstatus_to_exitcode(found[1])
                if self.coming and pid == self.coming.pid:
                    self.coming = None
                    if not (self.serving or self.ends):
                        return code
                    log.error("new code does not serve, exit code %d; the former goes on", code)
                elif self.serving and pid == self.serving.pid:
                    self.drop(self.coming)
                    return 0 if self.ends else code
        return 0 if self.ends and not self.serving else None
