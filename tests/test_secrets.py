"""Marked secrets in every input of a project: none of them is in what the command line says, or writes into a log."""

import os
import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.cluster.environment import path

MARKS = {
    name: f"hunter2-{name}" for name in ("file", "table", "exported", "suite", "data", "string", "token", "broken")
}
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
CONTEXT = ["plan", "--context", "c", "--registry", "r.example"]
PROMOTION = ["promote", "staging", "--context", "c", "--image", f"r.example/web@sha256:{'0' * 64}", "--dry-run"]
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
    "a password in the server's address": (
        replaced("http://127.0.0.1:1", f"http://me:{MARKS['broken']}@k.example:1", "kubeconfig"),
        CONTEXT,
    ),
}  # fmt: skip


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    (root / "k8s").mkdir(parents=True)
    (root / "pyproject.toml").write_text(PYPROJECT)
    (root / ".env").write_text(f"PASSWORD={MARKS['file']}\n")
    manifests(SERVICE, SECRET)(root)
    cluster = {"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}
    user = {"name": "u", "user": {"token": MARKS["token"]}}
    context = {"name": "c", "context": {"cluster": "c", "user": "u"}}
    (root / "kubeconfig").write_text(yaml.safe_dump({"clusters": [cluster], "users": [user], "contexts": [context]}))
    return root


@pytest.mark.parametrize("case", CASES)
def test_no_secret_is_said_or_logged(project: Path, case: str) -> None:
    change, words = CASES[case]
    change(project)
    state = project / "state"
    own = {"XDG_STATE_HOME": str(state), "KUBECONFIG": str(project / "kubeconfig"), "PATH": path()}
    done = subprocess.run(
        [sys.executable, "-m", "devenv", *words], cwd=project, env={**os.environ, **own}, check=False,
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    assert done.stdout + done.stderr != ""
    said = done.stdout + done.stderr + "".join(f.read_text() for f in state.rglob("*.log"))
    for mark in MARKS.values():
        for form in (mark, b64encode(mark.encode()).decode()):
            assert form not in said, case
