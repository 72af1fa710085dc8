"""What `devenv status` says of a snapshot: ready is what runs, answers and has nothing left to do."""

from dataclasses import replace
from pathlib import Path

import pytest

from devenv.cluster.state import Cluster
from devenv.commands.status import Status, report
from devenv.kube.readiness import Level, Readiness
from devenv.project.schema import Forward
from devenv.project.stack import Stack
from devenv.reconcile import environment
from devenv.reconcile.observed import Observed
from devenv.reconcile.plan import make_plan
from devenv.system.state import Folder
from tests.test_plan import done, ident, wanted


def bare() -> Stack:
    return wanted(forwards={})


def told(folder: Path, desired: Stack, observed: Observed) -> Status:
    env = environment.of(desired.settings, Folder(folder))
    return report(env, desired, observed, make_plan(desired, observed))


def test_a_stack_with_nothing_left_to_do_is_ready(tmp_path: Path) -> None:
    assert told(tmp_path, bare(), done(bare())).ready


@pytest.mark.parametrize("what", ["a source", "an object", "a pod", "the cluster"])
def test_what_is_left_to_do_is_not_ready_though_all_that_is_there_may_be(tmp_path: Path, what: str) -> None:
    want, have = bare(), done(bare())
    service, api = ident("service/api"), ident("deployment/api")
    changed = {
        "a source": replace(have, sources={**have.sources, service: "other"}),
        "an object": replace(have, sources={key: value for key, value in have.sources.items() if key != service}),
        "a pod": replace(have, readiness={**have.readiness, api: Readiness(Level.PENDING, "deployment/api", "why")}),
        "the cluster": replace(have, cluster=Cluster.STOPPED),
    }
    seen = told(tmp_path, want, changed[what])
    assert not seen.ready
    assert ("steps are left to do: devenv plan" in seen.next) is (what in ("a source", "an object"))


def test_a_changed_forward_is_left_to_do() -> None:
    before = wanted()
    for change in ({"ports": "8081:80"}, {"probe": "http /"}, {"hold_s": 5.0}):
        forward = Forward.model_validate({"service": "api", "ports": "8080:80", **change})
        steps = make_plan(wanted(forwards={"api": forward}), done(before))
        assert [(s.name, s.cause) for s in steps][:1] == [("forwards", "targets changed")], change
