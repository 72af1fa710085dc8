"""The project's files, read: what counts as manifests, and what is never shown of them."""

from pathlib import Path

import pytest

from devenv.errors import UsageError
from devenv.project import manifests, render, settings
from tests.test_config import WHOLE, write

CONFIG_MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\n"


def names(folder: Path, text: str = WHOLE) -> list[str]:
    return [str(o.id) for o in manifests.objects(settings.load(write(folder, text), {}, {}))]


@pytest.mark.parametrize("name", render.KUSTOMIZATION)
def test_a_kustomize_folder_is_known_by_each_name_that_kustomize_knows(tmp_path: Path, name: str) -> None:
    (tmp_path / "k8s").mkdir()
    (tmp_path / "k8s" / name).write_text("resources: [a.yaml]\nnamePrefix: my-\n")
    (tmp_path / "k8s/a.yaml").write_text(CONFIG_MAP.format(name="a"))
    assert names(tmp_path) == ["configmap/my-a"]


def test_a_folder_s_files_are_those_that_kubectl_takes(tmp_path: Path) -> None:
    (tmp_path / "k8s").mkdir()
    for suffix in (".yaml", ".yml"):
        (tmp_path / f"k8s/x{suffix}").write_text(CONFIG_MAP.format(name=suffix[1:]))
    (tmp_path / "k8s/x.json").write_text('{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "json"}}')
    (tmp_path / "k8s/notes.md").write_text("none of them")
    assert sorted(names(tmp_path)) == ["configmap/json", "configmap/yaml", "configmap/yml"]


@pytest.mark.parametrize("file", ["", "below/a.yaml", "empty.yaml", "notes.md"])
def test_manifests_without_an_object_are_refused_for_they_would_delete_everything(tmp_path: Path, file: str) -> None:
    target = tmp_path / "k8s" / (file or "nothing")
    target.parent.mkdir(parents=True)
    if file:
        target.write_text(CONFIG_MAP.format(name="a") if file == "below/a.yaml" else "# nothing yet\n")
    with pytest.raises(UsageError, match="no objects in k8s\nhint: "):
        names(tmp_path)


def test_what_is_no_object_is_told_by_its_keys_and_not_by_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "k8s").mkdir()
    (tmp_path / "k8s/a.yaml").write_text("apiVersion: v1\nkind: Secret\nstringData: {password: hunter2}\n")
    with pytest.raises(UsageError, match="Secret with the keys apiVersion, kind, stringData") as raised:
        names(tmp_path)
    assert "hunter2" not in str(raised.value)


def test_a_fault_where_passwords_stand_does_not_show_them(tmp_path: Path) -> None:
    text = f'{WHOLE}[tool.devenv.secrets]\ndb = "hunter2"\n[tool.devenv.secrets.other]\nA = ["hunter2"]\n'
    with pytest.raises(UsageError) as raised:
        settings.load(write(tmp_path, text), {}, {})
    told = str(raised.value)
    assert "secrets.db" in told
    assert "secrets.other.A" in told
    assert "hunter2" not in told
