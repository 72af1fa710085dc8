"""Inputs as people write them that once ended in a traceback, or in something else than what they say."""

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from devenv.errors import DevenvError, UsageError
from devenv.kube import client, documents
from devenv.kube.kubeconfig import standing
from devenv.kube.objects import Id
from devenv.project import manifests, stack
from devenv.project import settings as config
from devenv.project.schema import Image
from devenv.project.stack import ambiguous
from devenv.reconcile.observed import Observed
from devenv.reconcile.plan import make_plan
from devenv.system import process, state
from devenv.system.state import Folder
from tests.test_any_input import toml
from tests.test_credentials import kubeconfig
from tests.test_plan import DOCUMENTS, SERVICE, SOURCES, runs, wanted


def parsed(text: str) -> list[str]:
    return [str(o.id) for o in manifests.parsed({"a.yaml": text}, "shop")]


def named(**meta: Any) -> str:
    return yaml.safe_dump({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", **meta}})


def test_explicit_types_of_yaml_are_what_json_has_of_them() -> None:
    text = "a: !!binary aGk=\nb: !!timestamp 2024-01-01\nc: !!float 1\nd: !!str 1\n"
    assert list(documents.read(text)) == [(1, {"a": "hi", "b": "2024-01-01", "c": 1, "d": "1"})]


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("!!binary /w==", "line 2: !!binary that is no text"),
        ("!!binary x", "line 2: !!binary that is no text"),
        ("!!set {x}", "line 2: set is a type that JSON does not have"),
        ("!!omap [x: 1]", "line 2: omap is a type that JSON does not have"),
        (".inf", "line 2: a number that JSON does not have; put it in quotes"),
        ("!!float -.inf", "line 2: a number that JSON does not have; put it in quotes"),
        (".nan", "line 2: a number that JSON does not have; put it in quotes"),
    ],
)
def test_what_json_does_not_have_is_refused_with_its_line(value: str, why: str) -> None:
    with pytest.raises(documents.Fault) as error:
        list(documents.read(f"a: 1\nb: {value}\n"))
    assert str(error.value) == why


def test_a_text_that_is_nested_too_deeply_is_refused() -> None:
    with pytest.raises(UsageError, match=r"a\.yaml: not valid YAML: line 1: nested too deeply"):
        parsed(f"a: {'[' * 900}{']' * 900}")


def test_lists_are_what_kubectl_takes_them_for() -> None:
    assert parsed("apiVersion: v1\nkind: List\nitems:\n") == []
    assert parsed("apiVersion: v1\nkind: List\nitems: []\n") == []
    assert parsed("apiVersion: v1\nkind: ConfigMapList\nitems: [{metadata: {name: a}}]\n") == ["configmap/a"]
    both = "{apiVersion: v1, kind: Secret, metadata: {name: a}}"
    assert parsed(f"apiVersion: v1\nkind: List\nitems: [{both}]\n") == ["secret/a"]
    with pytest.raises(UsageError, match=r"an object without apiVersion, kind or metadata\.name: a str"):
        parsed("apiVersion: v1\nkind: List\nitems: [x]\n")
    # A kind of somebody's own that happens to end so.
    assert parsed("apiVersion: x.example/v1\nkind: WishList\nmetadata: {name: a}\nspec: {}\n") == ["wishlist/a"]


@pytest.mark.parametrize("name", ["a/b", "..", ".", "a%2fb"])
def test_a_name_that_is_none_is_refused_where_it_stands(name: str) -> None:
    with pytest.raises(UsageError, match=r"a\.yaml: line 1: .*metadata\.name may not be"):
        parsed(named(name=name))


@pytest.mark.parametrize("namespace", ["x y", "X", "a.b", "-a", "x" * 64, "../a"])
def test_a_namespace_that_is_none_is_refused_where_it_stands(namespace: str) -> None:
    with pytest.raises(UsageError, match=r"a\.yaml: line 1: configmap/a: metadata\.namespace is no name"):
        parsed(named(namespace=namespace))


