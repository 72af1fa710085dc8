"""What others have changed of what we applied, from the API server's own list of who set which field."""

from typing import Any

import pytest

from devenv.kube import drift
from devenv.kube.drift import Change
from devenv.kube.objects import Object

NOW, LATER = "2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z"
CONTAINER = {"name": "c", "image": "app:1", "ports": [{"containerPort": 80}], "env": [{"name": "A", "value": "1"}]}
WANTED = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "d", "namespace": "shop", "labels": {"app": "d"}, "finalizers": ["example.com/keep"]},
    "spec": {
        "replicas": 2,
        "paused": False,
        "selector": {"matchLabels": {"app": "d"}},
        "template": {"metadata": {"labels": {}}, "spec": {"containers": [CONTAINER], "nodeSelector": {"a": "b"}}},
    },
}
OWN_CONTAINER: dict[str, Any] = {
    ".": {}, "f:name": {}, "f:image": {},
    "f:ports": {'k:{"containerPort":80,"protocol":"TCP"}': {".": {}, "f:containerPort": {}}},
    "f:env": {'k:{"name":"A"}': {".": {}, "f:name": {}, "f:value": {}}},
}  # fmt: skip


def owned() -> dict[str, Any]:
    """Return the fields of WANTED as the API server writes them down for who applied it."""
    pod = {"f:containers": {'k:{"name":"c"}': {**OWN_CONTAINER}}, "f:nodeSelector": {}}
    spec = {"f:replicas": {}, "f:paused": {}, "f:selector": {}, "f:template": {"f:spec": pod}}
    return {
        "f:metadata": {"f:labels": {"f:app": {}}, "f:finalizers": {".": {}, 'v:"example.com/keep"': {}}},
        "f:spec": spec,
    }


def entry(fields: dict[str, Any], manager: str = "devenv", operation: str = "Apply", **more: str) -> dict[str, Any]:
    return {"manager": manager, "operation": operation, "time": NOW, "fieldsV1": fields, **more}


def living(*entries: dict[str, Any]) -> Object:
    return Object.parse({**WANTED, "metadata": {**WANTED["metadata"], "managedFields": [*entries]}}, "shop")  # type: ignore[dict-item]


def seen(*entries: dict[str, Any]) -> list[Change]:
    return drift.changes(Object.parse(WANTED, "shop"), living(*entries))


def without(*path: str) -> dict[str, Any]:
    """Return what is left of ours once a field is another's; of what has nothing left, nothing is written down."""

    def left(fields: dict[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
        inner = left(fields[path[0]], path[1:]) if len(path) > 1 else {}
        rest = {key: value for key, value in fields.items() if key != path[0]}
        return {**rest, path[0]: inner} if inner else rest

    return left(owned(), path)


def nested(*path: str) -> dict[str, Any]:
    return {path[0]: nested(*path[1:])} if path else {}


OWN = ("f:spec", "f:template", "f:spec", "f:containers", 'k:{"name":"c"}')
PATHS: dict[tuple[str, ...], str] = {
    ("f:spec", "f:replicas"): "spec.replicas",
    ("f:spec", "f:selector"): "spec.selector.matchLabels.app",
    ("f:metadata", "f:labels", "f:app"): "metadata.labels.app",
    ("f:metadata", "f:finalizers", 'v:"example.com/keep"'): "metadata.finalizers[example.com/keep]",
    (*OWN, "f:image"): "spec.template.spec.containers[c].image",
    (*OWN, "f:env", 'k:{"name":"A"}', "f:value"): "spec.template.spec.containers[c].env[A].value",
}  # fmt: skip


def test_what_is_as_it_was_applied_has_not_drifted_whatever_others_have_added() -> None:
    theirs = entry(nested("f:spec", "f:strategy"), "kubectl-edit", "Update")
    assert seen(entry(owned()), theirs, entry(nested("f:status"), "kube-controller-manager", "Update")) == []


@pytest.mark.parametrize("path", PATHS)
def test_a_field_that_another_has_set_is_told_with_who_and_when(path: tuple[str, ...]) -> None:
    theirs = entry(nested(*path), "kubectl-edit", "Update", time=LATER)
    found = seen(entry(without(*path)), theirs)
    assert drift.said(found) == f"was changed by kubectl-edit at {LATER}: {PATHS[path]}"


@pytest.mark.parametrize("path", PATHS)
def test_a_field_that_was_taken_away_is_told(path: tuple[str, ...]) -> None:
    assert drift.said(seen(entry(without(*path)))) == f"was removed: {PATHS[path]}"


def test_the_only_item_of_a_list_that_was_taken_away_is_told() -> None:
    assert drift.said(seen(entry(without(*OWN)))) == "was removed: spec.template.spec.containers"


def test_one_of_many_items_that_was_taken_away_is_told_by_its_name() -> None:
    fields = owned()
    at = fields["f:spec"]["f:template"]["f:spec"]["f:containers"]
    at['k:{"name":"other"}'] = at.pop('k:{"name":"c"}')
    assert drift.said(seen(entry(fields))) == "was removed: spec.template.spec.containers[c]"


def test_replicas_that_an_autoscaler_sets_are_its_own_and_those_that_a_person_sets_are_not() -> None:
    path = ("f:spec", "f:replicas")
    for manager, subresource, count in (
        ("kube-controller-manager", "scale", 0),
        ("kubectl", "scale", 1),
        ("kube-controller-manager", "", 1),
    ):
        assert (
            len(seen(entry(without(*path)), entry(nested(*path), manager, "Update", subresource=subresource))) == count
        )


def test_a_change_without_a_time_is_told_with_who_made_it() -> None:
    path = ("f:spec", "f:replicas")
    theirs = {**entry(nested(*path), "kubectl", "Update", subresource="scale"), "time": ""}
    assert drift.said(seen(entry(without(*path)), theirs)) == "was changed by kubectl: spec.replicas"


def test_many_changes_are_told_in_one_line() -> None:
    ours = owned()
    ours["f:spec"] = {"f:template": ours["f:spec"]["f:template"]}
    del ours["f:metadata"]
    theirs = entry(nested("f:spec", "f:paused"), "kubectl-patch", "Update")
    told = (
        f"was changed by kubectl-patch at {NOW}: spec.replicas, spec.paused, spec.selector.matchLabels.app and 2 more"
    )
    assert drift.said(seen(entry(ours), theirs)) == told


def test_what_we_did_not_apply_is_not_judged() -> None:
    assert seen() == []
    assert seen(entry({}, "devenv", "Update"), entry({}, "helm", "Apply")) == []
