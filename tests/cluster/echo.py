"""A backend for the ingress's scenarios: each port is a service that answers with what reached it."""

import json
import os
import signal
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import FrameType
from urllib.parse import parse_qs, urlsplit


class Server(ThreadingHTTPServer):
    request_queue_size = 128
    name = ""


class Echo(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.headers.get("Upgrade") == "websocket":
            self.upgrade()
            return
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        time.sleep(float(parse_qs(urlsplit(self.path).query).get("sleep", ["0"])[0]))
        assert isinstance(self.server, Server)
        headers = {name.lower(): value for name, value in self.headers.items()}
        seen = {"service": self.server.name, "pod": socket.gethostname(), "path": self.path, "headers": headers}
        answer = json.dumps({**seen, "method": self.command, "body_bytes": len(body)}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_POST = do_GET

    def upgrade(self) -> None:
        """Send back whatever comes after the upgrade."""
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.end_headers()
        while data := self.connection.recv(4096):
            self.connection.sendall(data)
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        pass


def main() -> None:
    for pair in sys.argv[1:]:
        name, _, port = pair.partition("=")
        server = Server(("", int(port)), Echo)
        server.name = name
        threading.Thread(target=server.serve_forever, daemon=True).start()
    ended = threading.Event()

    def end(_signal: int, _frame: FrameType | None) -> None:
        ended.set()

    signal.signal(signal.SIGTERM, end)
    ended.wait()
    os._exit(0)


if __name__ == "__main__":
    main()
