"""An API server that only a proxy leads to: commands and forwards take the same one, and none to this machine."""

import asyncio
import socket
import ssl
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import ClassVar

import pytest
import yaml

from devenv.certificates.x509 import issue, new_authority
from devenv.forwarder.apiserver import Kubeconfig
from devenv.forwarder.routes import ApiRoute
from devenv.kube import address, client
from devenv.kube.address import KubeconfigError, cluster, environments_proxy
from devenv.system import state
from tests.test_bad_weather import Weather, ask
from tests.test_forwarder import run
from tests.test_tls import serving
from tests.test_tunnel import api_server, forward_by

HOST = "api.cluster.invalid"  # a name that leads nowhere (RFC 6761)
USER = "me:p@ss"


class Proxy(BaseHTTPRequestHandler):
    """Leads every CONNECT to one port of this machine, for who knows the password."""

    port = 0
    asked: ClassVar[list[str]] = []

    def do_CONNECT(self) -> None:
        known = self.headers.get("Proxy-Authorization", "").removeprefix("Basic ")
        if b64decode(known).decode() != USER:
            self.send_error(407)
            return
        self.asked.append(self.path)
        with socket.create_connection(("127.0.0.1", self.port)) as far:
            self.send_response(200)
            self.end_headers()
            back = Thread(target=pour, args=(far, self.connection))
            back.start()
            pour(self.connection, far)
            back.join()

    def log_message(self, *_: object) -> None:
        pass


def pour(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


@contextmanager
def proxy(to: int) -> Iterator[str]:
    """Yield the URL of a proxy that leads to a port."""
    Proxy.port, Proxy.asked = to, []
    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://me:p%40ss@127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def tls(tmp_path: Path) -> tuple[ssl.SSLContext, str]:
    """The API server's end of TLS, and the authority that signed it."""
    now = datetime.now(UTC)
    authority = new_authority("x", HOST, now)
    return serving(issue(authority, HOST, now), tmp_path), authority.certificate


def written(folder: Path, authority: str, by: str = "") -> Path:
    """Write a kubeconfig of that API server; `by` is its proxy."""
    trusted = b64encode(authority.encode()).decode()
    found = {
        "server": f"https://{HOST}:6443",
        "certificate-authority-data": trusted,
        **({"proxy-url": by} if by else {}),
    }
    config = {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": found}],
        "users": [{"name": "u", "user": {"token": "secret"}}],
    }
    (folder / "kubeconfig").write_text(yaml.safe_dump(config))
    return folder / "kubeconfig"


@pytest.mark.parametrize("environments", [False, True])
def test_commands_and_watches_reach_the_api_server_through_its_proxy(
    tmp_path: Path, tls: tuple[ssl.SSLContext, str], environments: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "PAUSE_S", 0.001)
    Weather.coming, Weather.asked = [], []
    with ThreadingHTTPServer(("127.0.0.1", 0), Weather) as server, proxy(server.server_port) as by:
        server.socket = tls[0].wrap_socket(server.socket, server_side=True)
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        if environments:
            monkeypatch.setenv("HTTPS_PROXY", by)
        file = written(tmp_path, tls[1], "" if environments else by)
        assert ask(state.Folder(tmp_path)) == 200
        assert Kubeconfig(file, print).ask("GET", "/version")["major"] == "1"
        server.shutdown()
    assert Proxy.asked == [f"{HOST}:6443"] * 2


def test_a_forward_reaches_its_pod_through_the_proxy(tmp_path: Path, tls: tuple[ssl.SSLContext, str]) -> None:
    async def scenario() -> None:
        async with api_server(0, tls[0]) as port:
            with proxy(port) as by:
                route = ApiRoute(Kubeconfig(written(tmp_path, tls[1], by), print))
                async with forward_by(route) as (_, local):
                    reader, writer = await asyncio.open_connection("127.0.0.1", local)
                    writer.write(b"through")
                    assert await reader.readexactly(13) == b"hello through"
                    writer.close()
                assert await route.lost() == ""
            assert await route.lost() != ""
        assert Proxy.asked == [f"{HOST}:6443"]

    run(scenario())


def test_a_proxy_that_refuses_is_the_reason(tmp_path: Path, tls: tuple[ssl.SSLContext, str]) -> None:
    with proxy(1) as by:
        file = written(tmp_path, tls[1], by.replace("p%40ss", "hunter2"))
        with pytest.raises(OSError, match="407") as told:
            Kubeconfig(file, print).ask("GET", "/version")
    assert "hunter2" not in str(told.value)


@pytest.mark.parametrize(
    ("url", "exempt", "wanted"),
    [
        ("https://k.example:6443", "", "http://p:1"),
        ("https://k.example:6443", "other.example", "http://p:1"),
        ("https://k.example:6443", ".example", ""),
        ("https://k.example:6443", "k.example", ""),
        ("https://10.1.2.3:6443", "10.1.0.0/16", ""),
        ("https://10.2.2.3:6443", "10.1.0.0/16,x", "http://p:1"),
        ("https://[fd00::1]:6443", "10.1.0.0/16,fd00::/8", ""),
        ("https://k.example:6443", "10.1.0.0/16", "http://p:1"),
        ("https://127.0.0.1:6443", "", ""),
        ("https://[::1]:6443", "", ""),
        ("https://localhost:6443", "", ""),
        ("http://k.example:80", "", "http://q:2"),
    ],
)
def test_which_proxy_the_environment_asks_for(
    url: str, exempt: str, wanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, value in {"https_proxy": "http://p:1", "http_proxy": "http://q:2", "no_proxy": exempt}.items():
        monkeypatch.setenv(key, value)
    assert environments_proxy(url) == wanted
    assert cluster({"server": url}).proxy == wanted
    assert cluster({"server": url, "proxy-url": "http://own:3"}).proxy == "http://own:3"


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"server": "https://me:hunter2@k.example"}, "a user and a password in the address are not supported"),
        ({"server": "https://k.example:hunter2"}, "server: "),
        ({"server": "https://k.example", "proxy-url": "socks5://me:hunter2@p:1"}, "only http:// ones"),
        ({"server": "https://k.example", "proxy-url": "https://me:hunter2@p:1"}, "only http:// ones"),
        ({"server": "https://k.example", "proxy-url": "http://p:hunter2"}, "proxy-url: "),
    ],
)
def test_an_address_that_cannot_be_honoured_is_refused_and_not_shown(entry: dict[str, str], said: str) -> None:
    with pytest.raises(KubeconfigError, match=said) as told:
        address.cluster(entry)
    assert "hunter2" not in str(told.value)
