"""scripts/port_forward_api.sh: it takes the API, and nothing else, for the API."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from tests.service.programs import served, silent_port

ROOT = Path(__file__).parents[2]
NOWHERE = {"KUBECONFIG": "/dev/null"}  # kubectl finds no cluster, and says so


def run(
    port: int, script: Path = ROOT / "scripts/port_forward_api.sh", **more: str
) -> "subprocess.CompletedProcess[str]":
    env = {**os.environ, **NOWHERE, **more}
    return subprocess.run([str(script), str(port)], env=env, text=True, capture_output=True, check=False, timeout=60)


@contextmanager
def answering(body: bytes) -> Iterator[int]:
    class Other(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

    with ThreadingHTTPServer(("127.0.0.1", 0), Other) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def test_the_api_is_known_though_its_stores_are_gone() -> None:
    with served() as client:
        done = run(client.base_url.port or 0)
    assert (done.returncode, done.stderr) == (0, "")
    assert "already answers" in done.stdout


@pytest.mark.parametrize(
    "body", [b"my other project: no such page", b'{"ok": true}', b'{"embedder_ok": true}', b"[]", b"", b'"embedder_ok"']
)
def test_another_server_is_not_taken_for_the_api(body: bytes) -> None:
    with answering(body) as port:
        done = run(port)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"127.0.0.1:{port} is taken by something that is not the API" in done.stderr


def test_a_server_that_does_not_speak_http_or_says_nothing_is_not_taken_for_the_api() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        done = run(silent.getsockname()[1])
    assert done.returncode == 1
    assert "timed out" in done.stderr.lower()


def test_where_nobody_listens_kubectl_forwards() -> None:
    with silent_port() as port:
        done = run(port)
    assert done.returncode == 1
    assert "is taken" not in done.stderr
    assert "connection to the server" in done.stderr


def test_kubectl_is_found_where_setup_puts_it(tmp_path: Path) -> None:
    """On a machine whose PATH has none."""
    script = tmp_path / "scripts/port_forward_api.sh"
    script.parent.mkdir()
    shutil.copy(ROOT / "scripts/port_forward_api.sh", script)
    for place, names in (
        (tmp_path / "bin", ("bash", "env", "curl", "jq", "dirname")),
        (tmp_path / ".venv/bin", ("kubectl",)),
    ):
        place.mkdir(parents=True)
        for name in names:
            (place / name).symlink_to(str(shutil.which(name)))
    with silent_port() as port:
        done = run(port, script, PATH=str(tmp_path / "bin"))
    assert "connection to the server" in done.stderr, done.stderr
