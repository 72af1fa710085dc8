"""The API server as the forwards' process asks it: over the standard library, since that process has to stay small."""

import json
import socket
import ssl
from base64 import b64decode
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

from devenv import credentials

ANSWERS_WITHIN_S = 10.0
# The kernel asks a silent peer after 5 s, and breaks the connection where two questions got no answer: after 15 s.
KEEP_ALIVE = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, getattr(socket, "TCP_KEEPIDLE", getattr(socket, "TCP_KEEPALIVE", 0)), 5),  # macOS's name
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 2),
)


class ApiError(OSError):
    """The API server did not answer, or refused. `code` is its HTTP status, 0 where there was none."""

    def __init__(self, message: str, code: int = 0) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class ApiServer:
    """Where the API server is, and how to be let in."""

    url: str
    tls: ssl.SSLContext | None = None
    token: str = ""
    until: float = float("inf")  # epoch seconds at which the kubeconfig is to be read again

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        return urlsplit(self.url).port or (443 if self.tls else 80)

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    def connect(self) -> HTTPConnection:
        kind = partial(HTTPSConnection, context=self.tls) if self.tls else HTTPConnection
        connection = kind(self.host, self.port, timeout=ANSWERS_WITHIN_S)
        connection.connect()
        for level, option, value in KEEP_ALIVE:
            connection.sock.setsockopt(level, option, value)
        return connection

    def ask(self, method: str, path: str, body: Any = None, media: str = "application/json") -> dict[str, Any]:
        """Return the answer of one request. Raise ApiError."""
        return dict(json.loads(b"".join(self.lines(method, path, body, media))))

    def lines(
        self, method: str, path: str, body: Any = None, media: str = "application/json", silence_s: float = 0
    ) -> Iterator[bytes]:
        """Yield the lines of an answer as they come; `silence_s` is the longest between two. Raise ApiError."""
        data = None if body is None else json.dumps(body).encode()
        headers = {**self.headers, "Accept": "application/json"} | ({"Content-Type": media} if data else {})
        try:
            with closing(self.connect()) as connection:
                connection.request(method, path, data, headers)
                own = connection.sock  # the answer keeps it, the connection may not
                answer = connection.getresponse()
                own.settimeout(silence_s or ANSWERS_WITHIN_S)
                if answer.status >= 400:
                    raise ApiError(f"{method} {path}: {answer.status} {answer.read(4096).decode()}", answer.status)
                yield from answer
        except (OSError, HTTPException) as error:
            if isinstance(error, ApiError):
                raise
            raise ApiError(f"{method} {path}: {error or type(error).__name__}") from error


def read(kubeconfig: Path) -> ApiServer:
    """Return the API server of a kubeconfig's current context."""
    import yaml

    config = yaml.safe_load(kubeconfig.read_text())
    context = named(config["contexts"], config["current-context"])["context"]
    cluster = named(config["clusters"], context["cluster"])["cluster"]
    user, until = credentials.resolved(named(config["users"], context["user"])["user"])
    url = cluster["server"].rstrip("/")
    if not url.startswith("https"):
        return ApiServer(url, token=user.get("token", ""), until=until)
    with TemporaryDirectory() as folder:
        authority = material(cluster, "certificate-authority", Path(folder))
        tls = ssl.create_default_context(cafile=authority)
        if cluster.get("insecure-skip-tls-verify"):
            tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
        if certificate := material(user, "client-certificate", Path(folder)):
            tls.load_cert_chain(certificate, material(user, "client-key", Path(folder)))
    return ApiServer(url, tls, user.get("token", ""), until)


def named(entries: list[dict[str, Any]], name: str) -> dict[str, Any]:
    return next(entry for entry in entries if entry["name"] == name)


def material(entry: dict[str, Any], key: str, folder: Path) -> str | None:
    """Return the path of a certificate or key, which a kubeconfig names or carries; the ssl module wants a file."""
    if data := entry.get(f"{key}-data"):
        file = folder / key
        file.touch(0o600)
        file.write_bytes(b64decode(data))
        return str(file)
    path = entry.get(key)
    return str(path) if path else None
