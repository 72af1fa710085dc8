"""Marked secrets in every input of a project: none of them is in what the command line says, or writes into a log.

Nor are they in the list of processes, in temporary files, or in the state folder but for the kubeconfig.
"""

import json
import os
import shutil
import sys
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import yaml

from tests import watcher
from tests.cluster.environment import CHECKOUT, path

INPUTS = ("file", "table", "exported", "suite", "data", "string", "literal")
NAMES = (*INPUTS, "token", "plugin", "called", "registry", "broken")
MARKS = {name: f"hunter2-{name}" for name in NAMES}
PYPROJECT = f"""
[tool.devenv]
name = "marked"
namespace = "shop"
manifests = "k8s"
[tool.devenv.secrets.db]
PASSWORD = "${{env.PASSWORD}}"
TOKEN = "{MARKS["table"]}"
[tool.devenv.env]
URL = "http://{MARKS["exported"]}@127.0.0.1:${{forwards.web}}"
[tool.devenv.forwards.web]
service = "web"
ports = "28080:80"
[tool.devenv.tests.all]
run = ["true"]
env = {{ KEY = "{MARKS["suite"]}" }}
[tool.devenv.environments.staging]
namespace = "shop"
images = ["web"]
render = ["cat", "k8s/all.yaml"]
[tool.devenv.images.web]
pull = "r.example/web:1"
"""
SECRET = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "s"},
    "data": {"A": b64encode(MARKS["data"].encode()).decode()},
    "stringData": {"B": MARKS["string"]},
}
CONTAINER = {"name": "web", "image": "r.example/web:1", "env": [{"name": "DB_PASSWORD", "value": MARKS["literal"]}]}
DEPLOYMENT = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web"},
    "spec": {"template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [CONTAINER]}}},
}
SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "web"},
    "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]},
}
Change = Callable[[Path], None]


def manifests(*documents: object) -> Change:
    def change(root: Path) -> None:
        (root / "k8s/all.yaml").write_text(yaml.safe_dump_all(documents))

    return change


def added(file: str, text: str) -> Change:
    def change(root: Path) -> None:
        with (root / file).open("a") as end:
            end.write(text)

    return change


def replaced(old: str, new: str, file: str = "pyproject.toml") -> Change:
    def change(root: Path) -> None:
        text = (root / file).read_text()
        assert old in text
        (root / file).write_text(text.replace(old, new))

    return change


def nothing(root: Path) -> None:
    assert root.is_dir()


WITHOUT_NAME, LABELLED = ({**SECRET, "metadata": m} for m in ({}, {"name": "s", "labels": [MARKS["broken"]]}))
TWO_SECRETS = f'\n[tool.devenv.secrets.two]\nX = ["{MARKS["broken"]}"]\n'
TWO_SUITES = f'\n[tool.devenv.tests.two]\nrun = 1\nenv = ["{MARKS["broken"]}"]\n'
RENDERER = '["cat", "k8s/all.yaml"]'
ISSUER = f"""
[tool.devenv.tls]
host = "a.example"
ingress = "a"
secret = "a"
issuer = "http://me:{MARKS["broken"]}@ca.example"
"""
PLUGIN = """#!/bin/sh
[ "$1" = fails ] && echo "no token for $KEY" >&2 && exit 1
printf '{"apiVersion": "%s", "kind": "ExecCredential", "status": {"token": "%s"}}' "$2" "$KEY"
"""
CREDENTIAL = "client.authentication.k8s.io/v1"
CONTEXT = ["plan", "--context", "c", "--registry", "r.example"]
PROMOTION = ["promote", "staging", "--context", "c", "--image", f"r.example/web@sha256:{'0' * 64}", "--dry-run"]


def at(context: str, words: list[str]) -> list[str]:
    return [context if word == "c" else word for word in words]


