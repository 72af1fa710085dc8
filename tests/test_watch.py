"""Objects as the API server tells them, from a real server that behaves badly."""

import json
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any, ClassVar

from devenv.forwarder.watch import PAUSE_S, Watch
from tests.test_tunnel import kubeconfig
from tests.waiting import eventually


class EndsAtOnce(BaseHTTPRequestHandler):
    """An API server, or a proxy before it, that ends every watch at once."""

    watches = 0

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        if "watch=1" in self.path:
            type(self).watches += 1
        else:
            self.wfile.write(json.dumps({"metadata": {"resourceVersion": "1"}, "items": []}).encode())


class Odd(BaseHTTPRequestHandler):
    """An API server whose first answers are no lists of objects."""

    answers: ClassVar[list[Any]] = []

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        if "watch=1" not in self.path:
            whole = {"metadata": {"resourceVersion": "1"}, "items": [{"metadata": {"uid": "u"}}]}
            self.wfile.write(json.dumps(self.answers.pop(0) if self.answers else whole).encode())
        elif self.answers:
            self.wfile.write(json.dumps(self.answers.pop(0)).encode() + b"\n")


def test_a_watch_outlives_documents_that_it_does_not_expect(tmp_path: Path) -> None:
    Odd.answers = [None, [], {"items": None}, {"metadata": {}, "items": [1]}, "text"]
    with ThreadingHTTPServer(("127.0.0.1", 0), Odd) as api:
        Thread(target=api.serve_forever, daemon=True).start()
        watched = Watch(kubeconfig(tmp_path, f"http://127.0.0.1:{api.server_port}"), "/api/v1/pods", lambda: None)
        watched.start()
        eventually(lambda: watched.synced, 20)
        Odd.answers = [{"type": "ADDED", "object": None}, {"type": "BOOKMARK"}, 5]
        eventually(lambda: not Odd.answers and watched.synced, 20)
        assert [o["metadata"]["uid"] for o in watched.objects] == ["u"]
        api.shutdown()


def test_a_watch_outlives_a_listener_that_does_not_expect_a_document(tmp_path: Path) -> None:
    Odd.answers = []
    calls: list[int] = []

    def listener() -> None:
        calls.append(len(calls))
        if len(calls) < 4:
            raise KeyError("type")

    with ThreadingHTTPServer(("127.0.0.1", 0), Odd) as api:
        Thread(target=api.serve_forever, daemon=True).start()
        watched = Watch(kubeconfig(tmp_path, f"http://127.0.0.1:{api.server_port}"), "/api/v1/pods", listener)
        watched.start()
        eventually(lambda: watched.synced and len(calls) >= 4, 20)
        api.shutdown()


def test_a_watch_that_ends_at_once_is_not_asked_for_without_pause(tmp_path: Path) -> None:
    listed = Event()
    with ThreadingHTTPServer(("127.0.0.1", 0), EndsAtOnce) as api:
        Thread(target=api.serve_forever, daemon=True).start()
        Watch(kubeconfig(tmp_path, f"http://127.0.0.1:{api.server_port}"), "/api/v1/pods", listed.set).start()
        assert listed.wait(10)
        begun, before = time.monotonic(), EndsAtOnce.watches
        time.sleep(4 * PAUSE_S)
        most = (time.monotonic() - begun) / PAUSE_S + 2
        assert EndsAtOnce.watches - before <= most
        assert EndsAtOnce.watches > before
        api.shutdown()
