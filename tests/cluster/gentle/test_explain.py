"""What is broken for real, each in its own way: `devenv explain` names the cause in seconds, with the next command."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster import broken
from tests.cluster.broken import PARTS
from tests.cluster.environment import Environment
from tests.cluster.service import NAMESPACE

VISIBLE_WITHIN_S, TOLD_WITHIN_S = 240.0, 5.0
TEXTS = {
    "deployment/b-image": "the name of its registry is not known",
    "deployment/b-crash": "ValueError: no bread",
    "deployment/b-init": "init container prepare",
    "deployment/b-port": "asks port 9999, where nothing listens; it has port 8080",
    "deployment/b-memory": "its limit is 128Mi",
    "deployment/b-claimed": "claim b-claim asks for StorageClass nowhere, and there is none",
    "deployment/b-key": "needs key NOWHERE of Secret somabrain-secrets, which has no such key; it has ",
    "deployment/b-quota": "quota b-quota lets no pod in",
    "deployment/b-policy": "no bread",
    "job/b-migrate": "migration 0001 failed, statement alter table nowhere add column bread int",
    "job/b-ahead": "its schema is at 0009",
    "service/b-service": "service/b-service selects app=b-crahs, and no pod has these labels; pod/b-crash-",
}


@pytest.fixture
def wrecks(stack: Environment, tmp_path: Path) -> Iterator[Environment]:
    """The stack, with broken objects in its manifests and in its cluster."""
    stack.edit("k8s/overlays/dev/kustomization.yaml", "patches:", "  - broken.yaml\npatches:")
    manifests = broken.manifests(made for made, _ in PARTS.values())
    (stack.root / "k8s/overlays/dev/broken.yaml").write_text(manifests)
    files = tmp_path / "guards.yaml", tmp_path / "broken.yaml"
    files[0].write_text(broken.manifests([broken.QUOTA, *broken.guards(NAMESPACE)]))
    files[1].write_text(manifests)
    try:
        for file in files:
            stack.kubectl("-n", NAMESPACE, "apply", "-f", str(file))
            time.sleep(5)  # an API server takes a new policy into account a moment later
        yield stack
    finally:
        for file in reversed(files):
            stack.kubectl("-n", NAMESPACE, "delete", "--ignore-not-found", "--wait=true", "-f", str(file))


def told(stack: Environment, *names: str) -> tuple[dict[str, dict[str, Any]], float]:
    """Return what is told of each part that is wrong, and how long that took."""
    began = time.monotonic()
    done = stack.run("explain", "-o", "json", *names)
    assert done.returncode in (0, 1), done.stderr
    return {found["part"]: found for found in json.loads(done.stdout)}, time.monotonic() - began


def test_each_of_many_wrecks_is_told_with_its_cause(wrecks: Environment) -> None:
    wanted = {part: kind for part, (_, kind) in PARTS.items()}
    end, fastest = time.monotonic() + VISIBLE_WITHIN_S, float("inf")
    while True:
        found, took = told(wrecks, *PARTS)
        fastest = min(fastest, took)
        seen = {part: found[part]["kind"] for part in wanted}
        if seen == wanted or time.monotonic() > end:
            break
        time.sleep(1)
    assert seen == wanted, json.dumps([found[part] for part in wanted if seen[part] != wanted[part]], indent=1)
    for part, text in TEXTS.items():
        assert text in found[part]["cause"], part
    assert all(one["next"].startswith(("devenv ", "kubectl ")) for one in found.values())
    assert fastest < TOLD_WITHIN_S
    kinds = {part: [link["kind"] for link in found[part]["chain"]] for part in PARTS}
    assert kinds["deployment/b-crash"][:4] == ["owner", "owner", "pod", "container"]
    assert {"event", "log"} <= {*kinds["deployment/b-crash"]}
    assert "condition" in kinds["deployment/b-port"]


def test_what_is_wrong_is_told_in_80_columns_and_nothing_of_what_is_well(wrecks: Environment) -> None:
    end = time.monotonic() + VISIBLE_WITHIN_S
    while (done := wrecks.run("explain", "b-crash")).returncode != 1 or "ValueError: no bread" not in done.stdout:
        assert time.monotonic() < end, done.stdout + done.stderr
        time.sleep(1)
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0].startswith("deployment/b-crash: ")
    assert " ".join(done.stdout.split()).rpartition(" next: ")[0].endswith("ValueError: no bread")
    assert lines[-1] == "next: devenv logs deployment/b-crash --tail 50"
    every = wrecks.run("explain", "-o", "json")
    assert every.returncode == 1
    parts = [found["part"] for found in json.loads(every.stdout)]
    assert parts.index("persistentvolumeclaim/b-claim") < parts.index("deployment/b-claimed")
    assert not {"deployment/somabrain", "statefulset/postgres", "job/somabrain-migrate"} & {*parts}


def test_nothing_is_wrong_with_the_stack_itself(stack: Environment) -> None:
    assert stack.fine("explain") == "nothing is wrong\n"
    assert stack.fine("explain", "somabrain").splitlines()[0] == "deployment/somabrain: nothing is wrong"
