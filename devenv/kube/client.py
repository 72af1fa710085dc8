"""Requests to the API server, by the environment's own kubeconfig; its refusals in our words."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from pathlib import Path
from threading import Lock
from time import time
from typing import TYPE_CHECKING, Any

from devenv import __version__
from devenv.errors import Conflict, DevenvError, Forbidden, Invalid, NotFound, Unreachable
from devenv.kube import access
from devenv.kube.access import KEEP_ALIVE, Access
from devenv.kube.address import KubeconfigError
from devenv.system import masking
from devenv.system.state import Folder

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse, PoolManager

REQUEST_WITHIN_S = 15.0
REACHED_WITHIN_S = 5.0
AGAIN_S = 5.0  # before credentials that could not be renewed are asked for again
CONNECTIONS = 16
UNCHANGED = 304
CHUNK = 1 << 16  # bytes of a stream that are taken at once
SHOWN = 200  # characters of an answer that nobody understands
JSON = "application/json"
ANYTHING = f"{JSON}, */*"  # a log is none
# What says "not now": too many requests, a load balancer without its API server, an API server without its etcd.
NOT_NOW = (429, 500, 502, 503, 504)
# Every request may be sent twice: what we send reads, deletes, or applies a whole object (server-side apply).
KINDS: dict[int, type[DevenvError]] = {
    403: Forbidden, 404: NotFound, 409: Conflict, 422: Invalid, **dict.fromkeys(NOT_NOW, Unreachable),
}  # fmt: skip
PAUSE_S, TRIES = 0.1, 5  # with pauses of 0, 0.2, 0.4, 0.8 and 1.6 s


@dataclass(frozen=True)
class Answer:
    """What the API server answered to `doing`."""

    doing: str
    status: int
    headers: Mapping[str, str]
    data: bytes

    @property
    def date(self) -> datetime | None:
        """The moment of the API server's clock, to a second; None of an answer that does not say it."""
        try:
            return parsedate_to_datetime(self.headers.get("Date", ""))
        except ValueError:
            return None

    @property
    def etag(self) -> str:
        return self.headers.get("ETag", "")

    @property
    def is_unchanged(self) -> bool:
        """Whether what the ETag of the request stands for is what would be told again."""
        return self.status == UNCHANGED

    @property
    def text(self) -> str:
        return self.data.decode(errors="replace")

    def json(self) -> dict[str, Any]:
        """Return the object that it is. Raise DevenvError where something else answers in the API server's place."""
        try:
            found = json.loads(self.data)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise DevenvError(f"{self.doing}: this is no answer of an API server: {self.text[:SHOWN]}")
        return found


class Client:
    """An API server and the credentials for it, which are renewed when they are due. Threads may share it."""

    def __init__(self, folder: Folder) -> None:
        self._kubeconfig = folder.kubeconfig
        self._access = read(self._kubeconfig)
        self._pool = pool(self._access)
        self._renewing = Lock()
        self._told: datetime | None = None

    @property
    def now(self) -> datetime:
        """The API server's clock at its last answer; this machine's before that."""
        return self._told or datetime.now(UTC)

    def send(
        self, doing: str, method: str, path: str, body: Any = None, *,
        media: str = JSON, accept: str = JSON, etag: str = "", within_s: float = REQUEST_WITHIN_S,
    ) -> Answer:  # fmt: skip
        """Send a request of a path of the API, and return what is answered.

        Raise the DevenvError of the answer's status, with the API server's own reason, and Unreachable where there is
        no answer; `within_s` is the limit of each of its tries.
        """
        from urllib3 import Timeout
        from urllib3.exceptions import HTTPError

        to, connections = self._renewed()
        headers = sent_with(to, accept)
        headers |= {"Content-Type": media} if body is not None else {}
        headers |= {"If-None-Match": etag} if etag else {}
        try:
            # Read within the request: an answer that breaks off is one more reason to ask again.
            seen = connections.request(
                method, to.url + path, headers=headers, timeout=Timeout(total=within_s), preload_content=True,
                body=None if body is None else json.dumps(body).encode(),
            )  # fmt: skip
        except HTTPError as error:
            raise Unreachable(f"{doing}: the API server does not answer: {error}") from error
        if not (200 <= seen.status < 300 or (etag and seen.status == UNCHANGED)):
            raise refusal(doing, seen)
        answer = Answer(doing, seen.status, seen.headers, seen.data)
        self._told = answer.date or self._told
        return answer

    def once(self, doing: str, path: str, within_s: float) -> Answer:
        """Return whatever is answered to a GET, a refusal too. It is sent once; raise Unreachable without an answer."""
        from urllib3.exceptions import HTTPError

        to, connections = self._renewed()
        try:
            headers = sent_with(to, ANYTHING)
            seen = connections.request("GET", to.url + path, headers=headers, timeout=within_s, retries=False)
        except HTTPError as error:
            raise Unreachable(f"{doing}: the API server does not answer: {error}") from error
        return Answer(doing, seen.status, seen.headers, seen.data)

    def stream(self, doing: str, path: str, silence_s: float | None = None) -> Iterator[bytes]:
        """Yield what is answered to a GET as it comes, in pieces; closing the generator ends the request.

        Raise as `send` does, and Unreachable where the answer breaks off, or nothing of it has come for `silence_s`.
        """
        from urllib3 import Timeout
        from urllib3.exceptions import HTTPError

        to, connections = self._renewed()
        patience = Timeout(connect=REACHED_WITHIN_S, read=silence_s)
        try:
            seen = connections.request(
                "GET", to.url + path, headers=sent_with(to, ANYTHING), timeout=patience, preload_content=False
            )
            try:
                if seen.status != HTTPStatus.OK:
                    raise refusal(doing, seen)
                while data := seen.read1(CHUNK):
                    yield data
            finally:
                seen.close()
        except HTTPError as error:
            raise Unreachable(f"{doing}: the API server does not answer: {error}") from error

    def _renewed(self) -> tuple[Access, "PoolManager"]:
        """Return what lets us in: a token and a certificate are renewed alike."""
        with self._renewing:  # one run of a program, however many requests are due
            if self._access.is_due:
                self._renew()
            return self._access, self._pool

    def _renew(self) -> None:
        try:
            found = read(self._kubeconfig)
        except DevenvError:
            if self._access.has_expired:
                raise
            self._access = replace(self._access, renew_at=min(time() + AGAIN_S, self._access.expires_at))
            return
        self._access = found
        if found.tls:  # it holds the certificate that a program gave
            self._pool = pool(found)


