"""The project's table: all faults at once, each with its place; what beats what."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devenv.commands import export
from devenv.errors import UsageError
from devenv.project import settings
from devenv.project.schema import Tls
from devenv.reconcile import environment
from devenv.system.state import Folder

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
        settings.load(write(tmp_path, text), {}, {})
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
        (("[tool.devenv.env]", '[tool.devenv.secrets.s]\nA = "${run}"\n[tool.devenv.env]'), "a reference is not known"),
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
        settings.load(write(tmp_path, WHOLE.replace(*change)), {}, {})
    assert told in str(raised.value)


def test_a_missing_file_or_table_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="-f FILE"):
        settings.load(tmp_path / "pyproject.toml", {}, {})
    with pytest.raises(UsageError, match=r"has no table \[tool.devenv\]"):
        settings.load(write(tmp_path, "[project]\n"), {}, {})
    with pytest.raises(UsageError, match="line 1"):
        settings.load(write(tmp_path, "[[["), {}, {})


@pytest.mark.parametrize(
    "text", ["tool = 1\n", "[tool]\ndevenv = 1\n", "[[tool]]\nx = 1\n", "[tool.devenv]\nname = 1\n"]
)
def test_a_table_of_another_type_is_told(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError):
        settings.load(write(tmp_path, text), {}, {})


@pytest.mark.parametrize(
    "key",
    ["name", "manifests", "gates", "images", "images.api", "forwards", "forwards.api", "secrets", "env", "tests", "tls",
     "environments", "remote-contexts", "namespace-labels", "ready-within-s", "env-file"],
)  # fmt: skip
@pytest.mark.parametrize("value", ["[[1]]", "{ x = { y = 1 } }", "1979-05-27", "-1.5", "true"])
def test_a_key_of_another_type_is_told_with_its_name(tmp_path: Path, key: str, value: str) -> None:
    right = {"name": '"shop"', "manifests": '"k8s"'}
    lines = [f"{k} = {v}" for k, v in (right | {key: value}).items()]
    with pytest.raises(UsageError) as told:
        settings.load(write(tmp_path, "\n".join(["[tool.devenv]", *lines])), {}, {})
    assert key in str(told.value)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="directory"):
        settings.load(tmp_path, {}, {})


def test_a_variable_that_is_set_and_empty_undoes_what_the_file_says(tmp_path: Path) -> None:
    file = write(tmp_path, WHOLE.replace("[tool.devenv]", '[tool.devenv]\ncontext = "c"\nregistry = "r.example"', 1))
    project = settings.load(file, {"DEVENV_CONTEXT": "", "DEVENV_NAME": ""}, {}).project
    assert (project.context, project.registry, project.name) == (None, "r.example", "shop")


def test_who_only_ends_what_runs_needs_no_file_that_is_named(tmp_path: Path) -> None:
    text = WHOLE.replace('"k8s"', '"nowhere"').replace(
        "[tool.devenv.env]", '[tool.devenv.images.db]\nbuild = "db"\n[tool.devenv.env]'
    )
    assert settings.load(write(tmp_path, text), {}, {}, files=False).project.name == "shop"


def test_flags_beat_the_environment_and_the_environment_beats_the_file(tmp_path: Path) -> None:
    file = write(tmp_path, WHOLE)
    assert settings.load(file, {}, {}).project.namespace == "shop"
    environ = {"DEVENV_NAMESPACE": "env", "DEVENV_NAME": "other", "DEVENV_PORT_API": "18080"}
    loaded = settings.load(file, environ, {"namespace": None}).project
    assert (loaded.namespace, loaded.name, loaded.forwards["api"].ports) == ("env", "other", "18080:80")
    assert settings.load(file, environ, {"namespace": "flag"}).project.namespace == "flag"


def test_references_are_replaced_and_an_unset_one_is_told(tmp_path: Path) -> None:
    project = settings.load(write(tmp_path, WHOLE), {}, {}).project
    text = "${name}/${namespace}/${run}/${forwards.api}/${env.SECRET}"
    assert settings.substituted(text, project, {"SECRET": "s"}, run="r") == "shop/shop/r/8080/s"
    with pytest.raises(UsageError, match=r"\.env: SECRET is missing"):
        settings.substituted(text, project, {}, run="r")


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("DEVENV_NAMESPCE", "DEVENV_NAMESPACE"),
        ("DEVENV_CONTEXTS", "DEVENV_CONTEXT"),
        ("DEVENV_REGSITRY", "DEVENV_REGISTRY"),
        ("DEVENV_PORT_APPI", "DEVENV_PORT_API"),
        ("DEVENV_PORTS_API", "DEVENV_PORT_API"),
    ],
)
def test_a_misspelt_variable_is_told_instead_of_being_passed_over(tmp_path: Path, key: str, meant: str) -> None:
    with pytest.raises(UsageError, match=f"{key}: no such variable; did you mean {meant}"):
        settings.load(write(tmp_path, WHOLE), {key: "x"}, {})


def test_other_programs_have_variables_of_the_same_beginning(tmp_path: Path) -> None:
    others = dict.fromkeys(("DEVENV_ROOT", "DEVENV_STATE", "DEVENV_PROFILE", "DEVENV_DOTFILE", "DEVENV_TEST_LANE"), "x")
    settings.load(write(tmp_path, WHOLE), others, {})


@pytest.mark.parametrize("table", ["env", "tests.all.env"])
def test_a_setting_is_named_as_a_shell_s_variable(tmp_path: Path, table: str) -> None:
    own = f"""[tool.devenv.tests.all]\nrun = ["true"]\n[tool.devenv.{table}]\n'X;touch pwned;Y' = "1"\n"""
    text = WHOLE.replace("[tool.devenv.env]", own if table == "env" else f"{own}[tool.devenv.env]")
    with pytest.raises(UsageError, match=rf"{table}: a string that is not shown does not match"):
        settings.load(write(tmp_path, text), {}, {})


def test_a_suite_s_own_settings_refer_to_the_same_as_all_others(tmp_path: Path) -> None:
    own = """
