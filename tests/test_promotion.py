"""A promotion, decided: images by digest, what changes and when, and how an object becomes what it was."""

import re
from itertools import combinations
from pathlib import Path

import pytest
import yaml

from devenv import config, manifest, promote, promotion
from devenv.errors import UsageError
from devenv.manifest import Document
from devenv.promotion import Change, Kind
from tests.rendering import CHECKOUT, IMAGES, reference
from tests.test_config import WHOLE, write

NAMES = ("somabrain", "postgres", "redis", "opa")


def test_an_environment_takes_its_images_and_spares_the_rest_of_a_release() -> None:
    release = [reference(name) for name in NAMES]
    for count in range(1, len(NAMES) + 1):
        for takes in combinations(NAMES, count):
            taken, spared = promotion.given(release, takes, NAMES)
            assert {promotion.short_name(r) for r in taken} == set(takes)
            assert sorted(taken + spared) == sorted(release)


@pytest.mark.parametrize(
    ("references", "said"),
    [
        ([], "no image given for: api, db"),
        ([reference("api")], "no image given for: db"),
        (
            [reference("api"), reference("db"), reference("dbx")],
            "no image here is named dbx; there are: api, db",
        ),
        ([reference("api"), reference("db"), reference("db")], "db was given already"),
        (["r.example/api:stable", reference("db")], "r.example/api:stable: an image is given as NAME@sha256:DIGEST"),
        ([reference("api")[:-1], reference("db")], "with 64 hexadecimal digits"),
        ([reference("api") + "0", reference("db")], "with 64 hexadecimal digits"),
        ([reference("api").replace("sha256", "md5"), reference("db")], "with 64 hexadecimal digits"),
    ],
)
def test_images_that_are_wrong_or_missing_are_all_told(references: list[str], said: str) -> None:
    with pytest.raises(UsageError, match=re.escape(said)):
        promotion.given(references, ("api", "db"), ("api", "db", "spare"))


def deployment(image: str, replicas: int | None = 1, annotations: dict[str, str] | None = None) -> Document:
    spec: Document = {"template": {"spec": {"containers": [{"name": "main", "image": image}]}}}
    if replicas is not None:
        spec["replicas"] = replicas
    meta = {"name": "api", "annotations": annotations} if annotations else {"name": "api"}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": spec}


def served(obj: Document) -> Document:
    """Return an object as an API server returns it."""
    meta = {**obj["metadata"], "uid": "1", "resourceVersion": "7", "generation": 3, "managedFields": [{"manager": "x"}]}
    annotations = {**meta.get("annotations", {}), "deployment.kubernetes.io/revision": "4"}
    return {**obj, "metadata": {**meta, "annotations": annotations}, "status": {"readyReplicas": 1}}


def change(obj: Document, kind: Kind = Kind.changed, before: Document | None = None) -> Change:
    return Change(kind, obj, before, obj)


def test_what_the_server_writes_is_no_difference() -> None:
    here = deployment("a")
    seen = promotion.compared(here, served(here), here)
    assert seen.kind is Kind.same
    assert promotion.difference(seen) == ""
    assert promotion.compared(here, served(here), manifest.claimed(here)).kind is Kind.changed  # labelled as ours
    claimed = manifest.claimed(here)
    del claimed["metadata"]["labels"]
    assert promotion.compared(here, served(here), claimed).kind is Kind.same


def test_a_difference_is_told_line_by_line() -> None:
    seen = promotion.compared(deployment("b"), served(deployment("a")), deployment("b"))
    assert seen.kind is Kind.changed
    lines = promotion.difference(seen).splitlines()
    assert lines[:2] == ["--- deployment/api (in the cluster)", "+++ deployment/api (promoted)"]
    assert [line for line in lines[2:] if line[0] in "+-"] == ["-      - image: a", "+      - image: b"]
    assert promotion.difference(promotion.compared(deployment("b"), None, deployment("b"))).startswith("--- /dev/null")


