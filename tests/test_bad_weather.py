"""A connection that flickers: a request that may succeed is sent again, and one that cannot is told."""

import json
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import product
from pathlib import Path
from threading import Thread
from typing import ClassVar

import pytest
import yaml

from devenv.errors import Conflict, DevenvError, Forbidden, Invalid, NotFound, Unreachable
from devenv.kube import client
from devenv.kube.client import NOT_NOW, TRIES
from devenv.kube.readiness import Level, Readiness
from devenv.system import state
from devenv.system.wait import poll

# In the place of a status: the connection is reset without an answer, or in the middle of one.
RESET, CUT = 0, 1


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "PAUSE_S", 0.001)


class Weather(BaseHTTPRequestHandler):
    """Answers with the statuses of `coming`, one a request, and well when there are no more."""

    coming: ClassVar[list[int]] = []
    asked: ClassVar[list[str]] = []

    def answer(self) -> None:
        self.asked.append(self.command)
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status = self.coming.pop(0) if self.coming else 200
        if status == RESET:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            return
        body = json.dumps({"message": f"it is {status}", "major": "1", "minor": "0"}).encode()
        self.send_response(200 if status == CUT else status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:9] if status == CUT else body)
        self.close_connection = status == CUT

    do_GET = do_PATCH = do_DELETE = answer

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def api_server(coming: list[int], tmp_path: Path) -> Iterator[state.Folder]:
    """Serve that weather; yield a folder whose kubeconfig leads there."""
    Weather.coming, Weather.asked = list(coming), []
    with ThreadingHTTPServer(("127.0.0.1", 0), Weather) as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        folder = state.Folder(tmp_path)
        clusters = [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}]
        contexts = [{"name": "c", "context": {"cluster": "c"}}]
        folder.kubeconfig.write_text(
            yaml.safe_dump({"clusters": clusters, "contexts": contexts, "current-context": "c"})
        )
        yield folder
        server.shutdown()


def ask(folder: state.Folder, method: str = "GET") -> int:
    answer = client.Client(folder).send("ask", method, "/version", {} if method == "PATCH" else None)
    answer.json()
    return answer.status


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
@pytest.mark.parametrize("bad", [RESET, CUT, *NOT_NOW])
def test_a_request_is_sent_again_where_the_api_server_cannot_answer_now(tmp_path: Path, bad: int, method: str) -> None:
    with api_server([bad, bad], tmp_path) as folder:
        assert ask(folder, method) == 200
    assert Weather.asked == [method] * 3


def test_a_request_that_is_refused_is_sent_once_and_told(tmp_path: Path) -> None:
    for status, kind in {401: DevenvError, 403: Forbidden, 404: NotFound, 409: Conflict, 422: Invalid}.items():
        with api_server([status], tmp_path) as folder, pytest.raises(kind, match=f"it is {status}") as told:
            ask(folder)
        assert not isinstance(told.value, Unreachable)
        assert len(Weather.asked) == 1


def test_weather_that_stays_bad_is_told_with_the_last_answer(tmp_path: Path) -> None:
    with api_server([503] * (TRIES + 1), tmp_path) as folder, pytest.raises(Unreachable, match="it is 503"):
        ask(folder)
    with api_server([RESET] * (TRIES + 1), tmp_path) as folder, pytest.raises(Unreachable, match="does not answer"):
        ask(folder)


def test_a_wait_goes_on_where_the_api_server_is_unreachable_for_a_while() -> None:
    for looks in product((True, False), repeat=3):
        coming = [*looks, True]

        def probe(coming: list[bool] = coming) -> Readiness:
            if not coming.pop(0):
                raise Unreachable("away")
            return Readiness(Level.PENDING if coming else Level.READY, "what")

        assert poll(probe, 10).level is Level.READY


def test_a_wait_whose_last_look_finds_nobody_says_so() -> None:
    def probe() -> Readiness:
        raise Unreachable("away")

    with pytest.raises(Unreachable, match="away"):
        poll(probe, 0.1)
