"""scripts/make_secrets.sh: it reads .env as devenv does, or refuses it."""

import json
import os
import shutil
import subprocess
from base64 import b64decode
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict

from devenv.project import envfile
from tests.recorder import recording

ROOT = Path(__file__).parents[2]

OTHERS = "POSTGRES_USER=u\n# a note\n\nexport POSTGRES_DB=d\nSOMABRAIN_API_TOKEN = t \n"
LINES = ["x", "'a b#c'", '"a b"', "it's", "p$x", "x\r", "'a'  ", "", "a=b==", "[1]"]
REFUSED = ['"a\\nb"', "a b", "x # note", "'x", '"x', "'a'b", "#x"]


def made(folder: Path, text: str, **variables: str) -> subprocess.CompletedProcess[str]:
    (folder / "scripts").mkdir(exist_ok=True)
    shutil.copy(ROOT / "scripts/make_secrets.sh", folder / "scripts")
    (folder / ".env").write_text(text, newline="")
    argv = [str(folder / "scripts/make_secrets.sh"), "shop"]
    return subprocess.run(argv, capture_output=True, text=True, check=False, env={**os.environ, **variables})


@pytest.mark.parametrize("line", LINES)
def test_a_password_is_what_devenv_reads(tmp_path: Path, line: str) -> None:
    text = f"{OTHERS}POSTGRES_PASSWORD={line}\n"
    done = made(tmp_path, text)
    assert done.returncode == 0, done.stderr
    data = json.loads(done.stdout)["items"][1]["data"]
    wanted = envfile.read(text)
    assert {key: b64decode(value).decode() for key, value in data.items()} == {key: wanted[key] for key in data}
    assert set(data) == {"POSTGRES_USER", "POSTGRES_PASSWORD", "POSTGRES_DB"}


@pytest.mark.parametrize("line", REFUSED)
def test_a_line_that_it_would_read_otherwise_is_refused_and_not_shown(tmp_path: Path, line: str) -> None:
    done = made(tmp_path, f"{OTHERS}POSTGRES_PASSWORD={line}hunter2\n".replace("xhunter2", "x"))
    assert done.returncode != 0
    assert ".env: line 6: write it as" in done.stderr
    assert done.stdout == ""
    assert "hunter2" not in done.stderr


def test_a_key_that_is_there_twice_or_missing_is_told(tmp_path: Path) -> None:
    assert "POSTGRES_USER is there twice" in made(tmp_path, f"{OTHERS}POSTGRES_USER=v\n").stderr
    assert "POSTGRES_PASSWORD is missing" in made(tmp_path, OTHERS).stderr


def test_the_api_s_role_has_a_secret_where_the_file_has_its_password(tmp_path: Path) -> None:
    """As with devenv: an .env of before has none, and goes on."""
    for line, secrets in (("", 2), ("SOMABRAIN_APP_PASSWORD='p@ss'\n", 3)):
        done = made(tmp_path, f"{OTHERS}POSTGRES_PASSWORD=x\n{line}")
        assert done.returncode == 0, done.stderr
        found = [item for item in json.loads(done.stdout)["items"] if item["kind"] == "Secret"]
        assert len(found) == secrets
    dsn = b64decode(found[2]["data"]["SOMABRAIN_POSTGRES_DSN"]).decode()
    assert found[2]["metadata"] == {"name": "somabrain-app", "namespace": "shop"}
    wanted = {"user": "somabrain_app", "password": "p@ss", "dbname": "d", "host": "postgres.shop.svc.cluster.local"}
    assert {**conninfo_to_dict(dsn), **wanted} == conninfo_to_dict(dsn)


def test_the_admin_s_token_has_a_secret_where_the_file_has_one(tmp_path: Path) -> None:
    for line, names in (("", ()), ("SOMABRAIN_ADMIN_TOKEN=\n", ()), ("SOMABRAIN_ADMIN_TOKEN='of all'\n", ("of all",))):
        done = made(tmp_path, f"{OTHERS}POSTGRES_PASSWORD=x\n{line}")
        assert done.returncode == 0, done.stderr
        items = json.loads(done.stdout)["items"]
        found = [item["data"] for item in items if item["metadata"]["name"] == "somabrain-admin"]
        assert tuple(b64decode(data["SOMABRAIN_ADMIN_TOKEN"]).decode() for data in found) == names


@pytest.mark.parametrize("password", ["plain", "p@ss/w#rd?:%41", "ü x", "&=+;$,[]{}|\\^`~!*()"])
def test_a_dsn_holds_any_password_and_no_program_is_given_it_as_an_argument(tmp_path: Path, password: str) -> None:
    text = f"POSTGRES_USER='u@x'\nPOSTGRES_DB='d/b'\nSOMABRAIN_API_TOKEN=t\nPOSTGRES_PASSWORD='{password}'\n"
    path, arguments = recording(tmp_path, os.environ["PATH"], ("jq",))
    done = made(tmp_path, text, PATH=path)
    assert done.returncode == 0, done.stderr
    dsn = b64decode(json.loads(done.stdout)["items"][2]["data"]["SOMABRAIN_POSTGRES_DSN"]).decode()
    wanted = {"user": "u@x", "password": password, "dbname": "d/b", "port": "5432"}
    assert {**conninfo_to_dict(dsn), **wanted} == conninfo_to_dict(dsn)
    assert "--raw-input" in arguments.read_text()
    assert password not in arguments.read_text()
