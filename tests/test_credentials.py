"""Credentials that a program makes, or another file holds, for a user of a kubeconfig."""

import asyncio
import json
import ssl
import time
from base64 import b64decode, b64encode
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from devenv.certificates import x509
from devenv.errors import DevenvError
from devenv.forwarder.apiserver import ApiError, Kubeconfig
from devenv.forwarder.routes import ApiRoute
from devenv.kube import access, client, credentials
from devenv.kube.credentials import CredentialsError, User
from devenv.system.state import Folder
from tests.test_tls import serving as tls_of


def kubeconfig(folder: Path, url: str, user: dict[str, Any]) -> Path:
    config = {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": url}}],
        "users": [{"name": "u", "user": user}],
    }
    (folder / "kubeconfig").write_text(json.dumps(config))
    return folder / "kubeconfig"


def program(folder: Path, script: str) -> dict[str, Any]:
    """Return a user whose credentials come from a shell script."""
    file = folder / "login"
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
    version = "client.authentication.k8s.io/v1"
    return {"exec": {"apiVersion": version, "command": str(file), "env": [{"name": "WHO", "value": "me"}]}}


def printing(status: dict[str, str]) -> str:
    return f"cat <<'END'\n{json.dumps({'kind': 'ExecCredential', 'status': status})}\nEND"


def test_a_program_s_token_is_used_until_a_little_before_it_expires(tmp_path: Path) -> None:
    end = datetime(2030, 1, 1, tzinfo=UTC)
    user = credentials.resolved(
        program(tmp_path, printing({"token": "t1", "expirationTimestamp": "2030-01-01T00:00:00Z"}))
    )
    assert (user.token, user.expires_at) == ("t1", end.timestamp())
    assert user.renew_at == user.expires_at - credentials.EARLY_S


def test_credentials_without_an_expiry_are_renewed_after_a_while(tmp_path: Path) -> None:
    before = time.time()
    for user in (program(tmp_path, printing({"token": "t1"})), {"tokenFile": str(tmp_path / "token")}):
        (tmp_path / "token").write_text("t1\n")
        found = credentials.resolved(user)
        assert (found.entry, found.expires_at) == ({**user, "token": "t1"}, float("inf"))
        assert before + credentials.UNKNOWN_EXPIRY_S <= found.renew_at <= time.time() + credentials.UNKNOWN_EXPIRY_S
    assert credentials.resolved({"token": "t"}) == User({"token": "t"})


def test_a_program_s_certificate_stands_where_a_kubeconfig_has_it(tmp_path: Path) -> None:
    user = credentials.resolved(
        program(tmp_path, printing({"clientCertificateData": "CERT", "clientKeyData": "KEY"}))
    ).entry
    assert b64decode(user["client-certificate-data"]) == b"CERT"
    assert b64decode(user["client-key-data"]) == b"KEY"


def test_a_program_is_told_what_is_wanted_and_has_its_own_variables(tmp_path: Path) -> None:
    kind = '$(printf %s "$KUBERNETES_EXEC_INFO" | grep -o ExecCredential)'
    made = credentials.resolved(program(tmp_path, f'printf \'{{"status": {{"token": "%s-%s"}}}}\' "$WHO" "{kind}"'))
    assert made.token == "me-ExecCredential"  # noqa: S105


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("echo no bread >&2; exit 3", "exited with 3: no bread"),
        ("echo {", "login: "),
        ("echo []", "login gave neither a token nor a certificate"),
        (printing({"token": "t1", "expirationTimestamp": "soon"}), "expirationTimestamp of the credentials: .*soon"),
        ("echo '{}'", "login gave neither a token nor a certificate"),
    ],
)
def test_a_program_that_fails_is_told(tmp_path: Path, script: str, told: str) -> None:
    with pytest.raises(CredentialsError, match=told):
        credentials.resolved(program(tmp_path, script))


