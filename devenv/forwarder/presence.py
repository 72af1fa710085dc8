"""Whether a client that is not read is still there."""

import select
import socket
import time
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TextIO

# Linux tells of the peer's end although nothing is read; elsewhere only of a reset.
ENDED = getattr(select, "POLLRDHUP", 0)
TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))  # the second has sockets of both, as Java makes them
READ_EACH_S, TRUE_FOR_S = 0.2, 1.0  # reading the table takes a moment where there are thousands of connections
LOCAL, REMOTE, INODE = 1, 2, 9  # its columns (proc_net_tcp of the kernel's documentation)


class Presence:
    """A client as its connection shows it."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection, self.ended_at = connection, float("inf")

    def has_gone(self) -> bool | None:
        """Whether nobody waits for an answer any more; None where that cannot be told yet.

        A client that has ended its side may wait (`nc -N`), or be gone; its end looks the same. Then the kernel's table
        tells whether some process still has its socket: it is on this machine, for we listen on 127.0.0.1 only.
        """
        poll = select.poll()
        poll.register(self.connection, ENDED)
        events = sum(event for _, event in poll.poll(0))
        if events & (select.POLLERR | select.POLLHUP):
            return True
        if not events & ENDED or not tables():
            return False
        now = time.monotonic()
        self.ended_at = min(self.ended_at, now)
        if (there := owned(max(self.ended_at, now - TRUE_FOR_S))) is None:
            return None
        try:
            return (self.connection.getpeername()[1], self.connection.getsockname()[1]) not in there
        except OSError:
            return True


@cache
def tables() -> tuple[TextIO, ...]:
    """Return the kernel's tables, open for good: they are needed most where no descriptor is left."""
    found = []
    for path in TABLES:
        with suppress(OSError):
            found.append(path.open())
    return tuple(found)


def owned(after: float) -> frozenset[tuple[int, int]] | None:
    """Return the local and the remote port of each TCP socket that a process has, as of some moment after this one.

    All connections share what is read. None where it was read a moment ago, and yet before.
    """
    global _read_at, _owned
    if _read_at >= after:
        return _owned
    if (now := time.monotonic()) - _read_at < READ_EACH_S:
        return None
    rows = []
    for file in tables():
        file.seek(0)
        rows += [line.split() for line in file.read().splitlines()[1:]]
    _read_at, _owned = now, frozenset((port(row[LOCAL]), port(row[REMOTE])) for row in rows if row[INODE] != "0")
    return _owned


def port(address: str) -> int:
    return int(address.rpartition(":")[2], 16)


_read_at, _owned = float("-inf"), frozenset[tuple[int, int]]()
