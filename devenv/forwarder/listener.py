"""A local port: connections are accepted for as long as the process has descriptors for them."""

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress

import aiofastnet

from devenv.forwarder import presence
from devenv.forwarder.journal import Tally

BACKLOG = 1024
AT_ONCE = 64  # accepted in one step of the loop: the other connections have their turn too
# Without a descriptor left, the next ones wait in the kernel: they are accepted when others have gone.
PAUSE_S, TELL_S = 0.5, 10.0


class Listener:
    """Listens on a port of 127.0.0.1 and makes a protocol for each connection."""

    def __init__(self, port: int, protocol: Callable[[], asyncio.BaseProtocol], log: Callable[[str], None]) -> None:
        self.socket = socket.create_server(("127.0.0.1", port), backlog=BACKLOG)
        self.socket.setblocking(False)
        self.port = int(self.socket.getsockname()[1])
        self._protocol, self._log, self._pauses = protocol, log, Tally(TELL_S)
        self._loop = asyncio.get_running_loop()
        self._accepting: set[asyncio.Task[None]] = set()
        presence.tables()  # while there are descriptors for them
        self._loop.add_reader(self.socket, self._accept)

    def _accept(self) -> None:
        for _ in range(AT_ONCE):
            try:
                connection, _ = self.socket.accept()
            except (BlockingIOError, InterruptedError):
                return
            except ConnectionAbortedError:  # the client has gone before
                continue
            except OSError as error:
                self._pause(error)
                return
            connection.setblocking(False)
            task = self._loop.create_task(self._take(connection))
            self._accepting.add(task)
            task.add_done_callback(self._accepting.discard)

    async def _take(self, connection: socket.socket) -> None:
        try:
            await aiofastnet.connect_accepted_socket(self._loop, self._protocol, connection)
        except OSError:  # reset in the meantime
            connection.close()

    def _pause(self, error: OSError) -> None:
        self._pauses.add(f"port {self.port}: no new connection is accepted at the moment: {error.strerror}")
        for text, _ in self._pauses.due():
            self._log(text)
        self._loop.remove_reader(self.socket)
        self._loop.call_later(PAUSE_S, self._resume)

    def _resume(self) -> None:
        if self.socket.fileno() != -1:
            self._loop.add_reader(self.socket, self._accept)

    def close(self) -> None:
        with suppress(OSError, ValueError):
            self._loop.remove_reader(self.socket)
        self.socket.close()
