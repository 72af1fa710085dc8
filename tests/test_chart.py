"""The Helm chart gives the objects of the overlays, but for the differences that are listed here."""

import copy
import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.rendering import CHARTED, CHECKOUT, IMAGES, Document, documents, name_of, objects, pods, reference
from tests.test_overlays import with_operator

CHART = CHECKOUT / "k8s/chart"
# All differences between chart and overlay. An overlay alone brings the namespace, with its labels: Helm can make one
# (--create-namespace), not label it. The chart brings the health check to dev too, for `helm test`, and runs it and the
# migration as hooks. It gives each object the labels of Helm's convention, and keeps what belongs to the cluster when
# the release is uninstalled.
ONLY_IN_OVERLAY = {"Namespace"}
HEALTH_CHECK = {
    "Job/somabrain-health-check",
    "NetworkPolicy/somabrain-health-check",
    "NetworkPolicy/somabrain-from-health-check",
}
HOOKS = {"Job/somabrain-health-check", "Job/somabrain-migrate"}
KEPT = {"PriorityClass/somabrain", "PriorityClass/somabrain-data"}
BACKUP = "s3://somabrain-backups.example.com/postgres"  # the overlay's example; the chart has none of its own


def helm(
    environment: str, *words: str, verb: str = "template", more: Mapping[str, Any] | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run helm on the chart, with the values of that environment and more of them; no cluster is asked."""
    path = os.pathsep.join([str(CHECKOUT / ".venv/bin"), os.environ["PATH"]])
    values = ("--values", str(CHART / f"values-{environment}.yaml")) if environment else ()
    release = () if verb == "lint" else ("somabrain",)
    argv = ["helm", verb, *release, str(CHART), *values, "--values", "-", *words]
    env = {**os.environ, "PATH": path}
    return subprocess.run(argv, input=json.dumps(more or {}), text=True, capture_output=True, env=env, check=False)


def images(references: list[str]) -> tuple[str, ...]:
    """Return the words that give the chart these images."""
    named = {ref.split("@")[0].rsplit("/", 1)[1]: ref for ref in references}
    return ("--set-json", f"images={json.dumps(named)}") if named else ()


def charted(environment: str, *words: str, **more: Any) -> dict[str, Document]:
    done = helm(environment, *words, more=more)
    assert done.returncode == 0, done.stderr
    return {name_of(o): o for o in documents(done.stdout) if o}


def whole_name(obj: Document) -> tuple[str, str | None]:
    return name_of(obj), obj["metadata"].get("namespace")


def without_namespace(obj: Document) -> Document:
    """The overlays of staging and production write the namespace down; Helm is told it (--namespace)."""
    return {**obj, "metadata": {k: v for k, v in obj["metadata"].items() if k != "namespace"}}


def without_convention(obj: Document) -> Document:
    """Return the object without what Helm's convention adds to it."""
    new = copy.deepcopy(obj)
    if name_of(obj) in HOOKS | KEPT:
        annotations = new["metadata"].pop("annotations")
        assert all(key.startswith("helm.sh/") for key in annotations)
    templates = [t["metadata"] for _, t in pods([new])]
    for metadata in (new["metadata"], *templates):
        own = {k: v for k, v in metadata.pop("labels").items() if not k.startswith(("app.kubernetes.io/", "helm.sh/"))}
        metadata.update({"labels": own} if own else {})
    return new


def sorted_lists(value: Any) -> Any:
    """Return the value with lists of named things in the order of their names: they are maps to Kubernetes."""
    if isinstance(value, dict):
        return {k: sorted_lists(v) for k, v in value.items()}
    if isinstance(value, list):
        items = [sorted_lists(item) for item in value]
        named = all(isinstance(item, dict) and "name" in item for item in items)
        return sorted(items, key=lambda item: str(item["name"])) if named else items
    return value


def same(overlay: list[Document], chart: dict[str, Document], only_in_chart: frozenset[str] = frozenset()) -> None:
    # The ingress controller is the cluster's, not the release's: dev alone brings it, and the chart never.
    controller = [whole_name(o) for o in yaml.safe_load_all((CHECKOUT / "k8s/ingress.yaml").read_text())]
    wanted = {
        name_of(o): sorted_lists(without_namespace(o))
        for o in overlay
        if o["kind"] not in ONLY_IN_OVERLAY and whole_name(o) not in controller
    }
    got = {name: sorted_lists(without_convention(o)) for name, o in chart.items()}
    assert got.keys() - wanted.keys() == only_in_chart
    assert wanted.keys() - got.keys() == set()
    for name, obj in wanted.items():
        assert got[name] == obj, name


@pytest.mark.parametrize("environment", CHARTED)
def test_chart_and_overlay_give_the_same_objects(environment: str) -> None:
    only_in_chart = frozenset(HEALTH_CHECK if environment == "dev" else ())
    # At a first installation the migration may run before all other objects: test_chart_values.py.
    same(objects(environment), charted(environment, *images(IMAGES[environment]), "--is-upgrade"), only_in_chart)


def test_chart_and_overlay_agree_on_the_operator_s_postgres(tmp_path: Path) -> None:
    refs = [*IMAGES["prod"], reference("postgresql")]
    same(
        objects("prod", refs, with_operator(tmp_path)),
        charted("prod", *images(refs), "--set", f"postgres.source=operator,postgres.backup={BACKUP}", "--is-upgrade"),
    )


@pytest.mark.parametrize(
    ("environment", "hook"), [("prod", "pre-install,pre-upgrade"), ("staging", "post-install,pre-upgrade")]
)
def test_the_migration_runs_before_the_application_changes(environment: str, hook: str) -> None:
    """A Postgres of the chart's own is there only after the first installation."""
    seen = charted(environment, *images(IMAGES[environment]))
    hooks = {name: o["metadata"].get("annotations", {}).get("helm.sh/hook") for name, o in seen.items()}
    assert hooks["Job/somabrain-migrate"] == hook


@pytest.mark.parametrize("environment", CHARTED)
def test_an_upgrade_deletes_nothing_but_finished_jobs(environment: str) -> None:
    """Helm deletes a hook before it makes it again. A hot-fix in the overrides, and pods' classes, must stay."""
    seen = charted(environment, *images(IMAGES[environment]), "--is-upgrade")
    assert {name for name, o in seen.items() if "helm.sh/hook" in o["metadata"].get("annotations", {})} == HOOKS
    for name in KEPT:
        assert seen[name]["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}


@pytest.mark.parametrize(
    ("environment", "words", "said"),
    [
        ("", (), "at '/environment': value must be one of 'dev', 'staging', 'prod'"),
        ("dev", ("--set", "environment=production"), "at '/environment': value must be one of"),
        ("prod", (), "at '/images': missing properties 'somabrain', 'redis', 'opa'"),
        ("staging", images(IMAGES["prod"]), "at '/images': missing property 'postgres'"),
        ("prod", images([r.split("@")[0] + ":stable" for r in IMAGES["prod"]]), "does not match pattern"),
        ("prod", (*images(IMAGES["prod"]), "--set", "ingress.host="), "at '/ingress/host': minLength"),
        ("prod", (*images(IMAGES["prod"]), "--set", "replicas=3"), "additional properties 'replicas' not allowed"),
    ],
)
def test_incomplete_values_are_refused(environment: str, words: tuple[str, ...], said: str) -> None:
    done = helm(environment, *words)
    assert done.returncode != 0
    assert done.stdout == ""
    assert said in done.stderr
