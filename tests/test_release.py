"""`devenv promote` as a person calls it, on a server that keeps objects."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from devenv.cli.app import app
from devenv.errors import TIMED_OUT, DevenvError
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
render = ["sh", "-c", "cat release.json"]
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
        app(["promote", "staging", "--context", "c", "--image", IMAGE, *words], standalone_mode=False)
        out, err = self.capsys.readouterr()
        return out + err


@pytest.fixture
def release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Release]:
    kubeconfig.kubeconfig.cache_clear()
    (tmp_path / "k8s").mkdir()
    (tmp_path / "pyproject.toml").write_text(TABLE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(client, "PAUSE_S", 0.001)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    with api_store.serving() as store:
        store.put(document("v1", "Namespace", "shop"))
        monkeypatch.setenv("KUBECONFIG", str(api_store.kubeconfig(tmp_path, store.url)))
        found = Release(tmp_path, store, capsys)
        found.renders(CRON, SETTING)
        yield found


@pytest.mark.parametrize("words", [(), ("--trace", "trace.json")])
def test_a_promotion_leaves_no_copy_of_the_credentials(release: Release, words: tuple[str, ...]) -> None:
    assert "staging is promoted" in release.promote(*words)
    assert (release.root / "trace.json").exists() == bool(words)
    assert {"cronjob/nightly", "configmap/setting"} <= {*release.store.names()}
    (folder,) = (f for f in (release.root / "state/devenv").iterdir() if f.is_dir())
    assert (folder / "runs").is_dir()
    assert not [f for f in folder.rglob("*") if f.is_file() and '"t"' in f.read_text()]
    assert not (folder / "kubeconfig").exists()


JOB = document("batch/v1", "Job", "migrate", spec=POD)


@pytest.mark.parametrize(
    ("theirs", "manager"), [(SETTING, "kubectl"), (CRON, "devenv"), (JOB, "helm"), (JOB, "devenv")]
)
def test_what_somebody_else_made_is_neither_changed_nor_deleted_unless_it_is_said(
    release: Release, theirs: dict[str, Any], manager: str
) -> None:
    """Of devenv's own: of another environment, or of an `up`."""
    release.renders(CRON, SETTING, JOB)
    labels = {"app.kubernetes.io/managed-by": "devenv", "devenv/name": "shop", "devenv/namespace": "shop"}
    there = {**theirs, "metadata": {**theirs["metadata"], "labels": labels if manager == "devenv" else {}}}
    release.store.put({**there, "data": {"of": "theirs"}}, manager=manager)
    before = {**release.store.objects}
    name = f"{theirs['kind'].lower()}/{theirs['metadata']['name']}"
    for words in ((), ("--dry-run",)):
        with pytest.raises(DevenvError) as told:
            release.promote(*words)
        assert f"not applied by devenv for staging, and nothing was changed: {name}\nhint: " in str(told.value)
    assert release.store.objects == before
    assert "staging is promoted" in release.promote("--take-over")
    release.renders(CRON, {**SETTING, "data": {"of": "later"}}, JOB)
    assert "staging is promoted" in release.promote()  # they are the release's own now


def test_a_job_that_still_runs_is_waited_for_and_not_ended(release: Release) -> None:
    """A migration whose promotion was lost with its machine may be in the midst of the database."""
    release.renders(CRON, SETTING, JOB)
    release.promote()
    place = "/apis/batch/v1/namespaces/shop/jobs/migrate"
    del release.store.objects[place]["status"]
    release.store.changes.clear()
    with pytest.raises(DevenvError, match="job/migrate has not ended after 1 s: not complete\nhint: kubectl ") as told:
        release.promote("--timeout", "1s")
    assert told.value.exit_code == TIMED_OUT
    assert not [line for line in release.store.changes if "jobs" in line]
    release.store.objects[place]["status"] = {"conditions": [{"type": "Failed", "status": "True"}]}
    assert "run job/migrate" in release.promote()
    assert f"DELETE {place}" in release.store.changes


def test_a_release_s_folder_and_lock_are_those_of_no_project(release: Release) -> None:
    release.promote()
    mine = {path.name for path in (release.root / "state/devenv").iterdir()}
    for name in ("shop", "shop-staging"):
        for context in (None, "c"):
            other = state.folder(name, context, "shop")
            assert not {other.path.name, other.lock.name} & mine
    assert len({state.Folder(Path(name)).lock for name in ("shop", "shop.staging", "shop.prod")}) == 3