def test_the_api_server_is_asked_with_the_program_s_token(tmp_path: Path) -> None:
    server = access.read(kubeconfig(tmp_path, "http://127.0.0.1:1", program(tmp_path, printing({"token": "t1"}))))
    assert server.headers == {"Authorization": "Bearer t1"}
    assert server.renew_at < float("inf")


def written(folder: Path, script: str, url: str = "http://127.0.0.1:1") -> Kubeconfig:
    """Return the kubeconfig of a person whose credentials a script makes, as the forwards' process has it."""
    return Kubeconfig(kubeconfig(folder, url, program(folder, script)), print)


def slowly(folder: Path, first_lasts_s: float) -> str:
    """Return a script that gives t1 at once, and t2 only when somebody lets it go on."""
    end = datetime.fromtimestamp(time.time() + first_lasts_s, UTC).isoformat()
    return f"""
if mkdir {folder}/first 2>/dev/null; then
    echo '{{"status": {{"token": "t1", "expirationTimestamp": "{end}"}}}}'
else
    touch {folder}/asked
    until [ -e {folder}/go ]; do sleep 0.05; done
    echo '{{"status": {{"token": "t2"}}}}'
fi"""


def test_nobody_waits_for_a_slow_program_while_the_credentials_of_before_are_good(tmp_path: Path) -> None:
    server = written(tmp_path, slowly(tmp_path, credentials.EARLY_S / 2))

    async def scenario() -> None:
        assert (await server.access()).token == "t1"  # noqa: S105
        assert (await server.access()).token == "t1"  # noqa: S105  they are due for renewal now
        while not (tmp_path / "asked").exists():
            await asyncio.sleep(0.01)
        assert (await server.access()).token == "t1"  # noqa: S105  the program is at it
        (tmp_path / "go").touch()
        while (await server.access()).token != "t2":  # noqa: S105
            await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(scenario(), 30))


def test_the_loop_goes_on_while_a_program_makes_expired_credentials(tmp_path: Path) -> None:
    server = written(tmp_path, slowly(tmp_path, -1))

    async def let_go() -> None:
        while not (tmp_path / "asked").exists():
            await asyncio.sleep(0.01)
        (tmp_path / "go").touch()

    async def scenario() -> None:
        assert (await server.access()).token == "t1"  # noqa: S105
        renewed, _ = await asyncio.gather(server.access(), let_go())
        assert renewed.token == "t2"  # noqa: S105

    asyncio.run(asyncio.wait_for(scenario(), 30))


def once(folder: Path, first_lasts_s: float) -> str:
    """Return a script that gives t1 once, and then fails and notes so."""
    end = datetime.fromtimestamp(time.time() + first_lasts_s, UTC).isoformat()
    first = printing({"token": "t1", "expirationTimestamp": end})
    return f"if mkdir {folder}/first 2>/dev/null; then\n{first}\nelse\necho x >>{folder}/failed\nexit 3\nfi"


def failures(folder: Path) -> int:
    file = folder / "failed"
    return len(file.read_text().split()) if file.exists() else 0


def test_credentials_that_cannot_be_renewed_are_used_until_they_expire_and_not_after(tmp_path: Path) -> None:
    server = written(tmp_path, once(tmp_path, 2))

    async def use() -> None:
        while True:
            assert (await server.access()).token == "t1"  # noqa: S105
            await asyncio.sleep(0.01)

    async def scenario() -> None:
        with pytest.raises(ApiError, match="login exited with 3"):
            await use()
        assert server.known.has_expired
        for _ in range(3):
            with pytest.raises(ApiError, match="login exited with 3"):
                await server.access()
        assert failures(tmp_path) == 1  # the next try comes after a pause
        assert "login exited with 3" in await ApiRoute(server).lost()

    asyncio.run(asyncio.wait_for(scenario(), 30))


