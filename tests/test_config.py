"""The project's table: all faults at once, each with its place; what beats what."""

from pathlib import Path

import pytest

from devenv import config
from devenv.errors import UsageError
from devenv.table import Tls

WHOLE = """
[tool.devenv]
name = "shop"
namespace = "shop"
manifests = "k8s"

[tool.devenv.forwards.api]
service = "api"
ports = "8080:80"
probe = "http /health"

[tool.devenv.env]
API = "http://127.0.0.1:${forwards.api}"
SECRET = "${env.SECRET}"
"""


def write(folder: Path, text: str) -> Path:
    (folder / "k8s").mkdir(exist_ok=True)
    file = folder / "pyproject.toml"
    file.write_text(text)
    return file


def test_every_fault_is_told_at_once_with_its_line(tmp_path: Path) -> None:
    text = """[tool.devenv]
name = "Not A Name"
manifests = "nowhere"
colour = "blue"
[tool.devenv.forwards.api]
service = "api"
ports = "http"
probe = "gopher"
[tool.devenv.images.db]
pull = ""
"""
    with pytest.raises(UsageError) as raised:
        config.load(write(tmp_path, text), {}, {})
    told = str(raised.value).splitlines()
    assert "5 faults in [tool.devenv]" in told[0]
    places = sorted(line.strip().split(" ")[1:3] for line in told[1:])
    assert [" ".join(p) for p in places] == [
        "10: images.db.pull:",
        "2: name:",
        "4: colour:",
        "7: forwards.api.ports:",
        "8: forwards.api.probe:",
    ]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (('"k8s"', '"nowhere"'), "line 5: manifests: nowhere: no such file or folder"),
        (("${forwards.api}", "${forwards.db}"), "line 13: env.API: ${forwards.db} is not known"),
        (('"8080:80"', '"0:80"'), "line 9: forwards.api.ports: LOCAL:PORT are numbers from 1 to 65535"),
        (
            ("[tool.devenv.env]", "[tool.devenv.images.db]\n[tool.devenv.env]"),
            "images.db: needs `pull`, `build` or both",
        ),
        (
            ("[tool.devenv.env]", '[tool.devenv.images.db]\nbuild = "db"\n[tool.devenv.env]'),
            "line 13: images.db.build: db/Dockerfile: no such file",
        ),
        (
            ("[tool.devenv.env]", '[tool.devenv.forwards.two]\nservice = "x"\nports = "8080:1"\n[tool.devenv.env]'),
            "forwards.two.ports: local port 8080 is that of `api` too",
        ),
    ],
)
def test_what_the_keys_do_not_agree_on_is_told(tmp_path: Path, change: tuple[str, str], told: str) -> None:
    with pytest.raises(UsageError, match="1 fault in") as raised:
        config.load(write(tmp_path, WHOLE.replace(*change)), {}, {})
    assert told in str(raised.value)


def test_a_missing_file_or_table_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="-f FILE"):
        config.load(tmp_path / "pyproject.toml", {}, {})
    with pytest.raises(UsageError, match=r"has no table \[tool.devenv\]"):
        config.load(write(tmp_path, "[project]\n"), {}, {})
    with pytest.raises(UsageError, match="line 1"):
        config.load(write(tmp_path, "[[["), {}, {})


def test_flags_beat_the_environment_and_the_environment_beats_the_file(tmp_path: Path) -> None:
    file = write(tmp_path, WHOLE)
    assert config.load(file, {}, {}).project.namespace == "shop"
    environ = {"DEVENV_NAMESPACE": "env", "DEVENV_NAME": "other", "DEVENV_PORT_API": "18080"}
    loaded = config.load(file, environ, {"namespace": None}).project
    assert (loaded.namespace, loaded.name, loaded.forwards["api"].ports) == ("env", "other", "18080:80")
    assert config.load(file, environ, {"namespace": "flag"}).project.namespace == "flag"


def test_references_are_replaced_and_an_unset_one_is_told(tmp_path: Path) -> None:
    project = config.load(write(tmp_path, WHOLE), {}, {}).project
    text = "${name}/${namespace}/${run}/${forwards.api}/${env.SECRET}"
    assert config.substituted(text, project, {"SECRET": "s"}, run="r") == "shop/shop/r/8080/s"
    with pytest.raises(UsageError, match=r"\.env: SECRET is missing"):
        config.substituted(text, project, {}, run="r")


SECURED = f"""{WHOLE}
[tool.devenv.tls]
host = "shop.internal"
ingress = "shop"
secret = "shop-tls"
ca-bundle = "pyproject.toml"
"""


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (('"shop.internal"', '"Shop.internal"'), "line 17: tls.host: 'Shop.internal' does not match"),
        (('"shop.internal"', '"*.internal"'), "line 17: tls.host: '*.internal' does not match"),
        (('"shop.internal"', f'"{"a." * 127}a"'), "line 17: tls.host:"),
        (('"shop-tls"', '"shop_tls"'), "line 19: tls.secret: 'shop_tls' does not match"),
        (('secret = "shop-tls"', ""), "line 16: tls.secret: is missing"),
        (("ca-bundle = ", 'issuer = "http://plain"\n#'), "line 20: tls.issuer: 'http://plain' does not match"),
        (("ca-bundle = ", 'issuer = "letsencript"\n#'), "line 20: tls.issuer: 'letsencript' does not match"),
        (('"pyproject.toml"', '"nowhere.pem"'), "line 20: tls.ca-bundle: nowhere.pem: no such file"),
        (("ca-bundle", "colour"), "line 20: tls.colour: unknown key"),
    ],
)
def test_faults_of_the_certificates_table_are_told(tmp_path: Path, change: tuple[str, str], told: str) -> None:
    config.load(write(tmp_path, SECURED), {}, {})
    with pytest.raises(UsageError, match="1 fault in") as raised:
        config.load(write(tmp_path, SECURED.replace(*change)), {}, {})
    assert told in str(raised.value)


def test_another_issuer_on_the_command_line_is_not_taken_with_the_files_bundle(tmp_path: Path) -> None:
    file = write(tmp_path, SECURED)
    assert config.load(file, {}, {"tls.issuer": None, "tls.ca-bundle": None}).project.tls == Tls.model_validate(
        {"host": "shop.internal", "ingress": "shop", "secret": "shop-tls", "ca-bundle": Path("pyproject.toml")}
    )
    asked = config.load(file, {}, {"tls.issuer": "https://acme.example/dir"}).project.tls
    assert asked
    assert (asked.issuer, asked.ca_bundle) == ("https://acme.example/dir", None)
    plain = config.load(write(tmp_path, WHOLE), {}, {"tls.issuer": "letsencrypt"})
    assert plain.project.tls is None
