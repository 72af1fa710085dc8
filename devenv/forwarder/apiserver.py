"""The API server as the forwards' process reaches it: by the standard library, for that process has to stay small."""

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from threading import Lock, Thread
from typing import Any

from devenv.kube import access
from devenv.kube.access import KEEP_ALIVE, Access
from devenv.kube.address import Cluster

ANSWERS_WITHIN_S = 10.0
CREDENTIALS_AGAIN_S = 5.0


class ApiError(OSError):
    """The API server did not answer, or refused. `code` is its HTTP status, 0 where there was none."""

    def __init__(self, message: str, code: int = 0) -> None:
        super().__init__(message)
        self.code = code


def reached(to: Access) -> HTTPConnection:
    """Return a connection to the API server, through the proxy where there is one, without TLS. Raise OSError."""
    connection = HTTPConnection(*to.reached_at, timeout=ANSWERS_WITHIN_S)
    if to.cluster.proxy:
        connection.set_tunnel(to.host, to.port, to.proxy_headers)
    connection.connect()
    return connection


def connect(to: Access) -> HTTPConnection:
    connection = reached(to)
    if to.tls:  # not HTTPSConnection: that takes no other name than the host's
        connection.sock = to.tls.wrap_socket(connection.sock, server_hostname=to.server_name)
    for level, option, value in KEEP_ALIVE:
        connection.sock.setsockopt(level, option, value)
    return connection


def lines(
    to: Access, method: str, path: str, body: Any = None, media: str = "application/json", silence_s: float = 0
) -> Iterator[bytes]:
    """Yield the lines of an answer as they come; `silence_s` is the longest between two. Raise ApiError."""
    data = None if body is None else json.dumps(body).encode()
    headers = {**to.headers, "Accept": "application/json"} | ({"Content-Type": media} if data else {})
    try:
        with closing(connect(to)) as connection:
            connection.request(method, to.path + path, data, headers)
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


class Kubeconfig:
    """The environment's kubeconfig, read again when it has been rewritten, or when its credentials are to be renewed.

    A program that makes credentials may take half a minute. So nobody waits for it while the previous credentials are
    good, and the event loop never does. While they cannot be renewed, expired or refused ones are not used.
    """

    def __init__(self, path: Path, log: Callable[[str], None]) -> None:
        self.path, self.log = path, log
        self._written, self._access = 0, Access(Cluster(""))
        self._refused = False  # the API server has refused the credentials
        self._failed, self._again = "", float("-inf")  # why the last reading failed, and when to read again
        self._reading, self._waiting = Lock(), asyncio.Lock()

    @property
    def known(self) -> Access:
        """What was read last."""
        return self._access

    def get(self) -> Access:
        """Return an access that lets us in, as far as is known; only where there is none is it waited for.

        Raise ApiError where there is none to be had.
        """
        if self._stale():
            if not self._usable():
                self._renew(wait=True)
            elif not self._reading.locked():
                Thread(target=self._renew, daemon=True).start()
        if self.trouble:
            raise ApiError(self.trouble)
        return self._access

    async def access(self) -> Access:
        """Return the same without blocking the loop."""
        if not self._stale() or self._usable():
            return self.get()
        async with self._waiting:  # one of asyncio's few threads, however many connections wait
            return await asyncio.to_thread(self.get)

    @property
    def trouble(self) -> str:
        """Why nothing lets us in, or an empty string. What was just read is tried, whatever our clock says."""
        return "" if self._usable() else self._failed

    def ask(self, method: str, path: str, body: Any = None, media: str = "application/json") -> dict[str, Any]:
        """Return the answer of one request. Raise ApiError."""
        answer = b"".join(self.lines(method, path, body, media))
        try:
            return dict(json.loads(answer))
        except (ValueError, TypeError) as error:
            raise ApiError(f"{method} {path}: no object of JSON came back: {error}") from error

    def lines(
        self, method: str, path: str, body: Any = None, media: str = "application/json", silence_s: float = 0
    ) -> Iterator[bytes]:
        """Yield the lines of an answer as they come; `silence_s` is the longest between two. Raise ApiError."""
        to = self.get()
        try:
            yield from lines(to, method, path, body, media, silence_s)
        except ApiError as error:
            if error.code == HTTPStatus.UNAUTHORIZED:
                self.refuse(to)
            raise

    def refuse(self, access: Access) -> None:
        """Have credentials renewed that the API server has refused (401)."""
        if access is self._access:
            self._refused = True

    def _stale(self) -> bool:
        if self.path.stat().st_mtime_ns != self._written:
            return True
        if self._failed:
            return time.time() >= self._again
        return self._refused or self._access.is_due

    def _usable(self) -> bool:
        return bool(self._access.url) and not self._refused and not self._access.has_expired

    def _renew(self, wait: bool = False) -> None:
        if not self._reading.acquire(blocking=wait):
            return  # another thread is at it
        try:
            if self._stale():
                written = self.path.stat().st_mtime_ns
                self._read()
                self._written = written  # last: until then nobody takes what was there before for what the file says
        finally:
            self._reading.release()

    def _read(self) -> None:
        try:
            self._access, self._refused, self._failed = access.read(self.path), False, ""
        except OSError as error:
            self._failed, self._again = f"kubeconfig: {error}", time.time() + CREDENTIALS_AGAIN_S
            self.log(self._failed)