CASES: dict[str, tuple[Change, list[str]]] = {
    "plan": (nothing, ["plan"]),
    "plan as JSON": (nothing, ["plan", "-o", "json"]),
    "status": (nothing, ["status", "-o", "json"]),
    "settings of a stack that does not run": (nothing, ["env"]),
    "a suite of one": (nothing, ["test", "all"]),
    "a cluster that is not there": (nothing, CONTEXT),
    "a release without its cluster": (nothing, PROMOTION),
    "an env-file that cannot be read": (added(".env", f"A B={MARKS['broken']}\n"), ["plan"]),
    "a quote that does not end": (added(".env", f"C='{MARKS['broken']}\n"), ["plan"]),
    "a Secret without a name": (manifests(SERVICE, WITHOUT_NAME), ["plan"]),
    "a Secret twice": (manifests(SERVICE, SECRET, SECRET), ["plan"]),
    "a value of another type": (manifests(SERVICE, LABELLED), ["plan"]),
    "broken YAML": (added("k8s/all.yaml", f"\nkey: {MARKS['broken']}: x\n"), ["plan"]),
    "a secret of another type": (added("pyproject.toml", TWO_SECRETS), ["plan"]),
    "a setting of another type": (added("pyproject.toml", TWO_SUITES), ["plan"]),
    "an array of tables": (replaced("[tool.devenv]\n", "[[tool.devenv]]\n"), ["plan"]),
    "text for the table": (replaced(PYPROJECT, f"tool.devenv = '{MARKS['broken']}'"), ["plan"]),
    "an unknown reference": (replaced("${env.PASSWORD}", f"${{{MARKS['broken']}}}"), ["plan"]),
    "a key that is none": (replaced("TOKEN =", f'"{MARKS["broken"]}!" ='), ["plan"]),
    "a build argument of another type": (
        added("pyproject.toml", f"args = {{ name = ['{MARKS['broken']}'] }}"),
        ["plan"],
    ),
    "a list for a folder": (added("pyproject.toml", f"build = ['{MARKS['broken']}']"), ["plan"]),
    "a password in a registry": (
        replaced("manifests", f"registry = 'me:{MARKS['broken']}@r.example'\nmanifests"),
        ["plan"],
    ),
    "a password in an issuer": (added("pyproject.toml", ISSUER), ["plan"]),
    "a renderer that is one text": (replaced(RENDERER, f'"cat --password {MARKS["broken"]}"'), ["plan"]),
    "a renderer that prints all it has": (replaced(RENDERER, '["sh", "-c", "cat .env >&2; exit 1"]'), PROMOTION),
    "a renderer that prints its environment": (replaced(RENDERER, '["sh", "-c", "env >&2; exit 1"]'), PROMOTION),
    "a server that refuses": (nothing, at("refuses", PROMOTION)),
    "a server that repeats what it was asked with": (nothing, at("repeats", CONTEXT)),
    "a server that repeats what a plugin gave": (nothing, at("plugin", CONTEXT)),
    "a plugin that fails": (nothing, at("failing", CONTEXT)),
    "a stack elsewhere": (nothing, ["status", *CONTEXT[1:]]),
    "forwards of nobody": (nothing, ["forward", "status"]),
    "images": (nothing, ["images", "list"]),
    "a cluster to take down": (nothing, ["down", "--yes"]),
    "a password in the server's address": (
        replaced("http://127.0.0.1:1", f"http://me:{MARKS['broken']}@k.example:1", "kubeconfig"),
        CONTEXT,
    ),
}  # fmt: skip


