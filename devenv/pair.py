"""A connection between two sockets, led by two threads, one for each direction.

A thread that waits for one socket is awake sooner than a loop that waits for many. Where many ask at once, threads only
take the interpreter from each other (docs/performance.md).
"""

import socket
from collections.abc import Callable
from contextlib import suppress
from threading import Thread

from devenv.pipe import CHUNK, LINGER_NONE, Side


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

    def __init__(self, near: Side, far: Side, sockets: tuple[socket.socket, socket.socket]) -> None:
        self._sides, self._sockets, self._fault = (near, far), sockets, ""

    def start(self, ended: Callable[[str], object]) -> None:
        for one in self._sockets:
            one.setblocking(True)
        Thread(target=self._lead, args=(ended,), daemon=True).start()

    def _lead(self, ended: Callable[[str], object]) -> None:
        back = Thread(target=self._carry, args=(1, 0), daemon=True)
        back.start()
        self._carry(0, 1)
        back.join()
        for one in self._sockets:
            one.close()
        with suppress(RuntimeError):  # of a loop that has ended before us
            ended(self._fault)

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

    def _break(self, fault: str) -> None:
        """Let both sockets end with a reset, and wake the other direction."""
        self._fault = self._fault or fault
        for one in self._sockets:
            with suppress(OSError):
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NONE)
                one.shutdown(socket.SHUT_RD)
