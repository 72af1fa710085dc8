"""Two ends of a forwarded connection: what one does, the other does too."""

import asyncio
import socket
import struct
from contextlib import suppress

CHUNK = 1 << 16


class End(asyncio.BufferedProtocol):
    """One end of a forwarded connection. What it reads it writes to its peer; end, reset and back-pressure pass on."""

    # Reading and writing on happen in one step of the loop, so that all connections share one buffer; it is replaced
    # when a write could not be sent whole, since the transport still looks at the rest.
    buffer = memoryview(bytearray(CHUNK))

    def __init__(self) -> None:
        self.peer: End | None = None
        self.transport: asyncio.Transport | None = None
        self.ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002
        return End.buffer

    def buffer_updated(self, nbytes: int) -> None:
        if self.peer and self.peer.transport:
            self.peer.transport.write(End.buffer[:nbytes])
            if self.peer.transport.get_write_buffer_size():
                End.buffer = memoryview(bytearray(CHUNK))

    def eof_received(self) -> bool:
        self.ended = True
        if self.peer and self.peer.transport:
            if self.peer.ended:
                self.peer.transport.close()
                return False
            self.peer.transport.write_eof()
        return True

    def pause_writing(self) -> None:
        if self.peer and self.peer.transport:
            self.peer.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.peer and self.peer.transport:
            self.peer.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        peer, self.peer, self.transport = self.peer, None, None
        if peer and peer.transport:
            peer.peer = None
            if exc:
                peer.reset()
            else:
                peer.transport.close()

    def reset(self) -> None:
        """End the connection with a reset: whoever is at the other end shall not take it for a whole answer."""
        if self.transport:
            linger_none = struct.pack("ii", 1, 0)
            with suppress(OSError):
                self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_none)
            self.transport.abort()
