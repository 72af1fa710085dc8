"""A connection between two sockets, led by two threads, one for each direction.

A thread that waits for one socket is awake sooner than a loop that waits for many. Where many ask at once, threads only
take the interpreter from each other (docs/performance.md).
"""

import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Lock

from devenv.pipe import CHUNK, LINGER_NONE, Side

# Made when they are needed, two for each forward at most, and kept: to make them takes longer than a short connection.
THREADS = ThreadPoolExecutor(1000, "pair")


def given(near: Side, far: Side) -> tuple[socket.socket, socket.socket] | None:
    """Return the sockets of two ends, which are no ends any more; nothing where the far one is more than a socket."""
    there = far.give()
    here = near.give() if there else None
    return (here, there) if here and there else None


class Pair:
    """Carries what comes from either socket to the other: data, its end, or a reset.

    The sockets are closed when both directions have ended; then `ended` is called, in a thread, with what broke the
    connection, or nothing. What was moved is counted at the two sides that the sockets are of.
    """

    def __init__(
        self, near: Side, far: Side, sockets: tuple[socket.socket, socket.socket], ended: Callable[[str], object]
    ) -> None:
        self._sides, self._sockets, self._ended = (near, far), sockets, ended
        self._fault, self._directions, self._guard = "", 2, Lock()

    def start(self) -> None:
        for one in self._sockets:
            one.setblocking(True)
        THREADS.submit(self._carry, 0, 1)
        THREADS.submit(self._carry, 1, 0)

    def _carry(self, start: int, end: int) -> None:
        side, source, target = self._sides[start], self._sockets[start], self._sockets[end]
        buffer = memoryview(bytearray(CHUNK))
        try:
            while size := source.recv_into(buffer):
                side.moved += size
                target.sendall(buffer[:size])
            if not self._fault:  # else what has come is not the whole
                target.shutdown(socket.SHUT_WR)
        except OSError as error:
            self._break(str(error))
        self._end()

    def _break(self, fault: str) -> None:
        """Let both sockets end with a reset, and wake the other direction."""
        self._fault = self._fault or fault
        for one in self._sockets:
            with suppress(OSError):
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NONE)
                one.shutdown(socket.SHUT_RD)

    def _end(self) -> None:
        with self._guard:
            self._directions -= 1
            if self._directions:
                return
        for one in self._sockets:
            one.close()
        with suppress(RuntimeError):  # of a loop that has ended before us
            self._ended(self._fault)
