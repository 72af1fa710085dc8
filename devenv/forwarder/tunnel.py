"""The far end of a connection that goes through the API server: a WebSocket to the pod's portforward subresource.

Protocol v4.channel.k8s.io (k8s.io/kubelet, pkg/cri/streaming/portforward/websocket.go): the first byte of a message is
its channel, 0 for data and 1 for errors; the first message of each channel is the port, two bytes.
"""

import asyncio
import socket
from http import HTTPStatus

from picows import WSFrame, WSHandshakeError, WSListener, WSMsgType, WSTransport, ws_connect

from devenv.forwarder.connection import BackPressure, Endpoint, Gone
from devenv.kube.access import Access

DATA, ERROR = 0, 1
CHANNEL = "v4.channel.k8s.io"
# The protocol has no half-close: a client that has sent everything is answered as long as it waits. A service that is
# silent for so long may wait for the end that it cannot be told; the client cannot know whether it has got everything.
SILENCE_S = 30.0
LOOK_S = 1.0  # between two looks whether the client still waits
TLS_BUFFER = 1 << 16  # each way, kept by each connection; 256 KiB were it not said


class Unauthorized(OSError):
    """The API server does not take the credentials."""


class Tunnel(BackPressure, WSListener):
    """An end that is a WebSocket. `opened` is done once the pod's port was reached, or failed with what came back."""

    def __init__(self) -> None:
        super().__init__()
        self.peer: Endpoint | None = None
        self.ended = False
        self.moved = 0
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._transport: WSTransport | None = None
        self._channel = DATA
        self._ports: set[int] = set()  # channels that have told their port
        self._early: list[memoryview] = []  # a service may speak first, before the two ends are linked
        self._heard, self._paused = 0.0, False
        self._trouble = ""

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        data = memoryview(frame.get_payload_as_bytes())
        if frame.msg_type == WSMsgType.BINARY and data:
            self._channel, data = data[0], data[1:]
        elif frame.msg_type == WSMsgType.CLOSE:
            self.ended = True
            transport.disconnect()
            return
        elif frame.msg_type != WSMsgType.CONTINUATION:
            return
        if self._channel not in self._ports:
            self._ports.add(self._channel)
            if self._ports == {DATA, ERROR} and not self.opened.done():
                self.opened.set_result(None)
        elif self._channel == ERROR:
            self._trouble += bytes(data).decode(errors="replace")
        else:
            self._hear(data)

    def _hear(self, data: memoryview) -> None:
        self.moved += len(data)
        self._heard = asyncio.get_running_loop().time()
        if self.peer:
            self.peer.send(data)
        else:
            self._early.append(data)

    def on_ws_disconnected(self, transport: WSTransport) -> None:  # noqa: ARG002
        # Whoever ends a connection well says so first.
        trouble = self._trouble or ("" if self.ended else "the API server broke the connection")
        if not self.opened.done():
            self.opened.set_exception(OSError(trouble or "the API server closed the connection"))
        peer, self.peer, self._transport, self.ended = self.peer, None, None, True
        if peer:
            peer.peer = None
            if trouble:
                peer.reset(trouble)
            else:
                peer.close()

    def send(self, data: memoryview) -> None:
        if self._transport:
            self._transport.send(WSMsgType.BINARY, b"\x00" + data)

    def finish(self, gone: Gone) -> None:
        loop = asyncio.get_running_loop()
        self._heard = loop.time()
        loop.call_later(min(LOOK_S, SILENCE_S), self._look, loop, gone)

    def _look(self, loop: asyncio.AbstractEventLoop, gone: Gone) -> None:
        """End the connection where nobody waits for the answer any more, or none comes."""
        if not self.peer:
            return
        if gone():
            self.close()
        elif not self._paused and loop.time() - self._heard >= SILENCE_S:
            self.peer.reset(f"no end of the answer came within {SILENCE_S:g} s")
        else:
            loop.call_later(min(LOOK_S, SILENCE_S), self._look, loop, gone)

    def pause(self) -> None:
        self._paused = True
        if self._transport:
            self._transport.underlying_transport.pause_reading()

    def resume(self) -> None:
        early, self._early = self._early, []
        if self.peer:
            for data in early:
                self.peer.send(data)
        self._heard, self._paused = asyncio.get_running_loop().time(), False
        if self._transport:
            self._transport.underlying_transport.resume_reading()

    def close(self) -> None:
        self.ended = True
        if self._transport:
            self._transport.send_close()
            self._transport.disconnect()

    def reset(self, why: str) -> None:  # noqa: ARG002  the protocol has no word for it
        if self._transport:
            self._transport.disconnect(graceful=False)


async def open_tunnel(to: Access, path: str, within_s: float, near: socket.socket | None = None) -> Tunnel:
    """Return an open tunnel, not yet linked. Raise OSError with what the API server answered.

    `near` is a connection to the API server that need not be to the URL's address; its certificate is checked.
    """
    tunnel = Tunnel()
    buffers = TLS_BUFFER if to.tls else None
    try:
        transport, _ = await ws_connect(
            lambda: tunnel, f"ws{to.url.removeprefix('http')}{path}", ssl_context=to.tls,
            extra_headers={**to.headers, "Sec-WebSocket-Protocol": CHANNEL}, websocket_handshake_timeout=within_s,
            max_redirects=0, socket_factory=lambda _: near, server_hostname=to.server_name if to.tls else None,
            ssl_incoming_bio_size=buffers, ssl_outgoing_bio_size=buffers,
        )  # fmt: skip
    except WSHandshakeError as error:
        status = f"{error.response.status:d} " if error.response else ""
        kind = Unauthorized if error.response and error.response.status == HTTPStatus.UNAUTHORIZED else OSError
        raise kind(f"{status}{error}: {(error.raw_body or b'').decode(errors='replace')[:200]}") from None
    try:
        if transport.is_disconnected:
            raise OSError("the API server closed the connection")
        await tunnel.opened
    except BaseException:
        transport.disconnect(graceful=False)
        raise
    return tunnel
