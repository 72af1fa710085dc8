"""A server that answers as Docker's API does, for the real docker program and Docker's own library to talk to.

`Node` is a kind node in its answers, which is paused, stopped and started as Docker would.
"""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

VERSION = "1.41"
CREATED = 1767225600  # epoch seconds: the first moment of 2026
SILENT = "an answer that does not come"


@dataclass
class Api:
    """What it answers, by the path without the version, and what it was asked; what can be called makes the answer."""

    answers: dict[str, Any]
    port: int = 0
    asked: list[str] = field(default_factory=list)

    @property
    def host(self) -> str:
        return f"tcp://127.0.0.1:{self.port}"


@contextmanager
def serving(answers: dict[str, Any]) -> Iterator[Api]:
    """Yield a server; what it has no answer for is not found."""
    version = {"ApiVersion": VERSION, "Version": "20", "Os": "linux", "Arch": "amd64"}
    api = Api({"/version": version, **answers})

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self.answer(b"")

        def do_GET(self) -> None:
            self.look_up("")

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.look_up("POST ")

        def look_up(self, method: str) -> None:
            path = method + self.path.partition("?")[0].removeprefix(f"/v{VERSION}")
            api.asked.append(path)
            known = api.answers.get(path, "OK" if path == "/_ping" else None)
            known = known() if callable(known) else known
            if known == SILENT:
                time.sleep(60)
            status = known if isinstance(known, int) else 200 if known is not None else 404
            body = known if status == 200 else {"message": "no"}
            if isinstance(known, Exception):
                status, body = 500, {"message": str(known)}
            if status == HTTPStatus.NO_CONTENT:
                body = b""
            self.answer(body if isinstance(body, bytes) else json.dumps(body).encode(), status)

        def answer(self, body: bytes, status: int = 200) -> None:
            self.send_response(status)
            self.send_header("Api-Version", VERSION)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        api.port = server.server_address[1]
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield api
        server.shutdown()


@dataclass
class Node:
    """A kind node of a cluster, as Docker tells of it; `made` says whether devenv's creation of it was finished."""

    cluster: str
    running: bool = True
    paused: bool = False
    made: bool = True
    ours: bool = True
    address: str = "127.0.0.1"
    gateway: str = ""  # the address of Docker's machine
    started: str = "2026-01-01T00:00:00.0Z"

    @property
    def name(self) -> str:
        return f"{self.cluster}-control-plane"

    def listed(self) -> Any:
        labels = {"io.x-k8s.kind.cluster": self.cluster, "io.x-k8s.kind.role": "control-plane"}
        return [{"Id": "n1", "Labels": labels, "Created": CREATED}]

    def networks(self) -> Any:
        network = {"Name": f"devenv-{self.cluster}", "Labels": {"devenv.cluster": self.cluster}}
        return [network] if self.ours else []

    def inspected(self) -> Any:
        network = f"devenv-{self.cluster}" if self.ours else "kind"
        state = {"Running": self.running, "Paused": self.paused, "StartedAt": self.started}
        networks = {network: {"IPAddress": self.address, "Gateway": self.gateway}}
        return {"Id": "n1", "Name": f"/{self.name}", "State": state, "NetworkSettings": {"Networks": networks}}

    def become(self, running: bool, paused: bool = False) -> int:
        self.running, self.paused = running, paused
        return HTTPStatus.NO_CONTENT

    def answers(self) -> dict[str, Any]:
        here = f"/containers/{self.name}"
        return {
            "/containers/json": self.listed,
            "/containers/n1/json": self.inspected,
            f"{here}/json": self.inspected,
            f"{here}/archive": lambda: b"" if self.made else HTTPStatus.NOT_FOUND,
            "/networks": self.networks,
            "/images/json": [],
            f"POST {here}/pause": lambda: self.become(running=True, paused=True),
            f"POST {here}/unpause": lambda: self.become(running=True),
            f"POST {here}/stop": lambda: self.become(running=False),
            f"POST {here}/start": lambda: self.become(running=True),
        }