@pytest.mark.parametrize("namespace", ["", None])
def test_an_empty_namespace_is_the_project_s_and_never_all_of_them(namespace: str | None) -> None:
    pod = runs("Deployment", "api", "app")
    beside = {**pod, "metadata": {"name": "other", "namespace": "elsewhere"}}
    pod["metadata"]["namespace"] = namespace
    text = yaml.safe_dump_all([SERVICE, pod, beside, DOCUMENTS[3]])
    found = manifests.parsed({"a.yaml": text}, "shop")
    assert [(o.id.name, o.id.namespace) for o in found][1:3] == [("api", "shop"), ("other", "elsewhere")]
    made = stack.make(wanted().settings, found, SOURCES, {}, None)
    assert made.namespaces == ("shop", "elsewhere")
    make_plan(made, Observed())


def test_names_that_the_api_takes_are_taken() -> None:
    for name in ("system:node", "a.b", "a_b", "A"):
        assert parsed(named(name=name)) == [f"configmap/{name}"]
    assert parsed(named(namespace="x" * 63)) == [f"configmap/a@{'x' * 63}"]


def test_the_project_s_namespace_is_there_once_with_what_the_manifests_say_of_it() -> None:
    labels, notes = {"istio-injection": "enabled"}, {"owner": "me"}
    meta = {"name": "shop", "labels": labels, "annotations": notes}
    found = wanted([*DOCUMENTS, {"apiVersion": "v1", "kind": "Namespace", "metadata": meta}]).objects
    (space,) = (o for o in found if o.id == Id("", "Namespace", "", "shop"))
    assert labels.items() <= space.meta["labels"].items()
    assert notes.items() <= space.meta["annotations"].items()
    assert "app.kubernetes.io/managed-by" in space.meta["labels"]
    assert {*wanted(DOCUMENTS).objects[0].meta["annotations"]} <= {*space.meta["annotations"]}


def test_two_images_that_the_manifests_cannot_tell_apart_are_refused() -> None:
    old, new = Image(pull="redis:6"), Image(pull="docker.io/library/redis:7")
    assert ambiguous({"old": old, "new": new}).startswith("old and new are of one repository")
    assert ambiguous({"redis": Image(build=Path("app")), "new": new}).startswith("redis and new")
    assert ambiguous({"old": old, "new": Image(pull="redis:7", image="cache")}) == ""
    assert ambiguous({}) == ""


def loaded(root: Path, **changes: Any) -> config.Settings:
    (root / "k8s").mkdir(exist_ok=True)
    (root / "Dockerfile").write_text("FROM scratch\n")
    file = root / "pyproject.toml"
    table = {"name": "shop", "namespace": "shop", "manifests": "k8s", **changes}
    file.write_text(f"[tool]\ndevenv = {toml(table)}\n")
    return config.load(file, {}, {})


def test_the_project_s_own_folder_is_one_to_build_from(tmp_path: Path) -> None:
    found = loaded(tmp_path, images={"app": {"build": "."}})
    assert found.path(found.project.images["app"].build or Path("none")) == tmp_path
    for empty in ("", " "):
        with pytest.raises(UsageError, match="is empty"):
            loaded(tmp_path, images={"app": {"build": empty}})


def test_a_path_that_is_no_file_s_name_is_a_fault_of_the_table(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"manifests: a+: no such file or folder"):
        loaded(tmp_path, manifests="a" * 5000)
    with pytest.raises(UsageError, match="Dockerfile: no such file"):
        loaded(tmp_path, images={"app": {"build": "a" * 5000}})


def test_a_time_without_an_end_is_refused(tmp_path: Path) -> None:
    loaded(tmp_path)
    file = tmp_path / "pyproject.toml"
    file.write_text(f'{file.read_text().rstrip().removesuffix("}")}, "ready-within-s" = inf}}\n')
    with pytest.raises(UsageError, match="ready-within-s: Input should be a finite number"):
        config.load(file, {}, {})


def test_a_program_that_cannot_be_run_is_told_with_the_way_out(tmp_path: Path) -> None:
    program = tmp_path / "render"
    program.write_text("echo\n")
    with pytest.raises(DevenvError, match=r"render: cannot be run: Permission denied\nhint: chmod \+x"):
        process.run([str(program)])
    program.chmod(0o755)
    with pytest.raises(DevenvError, match=r"render: cannot be run: Exec format error\nhint: its first line"):
        process.run([str(program)])