def test_a_file_that_is_no_kubeconfig_is_told_and_the_next_one_is_read(tmp_path: Path) -> None:
    whole = json.loads(kubeconfig(tmp_path, "https://127.0.0.1:1", {"token": "t"}).read_text())
    cluster = {"server": "https://127.0.0.1:1", "certificate-authority-data": "x"}
    broken: tuple[dict[str, Any], ...] = (
        {"current-context": "other"}, {"contexts": None}, {"clusters": [{"name": "c", "cluster": cluster}]},
        {"clusters": [{"name": "c"}]}, {"users": []},
    )  # fmt: skip
    server = Kubeconfig(tmp_path / "kubeconfig", print)

    async def scenario() -> None:
        for text in ("", "{", "[]", *(json.dumps({**whole, **change}) for change in broken)):
            server.path.write_text(text)
            with pytest.raises(ApiError, match="not a kubeconfig"):
                await asyncio.wait_for(server.access(), 5)
            with pytest.raises(DevenvError, match="not a kubeconfig"):
                client.Client(Folder(tmp_path))
        server.path.write_text(json.dumps(whole))
        assert (await server.access()).token == "t"  # noqa: S105

    asyncio.run(scenario())


def test_only_a_context_without_a_user_is_anonymous(tmp_path: Path) -> None:
    file = kubeconfig(tmp_path, "http://127.0.0.1:1", {})
    file.write_text(file.read_text().replace(', "user": "u"', ""))
    assert access.read(file).headers == {}
    for kind in ("auth-provider", "username"):
        with pytest.raises(CredentialsError, match=f"credentials by {kind} are not supported"):
            access.read(kubeconfig(tmp_path, "http://127.0.0.1:1", {kind: "x"}))
        assert access.read(kubeconfig(tmp_path, "http://127.0.0.1:1", {kind: "x", "token": "t"})).token == "t"  # noqa: S105


def test_the_client_of_the_api_uses_credentials_until_they_expire_and_not_after(tmp_path: Path, echo: str) -> None:
    end = time.time() + 3
    written(tmp_path, once(tmp_path, 3), echo)
    api = client.Client(Folder(tmp_path))

    for _ in range(3):
        api.send("ask", "GET", "/api")
    assert failures(tmp_path) == 1
    time.sleep(end + 0.1 - time.time())
    with pytest.raises(DevenvError, match="login exited with 3"):
        api.send("ask", "GET", "/api")


class Knowing(BaseHTTPRequestHandler):
    """An API server that tells whose certificate it was shown."""

    def do_GET(self) -> None:
        assert isinstance(self.connection, ssl.SSLSocket)
        subject = (self.connection.getpeercert() or {})["subject"]
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"who": subject[0][0][1]}).encode())


