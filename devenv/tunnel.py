"""The far end of a connection that goes through the API server: a WebSocket to the pod's portforward subresource.

Protocol v4.channel.k8s.io (k8s.io/kubelet, pkg/cri/streaming/portforward/websocket.go): the first byte of a message is
its channel, 0 for data and 1 for errors; the first message of each channel is the port, two bytes.
"""

import asyncio
import ssl
from collections.abc import Mapping
from urllib.parse import urlsplit

from websockets.client import ClientProtocol
from websockets.datastructures import Headers
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import State
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

from devenv.pipe import BackPressure, Side

DATA, ERROR = 0, 1
CHANNEL = Subprotocol("v4.channel.k8s.io")
# The protocol has no half-close. A client that has sent everything gets the rest of its answer, until the service
# has been silent for so long.
SILENCE_S = 3.0


class Tunnel(BackPressure, asyncio.Protocol):
    """An end that is a WebSocket. `opened` is done once the pod's port was reached, or failed with what came back."""

    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        self.peer: Side | None = None
        self.ended = False
        self.moved = 0
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._transport: asyncio.Transport | None = None
        self._headers = Headers(headers)
        self._socket = ClientProtocol(parse_uri(url), subprotocols=[CHANNEL], max_size=None)
        self._channel = DATA
        self._ports: set[int] = set()  # channels that have told their port
        self._early: list[bytes] = []  # a service may speak first, before the two ends are linked
        self._heard = 0.0
        self._trouble = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        request = self._socket.connect()
        request.headers.update(self._headers)
        self._socket.send_request(request)
        self._flush()

    def data_received(self, data: bytes) -> None:
        self._socket.receive_data(data)
        for event in self._socket.events_received():
            if isinstance(event, Response) and self._socket.handshake_exc:
                body = bytes(event.body or b"").decode(errors="replace")
                self._trouble = f"{event.status_code} {event.reason_phrase}: {body[:200]}"
            elif isinstance(event, Frame):
                self._take(event)
        self._flush()

    def _take(self, frame: Frame) -> None:
        data = bytes(frame.data)
        if frame.opcode is Opcode.BINARY and data:
            self._channel, data = data[0], data[1:]
        elif frame.opcode is not Opcode.CONT:
            return
        if self._channel not in self._ports:
            self._ports.add(self._channel)
            if self._ports == {DATA, ERROR} and not self.opened.done():
                self.opened.set_result(None)
        elif self._channel == ERROR:
            self._trouble += data.decode(errors="replace")
        else:
            self._hear(data)

    def _hear(self, data: bytes) -> None:
        self.moved += len(data)
        self._heard = asyncio.get_running_loop().time()
        if self.peer:
            self.peer.send(memoryview(data))
        else:
            self._early.append(data)

    def _flush(self) -> None:
        for data in self._socket.data_to_send():
            if not self._transport:
                return
            if data:
                self._transport.write(data)
            else:
                self._transport.close()  # the library's word for the end of the stream

    def connection_lost(self, exc: Exception | None) -> None:
        trouble = self._trouble or (str(exc) if exc else "")
        if not self.opened.done():
            self.opened.set_exception(OSError(trouble or "the API server closed the connection"))
        peer, self.peer, self._transport, self.ended = self.peer, None, None, True
        if peer:
            peer.peer = None
            if trouble:
                peer.reset()
            else:
                peer.close()

    def send(self, data: memoryview) -> None:
        if self._socket.state is State.OPEN:
            self._socket.send_binary(b"\x00" + data)
            self._flush()

    def finish(self) -> None:
        loop = asyncio.get_running_loop()
        self._heard = loop.time()
        self._close_when_silent(loop)

    def _close_when_silent(self, loop: asyncio.AbstractEventLoop) -> None:
        left_s = self._heard + SILENCE_S - loop.time()
        if left_s > 0:
            loop.call_later(left_s, self._close_when_silent, loop)
        else:
            self.close()

    def pause(self) -> None:
        if self._transport:
            self._transport.pause_reading()

    def resume(self) -> None:
        early, self._early = self._early, []
        if self.peer:
            for data in early:
                self.peer.send(memoryview(data))
        if self._transport:
            self._transport.resume_reading()

    def close(self) -> None:
        if self._socket.state is State.OPEN:
            self._socket.send_close()
            self._flush()
        if self._transport:
            self._transport.close()

    def reset(self) -> None:
        if self._transport:
            self._transport.abort()


async def open_tunnel(url: str, tls: ssl.SSLContext | None, headers: Mapping[str, str]) -> Tunnel:
    """Return an open tunnel, not yet linked. Raise OSError with what the API server answered."""
    parts = urlsplit(url)
    port = parts.port or (443 if tls else 80)
    _, tunnel = await asyncio.get_running_loop().create_connection(
        lambda: Tunnel(url, headers), parts.hostname or "", port, ssl=tls
    )
    try:
        await tunnel.opened
    except BaseException:
        tunnel.reset()
        raise
    return tunnel