class Server(BaseHTTPRequestHandler):
    """Answers in the place of an API server, with the headers that it was sent: below /refuses as one that refuses."""

    def do_GET(self) -> None:
        told = json.dumps({"message": f"who sends {self.headers}?"}) if "/refuses" in self.path else str(self.headers)
        self.send_response(403 if "/refuses" in self.path else 200)
        self.end_headers()
        self.wfile.write(told.encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as listening:
        Thread(target=listening.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{listening.server_port}"
        listening.shutdown()


def kubeconfig(root: Path, server: str) -> dict[str, Any]:
    plugin = {
        "apiVersion": CREDENTIAL,
        "interactiveMode": "Never",
        "command": str(root / "plugin"),
        "env": [{"name": "KEY", "value": MARKS["plugin"]}],
    }
    plugins = {word: {**plugin, "args": [word, CREDENTIAL]} for word in ("gives", "fails")}
    places = {"nobody": "http://127.0.0.1:1", "refuses": f"{server}/refuses", "repeats": server}
    users = {"token": {"token": MARKS["token"]}, **{word: {"exec": plugin} for word, plugin in plugins.items()}}
    contexts = {
        "c": ("nobody", "token"), "refuses": ("refuses", "token"), "repeats": ("repeats", "token"),
        "plugin": ("repeats", "gives"), "failing": ("repeats", "fails"),
    }  # fmt: skip
    return {
        "clusters": [{"name": name, "cluster": {"server": url}} for name, url in places.items()],
        "users": [{"name": name, "user": user} for name, user in users.items()],
        "contexts": [{"name": n, "context": {"cluster": c, "user": u}} for n, (c, u) in contexts.items()],
    }


@pytest.fixture
def project(tmp_path: Path, server: str) -> Path:
    root = tmp_path / "project"
    for folder in ("k8s", "docker", "tmp"):
        (root / folder).mkdir(parents=True)
    (root / "pyproject.toml").write_text(PYPROJECT)
    (root / ".env").write_text(f"PASSWORD={MARKS['file']}\n")
    manifests(SERVICE, SECRET, DEPLOYMENT)(root)
    (root / "plugin").write_text(PLUGIN)
    (root / "plugin").chmod(0o755)
    (root / "kubeconfig").write_text(yaml.safe_dump(kubeconfig(root, server)))
    login = {"auth": b64encode(f"me:{MARKS['registry']}".encode()).decode()}
    (root / "docker/config.json").write_text(json.dumps({"auths": {"r.example": login}}))
    return root


def ran(project: Path, *argv: str) -> watcher.Seen:
    own = {
        "ACTIONS_ID_TOKEN_REQUEST_URL": "http://127.0.0.1:1/x", "ACTIONS_ID_TOKEN_REQUEST_TOKEN": MARKS["called"],
        "CLUSTER_AUDIENCE": "https://cluster.example",
        "XDG_STATE_HOME": str(project / "state"), "KUBECONFIG": str(project / "kubeconfig"), "PATH": path(),
        "DOCKER_CONFIG": str(project / "docker"), "TMPDIR": str(project / "tmp"), "RELEASE_TOKEN": MARKS["called"],
    }  # fmt: skip
    return watcher.run([*argv], project, {**os.environ, **own})


def assert_none(text: str, marks: Iterable[str] = MARKS.values()) -> None:
    for mark in marks:
        for form in (mark, b64encode(mark.encode()).decode(), b64encode(f"me:{mark}".encode()).decode()):
            assert form not in text


@pytest.mark.parametrize("case", CASES)
def test_no_secret_is_said_or_left_where_others_look(project: Path, case: str) -> None:
    change, words = CASES[case]
    change(project)
    done = ran(project, sys.executable, "-m", "devenv", *words)
    assert "Traceback" not in done.err
    assert done.out + done.err != ""
    assert_none(done.out + done.err)
    assert any("devenv" in arguments for arguments in done.arguments)
    assert_none("\n".join(done.arguments))
    assert not [file for file in (project / "tmp").rglob("*") if file.is_file()]
    state = project / "state"
    for left in state.rglob("*"):
        if state / "devenv" in (left, *left.parents):
            assert left.stat().st_mode & 0o077 == 0, left
        if left.is_file() and left.name != "kubeconfig":
            assert_none(left.read_text())


def test_a_secret_in_the_list_of_processes_is_seen(project: Path) -> None:
    done = ran(project, "sh", "-c", 'sh -c "sleep 0.1; exit" "$RELEASE_TOKEN"')
    with pytest.raises(AssertionError):
        assert_none("\n".join(done.arguments))


@pytest.mark.parametrize("name", ["make_secrets", "backup", "restore", "rotate_password", "ci_credential"])
def test_a_script_has_no_secret_in_an_argument(project: Path, name: str) -> None:
    """As far as each gets without a cluster; what it does on one: tests/cluster/disturbed."""
    (project / "scripts").mkdir()
    for file in (CHECKOUT / "scripts").glob("*.sh"):
        shutil.copy(file, project / "scripts")
    lines = (f"{key}={MARKS['file']}" for key in ("POSTGRES_PASSWORD", "SOMABRAIN_API_TOKEN", "SOMABRAIN_APP_PASSWORD"))
    (project / ".env").write_text("\n".join(["POSTGRES_USER=u", "POSTGRES_DB=d", *lines, ""]))
    there = ["--context", "repeats", "ns"]
    words = {"make_secrets": ["ns"], "ci_credential": [], "rotate_password": there}
    done = ran(project, str(project / f"scripts/{name}.sh"), *words.get(name, [*there, ".env"]))
    assert (done.code == 0) is (name == "make_secrets"), done.err
    assert any(f"{name}.sh" in arguments for arguments in done.arguments)
    assert_none("\n".join(done.arguments))
    assert_none(done.err)
