"""What `devenv doctor` says of a machine: each rule over its cases, and the whole as a person calls it."""

import json
import os
import socket
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from devenv.commands import doctor
from devenv.commands.doctor import FILES, INSTANCES, ROOM_BYTES, WATCHES, Check, Level
from devenv.reconcile.preflight import FIRST_BUILD_BYTES, WARM_BYTES
from devenv.system import host

PROGRAM = Path(sys.executable).parent / "devenv"
MARK = "planted-0c1f77a9"
TABLE = """
[tool.devenv]
name = "x"
manifests = "k8s.yaml"
[tool.devenv.env]
DATABASE_PASSWORD = "{mark}-of-the-table"
[tool.devenv.secrets.s]
TOKEN = "${{env.TOKEN}}"
[tool.devenv.forwards.web]
service = "web"
ports = "{port}:80"
"""
MANIFEST = """
apiVersion: v1
kind: Secret
metadata: {{name: other}}
stringData: {{key: {mark}-of-a-manifest}}
"""


@pytest.mark.parametrize(
    ("check", "level"),
    [
        (doctor.disk(Path("/d"), WARM_BYTES - 1), Level.fault),
        (doctor.disk(Path("/d"), WARM_BYTES), Level.warning),
        (doctor.disk(Path("/d"), FIRST_BUILD_BYTES), Level.ok),
        (doctor.bridge("docker0", False), Level.fault),
        (doctor.bridge("docker0", True), Level.ok),
        (doctor.builds(None), Level.warning),
        (doctor.builds("/usr/bin/docker"), Level.ok),
        (doctor.clock(4.9), Level.ok),
        (doctor.clock(-6), Level.warning),
        (doctor.clock(6), Level.warning),
        (doctor.proxy(""), Level.ok),
        (doctor.proxy("HTTP_PROXY"), Level.warning),
        (doctor.program("no-such-program", True, "version", "does it"), Level.fault),
        (doctor.program("no-such-program", False, "version", "does it"), Level.warning),
        (doctor.program("false", True, "", "does it"), Level.fault),
    ],
)
def test_what_is_not_well_says_what_to_do(check: Check, level: Level) -> None:
    assert check.level is level
    assert bool(check.fix) is (level is not Level.ok)
    assert check.found


@pytest.mark.parametrize(
    ("seen", "warned"),
    [
        ((INSTANCES, WATCHES, FILES, ROOM_BYTES), set()),
        ((INSTANCES - 1, WATCHES, FILES, ROOM_BYTES), {"inotify"}),
        ((INSTANCES, WATCHES - 1, FILES, ROOM_BYTES), {"inotify"}),
        ((INSTANCES, WATCHES, FILES - 1, ROOM_BYTES), {"files"}),
        ((INSTANCES, WATCHES, FILES, ROOM_BYTES - 1), {"memory"}),
        ((None, None, FILES, None), set()),
    ],
)
def test_each_limit_of_the_machine_is_looked_at_where_there_is_one(
    seen: tuple[int | None, int | None, int, int | None], warned: set[str]
) -> None:
    found = [*doctor.limits(*seen)]
    assert {check.name for check in found if check.level is not Level.ok} == warned
    assert len(found) == 1 + 2 * (seen[0] is not None)


@pytest.mark.parametrize(
    ("environ", "asked"),
    [
        ({}, ""),
        ({"HTTP_PROXY": ""}, ""),
        ({"HTTP_PROXY": "http://p:3128"}, "HTTP_PROXY"),
        ({"http_proxy": "http://p:3128", "no_proxy": "example.com"}, "HTTP_PROXY"),
        ({"ALL_PROXY": "http://p:3128", "NO_PROXY": "127.0.0.1"}, "ALL_PROXY"),
        ({"HTTP_PROXY": "http://p:3128", "NO_PROXY": "localhost, 127.0.0.1"}, ""),
        ({"HTTP_PROXY": "http://p:3128", "NO_PROXY": "*"}, ""),
        ({"HTTPS_PROXY": "http://p:3128"}, ""),  # nothing of ours is served by TLS there
    ],
)
def test_a_proxy_that_is_asked_for_this_machine_itself_is_told(environ: dict[str, str], asked: str) -> None:
    assert host.asks_a_proxy_for_loopback(environ) == asked


def called(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    environ = {**os.environ, "XDG_STATE_HOME": str(folder / "state"), "DOCKER_HOST": f"unix://{folder}/none.sock"}
    return subprocess.run(
        [str(PROGRAM), "doctor", *words], cwd=folder, env=environ, capture_output=True, text=True, check=False
    )


def project(folder: Path, port: int) -> None:
    (folder / "pyproject.toml").write_text(TABLE.format(mark=MARK, port=port))
    (folder / "k8s.yaml").write_text(MANIFEST.format(mark=MARK))
    (folder / ".env").write_text(f"TOKEN={MARK}-of-the-env-file\n")
    state = folder / "state/devenv/x"
    (state / "logs").mkdir(parents=True)
    secrets = ("table", "manifest", "env-file")
    where = ("of-the-table", "of-a-manifest", "of-the-env-file")
    (state / "logs/forwards.log").write_text("".join(f"{s}: {MARK}-{w}\n" for s, w in zip(secrets, where, strict=True)))
    (state / "kubeconfig").write_text(f"token: {MARK}-of-the-cluster\n")


def test_without_docker_it_says_so_and_looks_at_the_rest(tmp_path: Path) -> None:
    done = called(tmp_path, "-o", "json")
    assert done.returncode == 1, done.stderr
    found = {check["name"]: check for check in json.loads(done.stdout)}
    assert found["docker"]["level"] == "fault"
    assert found["docker"]["found"].startswith("Docker does not answer")
    assert found["docker"]["fix"]
    assert found["files"]["level"] in ("ok", "warning")
    assert "ports" not in found


def test_a_taken_port_of_the_project_is_told_with_who_has_it(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        project(tmp_path, port)
        done = called(tmp_path)
    assert done.returncode == 1
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("ports "))
    assert f"FAULT  {port}, of forward web, is in use by process {os.getpid()}" in line
    assert "ports: stop it, or set DEVENV_PORT_WEB to a free port" in done.stderr


def test_a_bundle_has_what_a_report_needs_and_no_secret(tmp_path: Path) -> None:
    project(tmp_path, 1)
    file = tmp_path / "report.tar.gz"
    done = called(tmp_path, "--bundle", str(file))
    assert file.exists(), done.stderr
    with tarfile.open(file) as archive:
        held = {m.name: archive.extractfile(m).read().decode() for m in archive.getmembers()}  # type: ignore[union-attr]
    names = ("doctor.json", "state/logs/forwards.log", "table.toml")
    assert sorted(held) == [f"devenv-report/{name}" for name in names]
    assert held["devenv-report/state/logs/forwards.log"] == "table: ***\nmanifest: ***\nenv-file: ***\n"
    assert MARK not in "".join([*held.values(), done.stdout, done.stderr])


def test_a_table_with_faults_hinders_nothing(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.devenv]\nnme = 1\n")
    done = called(tmp_path)
    assert "unknown key" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout.startswith("CHECK ")