[tool.devenv.tests.all]
run = ["true"]
env = { WHERE = "${name}.${namespace}", LOGIN = "me:${env.SECRET}", RUN = "${run}" }
"""
    no_forwards = (
        f"[tool.devenv]\nname = 'shop'\nnamespace = 'one'\nmanifests = 'k8s'\nenv.RUN_OF_ALL = '${{run}}'\n{own}"
    )
    here = settings.load(write(tmp_path, no_forwards), {}, {})
    (tmp_path / ".env").write_text("SECRET=s\n")
    folder = Folder(tmp_path)
    found = export.values(environment.of(here, folder), here.project.tests["all"].env)
    assert (found["WHERE"], found["LOGIN"]) == ("shop.one", "me:s")
    assert found["RUN"] == found["RUN_OF_ALL"] != ""


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
    settings.load(write(tmp_path, SECURED), {}, {})
    with pytest.raises(UsageError, match="1 fault in") as raised:
        settings.load(write(tmp_path, SECURED.replace(*change)), {}, {})
    assert told in str(raised.value)


def test_another_issuer_on_the_command_line_is_not_taken_with_the_files_bundle(tmp_path: Path) -> None:
    file = write(tmp_path, SECURED)
    assert settings.load(file, {}, {"tls.issuer": None, "tls.ca-bundle": None}).project.tls == Tls.model_validate(
        {"host": "shop.internal", "ingress": "shop", "secret": "shop-tls", "ca-bundle": Path("pyproject.toml")}
    )
    asked = settings.load(file, {}, {"tls.issuer": "https://acme.example/dir"}).project.tls
    assert asked
    assert (asked.issuer, asked.ca_bundle) == ("https://acme.example/dir", None)
    plain = settings.load(write(tmp_path, WHOLE), {}, {"tls.issuer": "letsencrypt"})
    assert plain.project.tls is None


@given(st.text(max_size=20))
def test_a_value_stands_in_a_url_as_it_is(tmp_path_factory: pytest.TempPathFactory, password: str) -> None:
    project = settings.load(write(tmp_path_factory.mktemp("p"), WHOLE), {}, {}).project
    address = settings.substituted("postgresql://me:${env.SECRET:url}@db/x", project, {"SECRET": password}, run="r")
    parts = urlsplit(address)
    assert (unquote(parts.password or ""), parts.hostname, parts.path) == (password, "db", "/x")


EXISTING = f"""{WHOLE}
[tool.devenv.existing]
manifests = "shared"
env = {{ TOKEN = "${{env.TOKEN}}" }}
[tool.devenv.existing.secrets.more]
KEY = "${{env.TOKEN}}"
"""


@pytest.mark.parametrize("context", [None, "theirs"])
def test_a_cluster_that_exists_has_its_own_manifests_and_settings(tmp_path: Path, context: str | None) -> None:
    file = write(tmp_path, EXISTING)
    with pytest.raises(UsageError, match=r"existing.manifests: shared: no such file or folder"):
        settings.load(file, {}, {})
    (tmp_path / "shared").mkdir()
    project = settings.load(file, {}, {"context": context, "registry": "r.example"}).project
    own = settings.load(write(tmp_path, WHOLE), {}, {}).project
    assert project.manifests == ((Path("shared"),) if context else own.manifests)
    assert project.env == (own.env | {"TOKEN": "${env.TOKEN}"} if context else own.env)
    assert project.secrets == (own.secrets | {"more": {"KEY": "${env.TOKEN}"}} if context else own.secrets)


def test_a_reference_in_a_secret_of_a_cluster_that_exists_is_checked(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    file = write(tmp_path, EXISTING.replace('KEY = "${env.TOKEN}"', 'KEY = "${run}"'))
    with pytest.raises(UsageError, match=r"existing.secrets.more.KEY: a reference is not known"):
        settings.load(file, {}, {})