def sent_with(to: Access, accept: str) -> dict[str, str]:
    """Return the headers of every request."""
    return {**to.headers, "Accept": accept, "User-Agent": f"devenv/{__version__}"}


def read(kubeconfig: Path) -> Access:
    try:
        found = access.read(kubeconfig)
    except FileNotFoundError as error:
        if error.filename != str(kubeconfig):  # one that it names
            raise DevenvError(f"{kubeconfig}: {error.filename}: no such file") from None
        raise DevenvError(f"{kubeconfig}: no such file\nhint: devenv up") from None
    except KubeconfigError as error:
        raise DevenvError(f"{kubeconfig}: {error}\nhint: devenv up") from error
    except OSError as error:
        raise DevenvError(f"{kubeconfig}: {error}") from error
    # What answers in the API server's place may repeat what it was asked with.
    masking.hide(text.rpartition(" ")[2] for text in (*credentials(found.headers), *credentials(found.proxy_headers)))
    return found


def credentials(headers: Mapping[str, str]) -> Iterator[str]:
    return (text for name, text in headers.items() if name.lower().endswith("authorization"))


def pool(to: Access) -> "PoolManager":
    """Return the connections to an API server: with its TLS, and by its proxy."""
    import urllib3

    patient = urllib3.Retry(
        TRIES, status_forcelist=NOT_NOW, allowed_methods=None, backoff_factor=PAUSE_S, raise_on_status=False
    )
    options = [*urllib3.connection.HTTPConnection.default_socket_options, *KEEP_ALIVE]
    shared: dict[str, Any] = {"maxsize": CONNECTIONS, "retries": patient, "socket_options": options}
    if to.tls:
        shared["ssl_context"] = to.tls
    if to.cluster.server_name:
        shared |= {"server_hostname": to.cluster.server_name, "assert_hostname": to.cluster.server_name}
    if to.cluster.proxy:
        return urllib3.ProxyManager(to.cluster.proxy, proxy_headers=to.proxy_headers, **shared)
    return urllib3.PoolManager(**shared)


def answers(folder: Folder) -> bool:
    """Whether the API server says that it is ready. It is asked once, where every other request is patient."""
    from urllib3.exceptions import HTTPError

    to = read(folder.kubeconfig)
    try:
        said = pool(to).request("GET", f"{to.url}/readyz", headers=to.headers, retries=False, timeout=REACHED_WITHIN_S)
    except HTTPError:
        return False
    return bool(said.status == 200)


def reach(folder: Folder) -> None:
    """See that the API server answers and lets us in. Raise DevenvError with why not."""
    Client(folder).send("reach the cluster", "GET", "/version", within_s=REACHED_WITHIN_S).json()


def refusal(doing: str, seen: "BaseHTTPResponse") -> DevenvError:
    return KINDS.get(seen.status, DevenvError)(f"{doing}: {reason(seen)}")


def reason(seen: "BaseHTTPResponse") -> str:
    """Return the message of the Status that the API server answered with."""
    try:
        return str(json.loads(seen.data)["message"])
    except (TypeError, ValueError, KeyError):
        return f"{seen.status} {seen.reason}"
