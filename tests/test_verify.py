"""devenv verify: what a check asks, which answers are well, and how all of it is told."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import BaseRequestHandler, TCPServer, ThreadingTCPServer
from threading import Thread
from time import monotonic, sleep
from typing import Any
from xml.etree import ElementTree

import pytest
from pydantic import ValidationError

from devenv.cli.verify import junit
from devenv.commands import asking
from devenv.commands.asking import Answer, Question
from devenv.commands.verify import Result, drift
from devenv.errors import UsageError
from devenv.project import settings
from devenv.project.checks import Check
from devenv.reconcile import environment
from devenv.reconcile.environment import Environment
from devenv.system import masking
from tests import looking
from tests.looking import Machine

TABLE = """
[tool.devenv]
name = "verified"
namespace = "shop"
manifests = []
[tool.devenv.env]
GREETING = "hello"
[tool.devenv.forwards]
"""


@pytest.fixture
def env(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Environment]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "k8s").mkdir()
    (tmp_path / "pyproject.toml").write_text(TABLE.replace("[]", '"k8s"'))
    with environment.opened(settings.load(tmp_path / "pyproject.toml", {}, {}), looks=True) as opened:
        yield opened


class Http(BaseHTTPRequestHandler):
    """Answers with the status that the path names, and the token that it was given."""

    def do_GET(self) -> None:
        if self.path == "/slow":
            sleep(2)
        body = f"token {self.headers.get('Authorization')}".encode()
        self.send_response(int(self.path[1:]) if self.path[1:].isdigit() else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with suppress(ConnectionError):  # who asked has not waited
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Redis(BaseRequestHandler):
    """Answers a PING in two pieces, and nothing else."""

    def handle(self) -> None:
        if self.request.recv(100) == b"PING\r\n":
            self.request.sendall(b"+PO")
            sleep(0.05)
            self.request.sendall(b"NG\r\n")
        sleep(1)


@contextmanager
def serving(server: TCPServer) -> Iterator[int]:
    with server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


@pytest.fixture(scope="module")
def http() -> Iterator[int]:
    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Http)) as port:
        yield port


@pytest.fixture(scope="module")
def redis() -> Iterator[int]:
    with serving(ThreadingTCPServer(("127.0.0.1", 0), Redis)) as port:
        yield port


def asked(env: Environment, **table: Any) -> tuple[Answer, str]:
    check = Check.model_validate(table)
    return asking.ask(env, asking.question(env, check, {"TOKEN": "s3cret-of-env"}))


@pytest.mark.parametrize(
    ("table", "why"),
    [
        ({"http": "/200"}, ""),
        ({"http": "/204", "status": 204}, ""),
        ({"http": "/404"}, "status 404: token None"),
        ({"http": "/404", "when": {"404": "the router was not registered"}}, "the router was not registered"),
        ({"http": "/200", "contains": "ready"}, "the answer has no ready: token None"),
        ({"http": "/200", "headers": {"Authorization": "Bearer ${env.TOKEN}"}, "contains": "Bearer ${env.TOKEN}"}, ""),
    ],
)
def test_a_check_by_http_wants_its_status_and_its_text(
    env: Environment, http: int, table: dict[str, Any], why: str
) -> None:
    assert asked(env, **{**table, "http": f"http://127.0.0.1:{http}{table['http']}"})[1] == why


def test_a_check_by_tcp_reads_until_it_has_what_it_wants(env: Environment, redis: int) -> None:
    to = f"127.0.0.1:{redis}"
    assert asked(env, tcp=to)[1] == ""
    assert asked(env, tcp=to, send="PING\r\n", contains="+PONG") == (Answer(0, "+PONG\r\n"), "")
    silent = asked(env, tcp=to, send="QUIT\r\n", contains="+PONG", **{"within-s": 0.2})
    assert silent[1] == "the answer has no +PONG"


def test_a_check_here_has_the_exported_settings_and_its_exit_code(env: Environment) -> None:
    says = [
        sys.executable,
        "-c",
        "import os, sys; print(os.environ['GREETING'], os.getcwd()); sys.exit(int(sys.argv[1]))",
    ]
    answer, why = asked(env, command=[*says, "0"], contains="hello")
    assert (answer.text.split()[1], why) == (str(env.settings.root), "")
    assert asked(env, command=[*says, "3"])[1].startswith("exit code 3")
    assert asked(env, command=[*says, "3"], when={"3": "three"})[1] == "three"
    assert "no-such-program" in asked(env, command=["no-such-program"])[1]


@pytest.mark.parametrize("kind", ["http", "command"])
def test_a_check_ends_when_its_time_is_up(env: Environment, http: int, kind: str) -> None:
    words: dict[str, Any] = {
        "http": f"http://127.0.0.1:{http}/slow",
        "command": [sys.executable, "-c", "import time; time.sleep(9)"],
    }
    began = monotonic()
    _, why = asked(env, **{kind: words[kind], "within-s": 0.3})
    assert "timed out" in why
    assert monotonic() - began < 1.9


def test_nobody_there_is_told(env: Environment) -> None:
    assert "refused" in asked(env, tcp="127.0.0.1:1")[1]
    assert "refused" in asked(env, http="http://127.0.0.1:1/")[1]


@pytest.mark.parametrize(
    ("table", "why"),
    [
        ({}, "needs one of http, tcp, command, sql"),
        ({"http": "http://x/", "tcp": "x:1"}, "needs one of"),
        ({"sql": "select 1"}, "sql needs `in`"),
        ({"tcp": "x:1", "status": 200}, "status: only for http"),
        ({"http": "http://x/", "send": "x"}, "send: only for tcp"),
        ({"http": "http://x/", "in": "deployment/x"}, "in: only for command and sql"),
        ({"command": []}, "at least 1 item"),
    ],
)
def test_a_check_that_asks_nothing_or_too_much_is_refused(table: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        Check.model_validate(table)


def test_what_a_check_refers_to_has_to_be_there(tmp_path: Path) -> None:
    (tmp_path / "k8s").mkdir()
    wrong = '[tool.devenv.checks.web]\nhttp = "http://127.0.0.1:${forwards.wbe}/"\n'
    (tmp_path / "pyproject.toml").write_text(TABLE.replace("[]", '"k8s"') + wrong)
    with pytest.raises(UsageError, match=r"checks.web.http: \$\{forwards.wbe\} is not known"):
        settings.load(tmp_path / "pyproject.toml", {}, {})


def test_a_question_is_told_in_a_few_words() -> None:
    def told(words: tuple[str, ...], **table: Any) -> str:
        return Question(check := Check.model_validate(table), words, check.send, "", {}).asked

    assert told(("http://x/health",), http="http://x/health") == "GET http://x/health"
    assert told(("x:1",), tcp="x:1", send="PING\r\n") == "TCP x:1 PING"
    assert told(("select\n 1",), sql="select 1", **{"in": "sts/db"}) == "SQL select 1 in sts/db"
    assert told(("sh", "-c", "true"), command=["sh"]) == "run sh -c true"


def test_what_up_has_left_to_do_is_drift() -> None:
    assert drift([]).ok
    left = drift(["apply deployment/web: was changed by kubectl"])
    assert (left.ok, left.answer) == (False, "1 step: apply deployment/web: was changed by kubectl")


def test_junit_has_a_case_for_each_and_no_password() -> None:
    masking.hide(["hunter2secret"])
    found = [
        Result("health", "GET http://x", True, "ok", 0.25),
        Result("redis", "TCP x", False, 'no <PONG> & "hunter2secret"\x00', 1.5, "devenv status"),
    ]
    suite = ElementTree.fromstring(junit(found)).find("testsuite")  # noqa: S314
    assert suite is not None
    assert (suite.attrib["tests"], suite.attrib["failures"], suite.attrib["time"]) == ("2", "1", "1.500")
    well, failed = suite.findall("testcase")
    assert (well.attrib["name"], well.find("failure")) == ("health", None)
    failure = failed.find("failure")
    assert failure is not None
    assert failure.attrib["message"] == 'no <PONG> & "***"?'
    assert "devenv status" in (failure.text or "")


def test_the_checks_of_this_project_have_the_runbook_s_questions() -> None:
    table = settings.load(Path(__file__).parents[1] / "pyproject.toml", {}, {}).project.checks
    assert {"postgres", "schema", "redis", "opa", "health", "health-inside", "adaptation"} <= {*table}
    assert "traceback" in table["adaptation"].when["404"]
    assert json.dumps(table["redis"].send) == '"PING\\r\\n"'


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """A machine whose cluster answers, and whose node does not tell its images: that hides no other answer."""
    with looking.machine(tmp_path) as made:
        file = made.root / "pyproject.toml"
        file.write_text(
            f'{file.read_text()}\n[tool.devenv.checks.here]\ncommand = ["echo", "hunter2secret is up"]\n'
            '[tool.devenv.checks.there]\ntcp = "127.0.0.1:1"\nhint = "devenv status"\n'
        )
        yield made


def test_each_answer_is_a_row_and_one_that_fails_decides_the_exit_code(machine: Machine) -> None:
    done = machine.run("verify")
    assert done.returncode == 1
    head, state, here, there = (line.split() for line in done.stdout.splitlines())
    assert head == ["CHECK", "STATE", "TIME", "ASKED", "ANSWER"]
    assert state[:2] == ["state", "FAILED"]
    assert here[:2] + here[4:] == ["here", "ok", "run", "echo", "***", "is", "up", "***", "is", "up"]
    assert there[:2] + there[4:6] == ["there", "FAILED", "TCP", "127.0.0.1:1"]
    assert "there: devenv status" in done.stderr


def test_json_and_junit_tell_the_same(machine: Machine) -> None:
    found = {one["name"]: one for one in json.loads(machine.run("verify", "-o", "json").stdout)}
    assert {name: one["ok"] for name, one in found.items()} == {"state": False, "here": True, "there": False}
    assert found["here"]["answer"] == "*** is up"
    assert found["here"]["seconds"] >= 0
    assert (found["there"]["asked"], found["there"]["hint"]) == ("TCP 127.0.0.1:1", "devenv status")
    done = machine.run("verify", "-o", "junit")
    assert done.returncode == 1
    cases = ElementTree.fromstring(done.stdout).findall("testsuite/testcase")  # noqa: S314
    assert {c.attrib["name"]: c.find("failure") is None for c in cases} == {
        "state": False,
        "here": True,
        "there": False,
    }
    assert "hunter2" not in done.stdout
