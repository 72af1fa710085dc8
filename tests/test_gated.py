"""Configuration that only what waits for a gate reads: it changes once the gate has passed, and not before."""

from dataclasses import replace
from typing import Any

import pytest

from devenv.kube.objects import Document
from devenv.kube.readiness import Level, Readiness
from devenv.project.stack import Stack
from devenv.reconcile.actions import ApplyObjects, ReplaceObject, Step
from devenv.reconcile.observed import Differences, Observed
from devenv.reconcile.plan import make_plan
from tests.test_plan import SERVICE, done, named, runs, wanted

OWN, SHARED = "configmap/own", "configmap/shared"


def reading(kind: str, name: str, image: str, *read: str) -> Document:
    obj = runs(kind, name, image)
    container = obj["spec"]["template"]["spec"]["containers"][0]
    container["envFrom"] = [{"configMapRef": {"name": one}} for one in read]
    return obj


def stack(value: str = "1", migration: str = "1", *more: Document, **changes: Any) -> Stack:
    """Return a stack whose API alone reads one of two ConfigMaps; its database reads the other too."""
    maps = [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"a": value}}
        for name in ("own", "shared")
    ]
    api, db = reading("Deployment", "api", "app", "own", "shared"), reading("StatefulSet", "db", "db", "shared")
    return wanted(
        [SERVICE, *maps, api, db, runs("Job", "migrate", "app", backoffLimit=int(migration)), *more], **changes
    )


def planned(want: Stack, have: Observed) -> dict[str, Step]:
    return {step.name: step for step in make_plan(want, have)}


def applied(steps: dict[str, Step]) -> set[str]:
    """Return what changes before any gate."""
    action = steps["objects"].action
    assert isinstance(action, ApplyObjects)
    return {str(o.id) for o in action.objects}


def test_it_changes_after_the_gate_and_before_what_reads_it() -> None:
    steps = planned(stack("2", "2"), done(stack()))
    assert applied(steps) == {SHARED}
    assert "ready job/migrate" in steps[f"apply {OWN}"].needs
    assert f"apply {OWN}" in steps["apply deployment/api"].needs
    assert f"apply {OWN}" not in {*steps["apply statefulset/db"].needs, *steps["run job/migrate"].needs}
    assert [*steps].index("ready job/migrate") < [*steps].index(f"apply {OWN}")


def test_it_waits_as_long_as_the_gate_has_not_passed() -> None:
    have, gate = done(stack()), named(stack(), "job/migrate").id
    for level in Level:
        seen = replace(have, readiness={**have.readiness, gate: Readiness(level, "x")})
        assert (f"apply {OWN}" in planned(stack("2"), seen)) is (level is not Level.READY)


def test_without_a_gate_that_is_due_or_where_it_is_new_it_is_applied_with_the_rest() -> None:
    assert applied(planned(stack("2"), done(stack()))) == {OWN, SHARED}
    assert applied(planned(stack(), Observed())) >= {OWN, SHARED}


@pytest.mark.parametrize(
    "another",
    [
        reading("Deployment", "free", "other:1", "own"),
        reading("Job", "migrate-too", "app", "own"),
        {**reading("Rollout", "own", "app", "own"), "apiVersion": "argoproj.io/v1alpha1"},
    ],
    ids=lambda document: document["kind"],
)
def test_it_waits_for_nothing_where_others_read_it_who_wait_for_something_else(another: Document) -> None:
    gates = ("job/migrate", *(["job/migrate-too"] if another["kind"] == "Job" else []))
    steps = planned(stack("2", "2", another, gates=gates), done(stack("1", "1", another, gates=gates)))
    assert applied(steps) >= {OWN, SHARED}


def test_one_that_cannot_be_changed_in_place_is_replaced_after_the_gate() -> None:
    have = replace(done(stack()), differences=Differences(fixed={named(stack(), OWN).id: "is immutable"}))
    steps = planned(stack("2", "2"), have)
    assert isinstance(steps[f"replace {OWN}"].action, ReplaceObject)
    assert "ready job/migrate" in steps[f"replace {OWN}"].needs
    assert f"replace {OWN}" in steps["apply deployment/api"].needs
    assert f"replace {OWN}" not in steps["run job/migrate"].needs
