"""scripts/ci_kubeconfig.sh: a job is itself to a cluster for as long as it runs, though GitHub's tokens end before."""

import json
import os
import ssl
import subprocess
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from devenv.certificates import x509
from devenv.errors import DevenvError
from devenv.forwarder.apiserver import Kubeconfig
from devenv.kube import client
from devenv.kube.credentials import EARLY_S
from devenv.system.state import Folder
from tests.recorder import recording

ROOT = Path(__file__).parents[2]
WORD = 'of-the-"job"\\'  # what curl's configuration would read otherwise
AUDIENCE = "https://cluster.example.com/?a=b&c=d e"
RUNS_FOR_S = 5.0


def part(claims: dict[str, Any]) -> str:
    return urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")


def end_of(token: str) -> float:
    claims = token.split(".")[1]
    return float(json.loads(urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["exp"])


@dataclass
class GitHub:
    """An issuer of tokens that live so long, and an API server that takes those that have not ended."""

    lives_s: float = 60.0
    url: str = ""
    api: str = ""
    answer: str | None = None  # instead of a token
    issued: list[str] = field(default_factory=list)
    audiences: list[str] = field(default_factory=list)
    accepted: list[str] = field(default_factory=list)

    def issue(self, audience: str) -> str:
        # The note makes base64 of every length, with the letters that differ between its two alphabets.
        claims = {"exp": int(time.time() + self.lives_s), "note": "ÿ?>~" * (len(self.issued) % 3 + 1)}
        self.audiences.append(audience)
        self.issued.append(f"{part({})}.{part(claims)}.s{len(self.issued)}")
        return self.issued[-1]


@pytest.fixture
def github() -> Iterator[GitHub]:
    here = GitHub()

    class Handler(BaseHTTPRequestHandler):
        def send(self, code: int, body: dict[str, Any] | str) -> None:
            self.send_response(code)
            self.end_headers()
            self.wfile.write((body if isinstance(body, str) else json.dumps(body)).encode())

        def log_message(self, *_: object) -> None:
            pass

    class Issuer(Handler):
        def do_GET(self) -> None:
            query = parse_qs(urlsplit(self.path).query)
            if self.headers["Authorization"] != f"bearer {WORD}" or query["api-version"] != ["2.0"]:
                self.send(401, {})
            else:
                self.send(200, here.answer or {"value": here.issue(query["audience"][0])})

    class Api(Handler):
        def do_GET(self) -> None:
            token = self.headers.get("Authorization", "").removeprefix("Bearer ")
            good = token in here.issued and time.time() < end_of(token)
            here.accepted += [token] * good
            self.send(200 if good else 401, {"gitVersion": "v1", "major": "1"})

    with ExitStack() as stack:
        issuer, api = (stack.enter_context(ThreadingHTTPServer(("127.0.0.1", 0), kind)) for kind in (Issuer, Api))
        for server in (issuer, api):
            Thread(target=server.serve_forever, daemon=True).start()
            stack.callback(server.shutdown)
        here.url = f"http://127.0.0.1:{issuer.server_port}/?api-version=2.0"
        here.api = f"http://127.0.0.1:{api.server_port}"
        yield here


@pytest.fixture
def job(github: GitHub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Give this process the variables of a job, and return the file that the script is to write."""
    told = {
        "ACTIONS_ID_TOKEN_REQUEST_URL": github.url,
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN": WORD,
        "CLUSTER_URL": github.api,
        "CLUSTER_CA": "-----BEGIN CERTIFICATE-----",
        "CLUSTER_AUDIENCE": AUDIENCE,
        "KUBECONFIG": str(tmp_path / "kubeconfig"),
    }
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    return tmp_path / "kubeconfig"


def script(**variables: str) -> "subprocess.CompletedProcess[str]":
    argv = [str(ROOT / "scripts/ci_kubeconfig.sh")]
    return subprocess.run(argv, env={**os.environ, **variables}, text=True, capture_output=True, check=False)


def written() -> None:
    done = script()
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# Tokens that end under way, and tokens that are renewed before they do.
@pytest.mark.parametrize("lives_s", [2.0, EARLY_S + 2.0])
def test_a_job_that_outlives_its_tokens_is_let_in_all_the_time(
    github: GitHub, job: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lives_s: float
) -> None:
    github.lives_s = lives_s
    written()
    monkeypatch.delenv("CLUSTER_AUDIENCE")  # the step that promotes has not what the step before it had
    forwards, api = Kubeconfig(job, print), client.Client(Folder(tmp_path))
    end = time.monotonic() + RUNS_FOR_S
    requests = 0
    while time.monotonic() < end:
        assert forwards.ask("GET", "/version")["major"] == "1"
        api.send("ask", "GET", "/version")
        requests += 2
        time.sleep(0.2)
    assert len(github.accepted) == requests
    assert len(set(github.accepted)) >= 4  # two clients, each with a second token
    assert set(github.audiences) == {AUDIENCE}
    if lives_s > EARLY_S:
        assert len(github.issued) <= 2 * (RUNS_FOR_S / 2 + 1) + 1  # not one for each request


def test_neither_the_file_nor_any_argument_has_a_secret(github: GitHub, job: Path, tmp_path: Path) -> None:
    path, arguments = recording(tmp_path, os.environ["PATH"], ("curl", "jq"))
    os.environ["PATH"], before = path, os.environ["PATH"]
    try:
        job.write_text("{}")  # of a run before, readable by all
        written()
        assert Kubeconfig(job, print).ask("GET", "/version")["major"] == "1"
    finally:
        os.environ["PATH"] = before
    assert job.stat().st_mode & 0o777 == 0o600
    seen = job.read_text() + arguments.read_text()
    assert "ci_credential.sh" in seen
    assert "--config" in seen
    assert not [secret for secret in (WORD, *github.issued) if secret in seen]


def test_without_a_token_no_file_is_written(github: GitHub, job: Path) -> None:
    done = script(ACTIONS_ID_TOKEN_REQUEST_TOKEN="of another")  # noqa: S106
    assert done.returncode != 0
    assert "401" in done.stderr
    for answer in (" ", "{}", "<html>", '{"value": "opaque"}', json.dumps({"value": f"a.{part({'sub': 'x'})}.c"})):
        github.answer = answer
        done = script()
        assert done.returncode != 0
        assert done.stderr == "ci_credential: GitHub answered without a token that says when it ends\n"
    assert not job.exists()


@pytest.mark.parametrize("name", ["CLUSTER_URL", "CLUSTER_CA", "CLUSTER_AUDIENCE", "ACTIONS_ID_TOKEN_REQUEST_URL"])
def test_a_variable_that_is_not_set_at_github_is_named(job: Path, name: str) -> None:
    done = script(**{name: ""})
    assert done.returncode != 0
    assert name in done.stderr
    assert "environment in the repository" in done.stderr or "id-token: write" in done.stderr
    assert not job.exists()


def test_a_job_whose_right_to_tokens_ended_is_told_why(github: GitHub, job: Path, tmp_path: Path) -> None:
    written()
    github.answer = "{}"
    with pytest.raises(DevenvError, match="ci_credential: GitHub answered without a token"):
        client.Client(Folder(tmp_path))
    assert job.exists()


@pytest.mark.usefixtures("job")
def test_kubectl_uses_the_plugin_too(github: GitHub, tmp_path: Path) -> None:
    """Over TLS, as kubectl sends credentials over nothing else."""
    now = datetime.now(UTC)
    authority = x509.new_authority("job", "localhost", now)
    own = x509.issue(authority, "localhost", now)
    (tmp_path / "own.pem").write_text(own.certificate + own.key)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "own.pem")

    class Api(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            github.accepted.append(self.headers.get("Authorization", "").removeprefix("Bearer "))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"{}")

    with ThreadingHTTPServer(("127.0.0.1", 0), Api) as server:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
        Thread(target=server.serve_forever, daemon=True).start()
        there = {"CLUSTER_URL": f"https://localhost:{server.server_port}", "CLUSTER_CA": authority.certificate}
        assert script(**there).returncode == 0
        argv = ["kubectl", "get", "--raw", "/version"]
        done = subprocess.run(argv, text=True, capture_output=True, check=False)
        server.shutdown()
    assert (done.returncode, done.stdout) == (0, "{}"), done.stderr
    assert github.accepted
    assert set(github.accepted) <= set(github.issued[1:])  # the first was the script's own, and is kept nowhere