def test_a_certificate_that_a_program_renews_is_shown_from_then_on(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    authority = x509.new_authority("x", "localhost", now)
    tls = tls_of(x509.issue(authority, "localhost", now), tmp_path)
    tls.verify_mode = ssl.CERT_REQUIRED
    pairs = [x509._signed(who, now, x509.SERVER_LIFE, None, [], is_authority=False) for who in ("one", "two")]
    due, scripts = time.time() + 5, []  # all that takes long was done before
    for pair, ends in zip(pairs, (due + credentials.EARLY_S, due + 3600), strict=True):
        tls.load_verify_locations(cadata=pair.certificate)
        end = datetime.fromtimestamp(ends, UTC).isoformat()
        given = {"clientCertificateData": pair.certificate, "clientKeyData": pair.key, "expirationTimestamp": end}
        scripts.append(printing(given))
    script = f"if mkdir {tmp_path}/first 2>/dev/null; then\n{scripts[0]}\nelse\n{scripts[1]}\nfi"
    with ThreadingHTTPServer(("127.0.0.1", 0), Knowing) as server:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
        Thread(target=server.serve_forever, daemon=True).start()
        file = kubeconfig(tmp_path, f"https://localhost:{server.server_port}", program(tmp_path, script))
        config = json.loads(file.read_text())
        config["clusters"][0]["cluster"]["certificate-authority-data"] = b64encode(
            authority.certificate.encode()
        ).decode()
        file.write_text(json.dumps(config))
        api = client.Client(Folder(tmp_path))
        assert api.send("ask", "GET", "/").json() == {"who": "one"}
        time.sleep(max(0, due + 0.5 - time.time()))
        assert api.send("ask", "GET", "/").json() == {"who": "two"}
        server.shutdown()


class Refusing(BaseHTTPRequestHandler):
    """An API server that no longer takes the token t1."""

    asked = 0

    def do_GET(self) -> None:
        Refusing.asked += 1
        taken = self.headers["Authorization"] == "Bearer t2"
        self.send_response(200 if taken else 401)
        self.end_headers()
        self.wfile.write(b"{}")


def test_credentials_that_the_api_server_refuses_are_made_again(tmp_path: Path) -> None:
    (tmp_path / "go").touch()
    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as api:
        Thread(target=api.serve_forever, daemon=True).start()
        server = written(tmp_path, slowly(tmp_path, 3600), f"http://127.0.0.1:{api.server_port}")
        with pytest.raises(ApiError) as refused:
            server.ask("GET", "/api")
        assert refused.value.code == 401
        assert server.ask("GET", "/api") == {}
        api.shutdown()


def test_refused_credentials_that_cannot_be_renewed_are_not_used_again(tmp_path: Path) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as api:
        Thread(target=api.serve_forever, daemon=True).start()
        server = written(tmp_path, once(tmp_path, 3600), f"http://127.0.0.1:{api.server_port}")
        with pytest.raises(ApiError, match="401"):
            server.ask("GET", "/api")
        asked = Refusing.asked
        for _ in range(3):
            with pytest.raises(ApiError, match="login exited with 3"):
                server.ask("GET", "/api")
        assert (Refusing.asked, failures(tmp_path)) == (asked, 1)
        api.shutdown()


class Echo(BaseHTTPRequestHandler):
    """An API server that tells what it was asked."""

    def do_GET(self) -> None:
        told = {name: value for name, value in self.headers.items() if name.startswith("Impersonate")}
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"path": self.path, **told}).encode())


@pytest.fixture
def echo() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as api:
        Thread(target=api.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{api.server_port}"
        api.shutdown()


def test_a_user_who_acts_for_another_does_so_in_every_request(tmp_path: Path, echo: str) -> None:
    user = {"token": "t", "as": "jane", "as-uid": "7", "as-groups": ["viewers"]}
    file = kubeconfig(tmp_path, echo, user)
    wanted = {"Impersonate-User": "jane", "Impersonate-Uid": "7", "Impersonate-Group": "viewers"}
    assert Kubeconfig(file, print).ask("GET", "/api") == {"path": "/api", **wanted}
    api = client.Client(Folder(tmp_path))
    assert api.send("ask", "GET", "/api").json() == {"path": "/api", **wanted}


def test_an_impersonation_that_cannot_be_honoured_is_refused(tmp_path: Path) -> None:
    for more in ({"as-groups": ["a", "b"]}, {"as-user-extra": {"scopes": ["view"]}}):
        with pytest.raises(CredentialsError, match="impersonation with several groups or extra fields"):
            access.read(kubeconfig(tmp_path, "http://127.0.0.1:1", {"token": "t", "as": "jane", **more}))


def test_what_stands_before_the_paths_of_an_api_server_is_kept(tmp_path: Path, echo: str) -> None:
    file = kubeconfig(tmp_path, f"{echo}/k8s/clusters/c-1/", {"token": "t"})
    wanted = "/k8s/clusters/c-1/api/v1/pods?watch=1"
    assert Kubeconfig(file, print).ask("GET", "/api/v1/pods?watch=1")["path"] == wanted
    assert client.Client(Folder(tmp_path)).send("ask", "GET", "/api/v1/pods?watch=1").json()["path"] == wanted
