"""`devenv promote` as a person calls it, on a server that keeps objects."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from devenv.cli.app import app
from devenv.kube import client, kubeconfig
from devenv.system import state
from tests import api_store
from tests.api_store import Store
from tests.rendering import reference

TABLE = """
[tool.devenv]
name = "shop"
namespace = "shop"
manifests = "k8s"
[tool.devenv.images.web]
pull = "r.example/web:1"
[tool.devenv.environments.staging]
namespace = "shop"
images = ["web"]
render = ["cat", "release.json"]
"""
IMAGE = reference("web")
POD = {"template": {"spec": {"containers": [{"name": "c", "image": IMAGE}]}}}


def document(version: str, kind: str, name: str, **content: Any) -> dict[str, Any]:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name}, **content}


CRON = document("batch/v1", "CronJob", "nightly", spec={"jobTemplate": {"spec": POD}})
SETTING = document("v1", "ConfigMap", "setting", data={"of": "new"})


@dataclass
class Release:
    root: Path
    store: Store
    capsys: pytest.CaptureFixture[str]

    def renders(self, *documents: dict[str, Any]) -> None:
        (self.root / "release.json").write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": documents}))

    def promote(self, *words: str) -> str:
        """Promote, and return all that was said; an error is raised."""
        # `cat` prints the file of the release, whatever images it is given.
        app(["promote", "staging", "--context", "c", "--image", IMAGE, *words], standalone_mode=False)
        out, err = self.capsys.readouterr()
        return out + err


@pytest.fixture
def release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Release]:
    kubeconfig.kubeconfig.cache_clear()
    for folder in ("k8s",):
        (tmp_path / folder).mkdir()
    (tmp_path / "pyproject.toml").write_text(TABLE.replace('"cat", "release.json"', '"sh", "-c", "cat release.json"'))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(client, "PAUSE_S", 0.001)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    with api_store.serving() as store:
        store.put(document("v1", "Namespace", "shop"))
        monkeypatch.setenv("KUBECONFIG", str(api_store.kubeconfig(tmp_path, store.url)))
        found = Release(tmp_path, store, capsys)
        found.renders(CRON, SETTING)
        yield found


def test_a_promotion_leaves_no_copy_of_the_credentials(release: Release) -> None:
    assert "staging is promoted" in release.promote()
    assert {"cronjob/nightly", "configmap/setting"} <= {*release.store.names()}
    (folder,) = (f for f in (release.root / "state/devenv").iterdir() if f.is_dir())
    assert (folder / "runs").is_dir()
    assert not [f for f in folder.rglob("*") if f.is_file() and '"t"' in f.read_text()]
    assert not (folder / "kubeconfig").exists()


def test_a_release_s_folder_and_lock_are_those_of_no_project(release: Release) -> None:
    release.promote()
    mine = {path.name for path in (release.root / "state/devenv").iterdir()}
    for name in ("shop", "shop-staging"):
        for context in (None, "c"):
            other = state.folder(name, context, "shop")
            assert not {other.path.name, other.lock.name} & mine
    assert len({state.Folder(Path(name)).lock for name in ("shop", "shop.staging", "shop.prod")}) == 3
