"""Two ends of a forwarded connection: what one does, the other does too."""

import asyncio
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol, cast

CHUNK = 1 << 18  # of a read: bulk goes sooner than with 64 KiB (docs/decisions/transport.md)
LINGER_NONE = struct.pack("ii", 1, 0)  # of SO_LINGER: a close sends a reset


# Whether an end that has sent everything is not there to be answered any more; None where that cannot be told yet.
Gone = Callable[[], bool | None]


class Endpoint(Protocol):
    """What one end asks of the other, whatever lies behind it."""

    peer: "Endpoint | None"
    ended: bool  # nothing more comes from there
    moved: int  # bytes that came from there

    def send(self, data: memoryview) -> None: ...
    def finish(self, gone: Gone) -> None: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...
    def close(self) -> None: ...
    def reset(self, why: str) -> None: ...


def link(near: Endpoint, far: Endpoint) -> None:
    """Make two ends one connection. Both start paused, so that nothing is read before it can be sent on."""
    near.peer, far.peer = far, near
    near.resume()
    far.resume()


class BackPressure:
    """An end that cannot take more lets its peer read no more."""

    peer: Endpoint | None

    def pause_writing(self) -> None:
        if self.peer:
            self.peer.pause()

    def resume_writing(self) -> None:
        if self.peer:
            self.peer.resume()


class SocketEndpoint(BackPressure, asyncio.BufferedProtocol):
    """An end that is a socket. What it reads it sends to its peer; end, reset and back-pressure pass on."""

    # Reading and writing on happen in one step of the loop, so that all connections share one buffer. What could not be
    # sent at once is copied by the transport (aiofastnet; a bytearray's memory is not its own to keep).
    buffer = memoryview(bytearray(CHUNK))
    who = "the pod"

    def __init__(self) -> None:
        self.peer: Endpoint | None = None
        self.transport: asyncio.Transport | None = None
        self.ended = False
        self.moved = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport = cast(asyncio.Transport, transport)
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # Not at once: aiofastnet adds its reader after this, whatever was said here.
        asyncio.get_running_loop().call_soon(transport.pause_reading)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002
        return SocketEndpoint.buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.moved += nbytes
        if self.peer:
            self.peer.send(SocketEndpoint.buffer[:nbytes])

    def eof_received(self) -> bool:
        self.ended = True
        if self.peer:
            if self.peer.ended:
                self.peer.close()
                return False
            self.peer.finish(self.has_gone)
        return True

    def has_gone(self) -> bool | None:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        peer, self.peer, self.transport = self.peer, None, None
        if peer:
            peer.peer = None
            if exc:
                peer.reset(f"{self.who}: {exc}")
            else:
                peer.close()

    def send(self, data: memoryview) -> None:
        if self.transport and not self.transport.is_closing():
            self.transport.write(data)

    def finish(self, gone: Gone) -> None:  # noqa: ARG002  the other side is told, and ends in its own time
        if self.transport:
            self.transport.write_eof()

    def pause(self) -> None:
        if self.transport:
            self.transport.pause_reading()

    def resume(self) -> None:
        if self.transport:
            self.transport.resume_reading()

    def close(self) -> None:
        if self.transport:
            self.transport.close()

    def reset(self, why: str) -> None:  # noqa: ARG002  for who keeps it
        """End the connection with a reset, so that its peer does not take it for a complete answer."""
        if self.transport:
            with suppress(OSError):
                self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NONE)
            self.transport.abort()