def test_an_object_goes_back_to_what_it_was_and_keeps_what_an_autoscaler_said() -> None:
    old = served(deployment("a", 5, {"kept": "yes"}))
    named = promotion.undone(Change(Kind.changed, deployment("b", replicas=1), old))
    assert named["spec"] == old["spec"]
    assert named["metadata"] == {"name": "api", "annotations": {"kept": "yes"}}
    assert "status" not in named
    scaled = promotion.undone(Change(Kind.changed, deployment("b", replicas=None), old))
    assert scaled["spec"] == {"template": old["spec"]["template"]}
    assert old["spec"]["replicas"] == 5


def test_before_a_migration_only_comes_what_it_needs() -> None:
    job: Document = {
        "kind": "Job",
        "metadata": {"name": "migrate"},
        "spec": {"template": {"spec": {"containers": [{"name": "m", "image": "api", "envFrom": [
            {"configMapRef": {"name": "read"}}]}]}}},
    }  # fmt: skip
    settings = {n: {"kind": "ConfigMap", "metadata": {"name": n}} for n in ("read", "unread")}
    api, database = deployment("api"), {**deployment("db"), "metadata": {"name": "db"}}
    there = [change(o, Kind.changed, o) for o in (api, database, *settings.values())]
    assert [c.key for c in promotion.before_jobs(there, [job])] == ["configmap/read"]
    new = [change(o, Kind.new) for o in (api, database, *settings.values())]
    assert [c.key for c in promotion.before_jobs(new, [job])] == ["deployment/db", "configmap/read", "configmap/unread"]
    same = [change(o, Kind.same, o) for o in (api, database, *settings.values())]
    assert promotion.before_jobs(same, [job]) == []


def test_what_may_not_be_changed_must_be_as_it_was_applied() -> None:
    wanted = manifest.claimed(deployment("a"))
    assert promotion.is_as_applied(Change(Kind.left, wanted, served(wanted)))
    assert not promotion.is_as_applied(Change(Kind.left, wanted, served(deployment("a"))))
    assert not promotion.is_as_applied(Change(Kind.left, manifest.claimed(deployment("b")), served(wanted)))


@pytest.mark.parametrize("environment", ["staging", "prod"])
def test_the_project_s_environments_render_with_a_release(environment: str) -> None:
    here = config.load(CHECKOUT / "pyproject.toml", {}, {})
    objects, spared = promote.render(here, environment, IMAGES["staging"])
    images = {image for obj in objects for image in manifest.images(obj)}
    assert images == set(IMAGES[environment])
    assert sorted(spared) == sorted(set(IMAGES["staging"]) - images)
    assert promotion.secrets(objects) >= {"somabrain-secrets"}
    assert "job/somabrain-health-check" in {manifest.key(o) for o in objects}


def rendered_by(tmp_path: Path, script: str, table: str = "") -> tuple[list[Document], list[str]]:
    here = f'{WHOLE}\n[tool.devenv.environments.staging]\nnamespace = "staging"\nimages = ["api"]\n{table}\n'
    file = write(tmp_path, f'{here}render = ["bash", "-c", {yaml.safe_dump(script, default_style=chr(34))}]\n')
    return promote.render(config.load(file, {}, {}), "staging", [reference("api")])


@pytest.mark.parametrize(
    ("script", "table", "said"),
    [
        ("echo no way >&2; exit 2", "", "environment staging cannot be rendered: no way"),
        ("echo '{: '", "", "printed no YAML"),
        ("printf '%s' \"$POD\"", "", "images that are not named by a digest: api:1"),
        ("true", 'checks = ["job/check"]', "checks: job/check: no such object"),
    ],
)
def test_a_rendering_that_is_no_environment_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, table: str, said: str
) -> None:
    monkeypatch.setenv("POD", yaml.safe_dump(deployment("api:1")))
    with pytest.raises(UsageError, match=re.escape(said)):
        rendered_by(tmp_path, script, table)


def test_an_unknown_environment_is_refused_with_those_that_there_are() -> None:
    here = config.load(CHECKOUT / "pyproject.toml", {}, {})
    with pytest.raises(UsageError, match=r"no environment production in .*; there are: prod, staging"):
        here.environment("production")