def test_a_file_that_a_kubeconfig_names_is_told_by_its_own_name(tmp_path: Path) -> None:
    kubeconfig(tmp_path, "http://127.0.0.1:1", {"tokenFile": str(tmp_path / "token")})
    with pytest.raises(DevenvError) as error:
        client.read(tmp_path / "kubeconfig")
    assert str(error.value) == f"{tmp_path / 'kubeconfig'}: {tmp_path / 'token'}: no such file"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ({"stringData": ["a"]}, "stringData is no mapping"),
        ({"data": "x"}, "data is no mapping"),
        ({"stringData": {"a": True}}, "stringData.a is no text; put it in quotes"),
        ({"stringData": {"a": 10}}, "stringData.a is no text; put it in quotes"),
    ],
)
def test_a_value_of_a_secret_that_is_no_text_is_refused_and_not_guessed(content: dict[str, Any], why: str) -> None:
    with pytest.raises(UsageError) as error:
        parsed(yaml.safe_dump({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, **content}))
    assert str(error.value) == f"a.yaml: line 1: secret/s: {why}"


ODD_GUARDS = [
    ("ValidatingWebhookConfiguration", {"webhooks": ["x"]}),
    ("ValidatingWebhookConfiguration", {"webhooks": "x"}),
    ("MutatingWebhookConfiguration", {"webhooks": [{"clientConfig": "x", "rules": "y"}, {"rules": ["z"]}]}),
    ("CustomResourceDefinition", {"spec": {"conversion": "x"}}),
    ("CustomResourceDefinition", {"spec": ["x"]}),
    ("APIService", {"spec": ["x"]}),
    ("APIService", {"spec": {"service": "x"}}),
]


@pytest.mark.parametrize(("kind", "content"), ODD_GUARDS)
def test_what_guards_and_is_misshapen_is_left_to_the_api_server(kind: str, content: dict[str, Any]) -> None:
    odd = {"apiVersion": "x.k8s.io/v1", "kind": kind, "metadata": {"name": "odd"}, **content}
    assert "odd" in {o.id.name for o in wanted([*DOCUMENTS, odd]).objects}
    make_plan(wanted([*DOCUMENTS, odd]), Observed())


def test_only_files_of_the_folder_are_manifests_and_a_link_to_nothing_is_told(tmp_path: Path) -> None:
    settings = loaded(tmp_path)
    folder = tmp_path / "k8s"
    (folder / "a.yaml").write_text(named())
    (folder / "b.yaml").mkdir()
    os.mkfifo(folder / "c.yaml")
    assert [str(o.id) for o in manifests.objects(settings)] == ["configmap/a"]
    (folder / "d.yaml").symlink_to("nothing")
    with pytest.raises(UsageError, match=r"d\.yaml: No such file or directory"):
        manifests.objects(settings)


def test_a_state_folder_that_cannot_be_made_is_told_with_the_way_out() -> None:
    with pytest.raises(DevenvError, match=r"Not a directory\nhint: set XDG_STATE_HOME"):
        Folder(Path("/dev/null/devenv/shop")).make()


def test_a_credential_program_is_where_the_kubeconfig_that_names_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "of").mkdir()
    (tmp_path / "other").write_text("users: [{name: b}]\n")
    (tmp_path / "of/config").write_text("users: [{name: a}]\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path}/none:other:of/config")

    def command(written: Any) -> Any:
        return standing({"name": "a", "user": {"exec": {"command": written}}})["user"]["exec"]["command"]

    assert command("./plugin") == f"{tmp_path}/of/plugin"
    assert command("bin/plugin") == f"{tmp_path}/of/bin/plugin"
    assert (command("plugin"), command("/usr/bin/plugin"), command(5)) == ("plugin", "/usr/bin/plugin", 5)
    for odd in (None, {"name": "a"}, {"name": "a", "user": {"exec": "x"}}, {"name": "a", "user": "x"}):
        assert standing(odd) == odd


def test_locks_and_logs_are_nobody_else_s_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        state.acquired(tmp_path / "state/shop.lock", print).close()
        process.run(["true"], log=tmp_path / "state/build.log")
    finally:
        os.umask(before)
    assert [oct(f.stat().st_mode & 0o777) for f in (tmp_path / "state").iterdir()] == ["0o600", "0o600"]
