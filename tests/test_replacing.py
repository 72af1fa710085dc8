"""What a person wants made anew, and what goes or begins again with it."""

from dataclasses import replace

import pytest

from devenv.errors import UsageError
from devenv.kube.objects import Document, Id, Object
from devenv.kube.readiness import Level, Readiness
from devenv.project.stack import Stack
from devenv.reconcile import replacing
from devenv.reconcile.actions import ApplyObjects, ReplaceObject, RunJob, Step
from devenv.reconcile.observed import Differences, Observed
from devenv.reconcile.plan import make_plan
from tests.test_plan import DOCUMENTS, done, named, wanted

VOLUME: Document = {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "disk"}, "spec": {}}
CLAIM: Document = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"}, "spec": {}}
CACHE: Document = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "cache"},
    "spec": {
        "template": {
            "spec": {
                "containers": [{"name": "c", "image": "elsewhere"}],
                "volumes": [
                    {"name": "v", "persistentVolumeClaim": {"claimName": "data"}},
                    {"name": "e", "emptyDir": {}},
                ],
            }
        }
    },
}
DEFINITION: Document = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "things.shop.example"},
    "spec": {"group": "shop.example", "names": {"kind": "Thing"}},
}
THING: Document = {"apiVersion": "shop.example/v1", "kind": "Thing", "metadata": {"name": "one"}}
OTHER: Document = {"apiVersion": "other.example/v1", "kind": "Thing", "metadata": {"name": "one"}}
WANT = wanted([*DOCUMENTS, VOLUME, CLAIM, CACHE, DEFINITION, THING, OTHER])


def planned(*names: str, want: Stack = WANT) -> dict[str, Step]:
    """Return the steps that lead to objects made anew on a stack where nothing else is left to do."""
    ready = {o.id: Readiness(Level.READY, str(o.id)) for o in want.awaited}
    there = replace(done(want), readiness=ready)
    assert make_plan(want, there) == ()
    return {step.name: step for step in make_plan(want, there.asked(replacing.named(want, names)))}


def test_a_claim_takes_its_pods_along_and_what_gates_made_is_made_again() -> None:
    steps = planned("pvc/data")
    assert steps["replace persistentvolumeclaim/data"].cause == "is replaced, as --replace says"
    assert steps["replace persistentvolumeclaim/data"].action == ReplaceObject(named(WANT, "pvc/data"))
    assert "replace persistentvolumeclaim/data" in steps["ready persistentvolumeclaim/data"].needs
    assert steps["ready deployment/cache"].needs == ("replace persistentvolumeclaim/data",)
    assert steps["run job/migrate"].action == RunJob(named(WANT, "job/migrate"))
    assert steps["run job/migrate"].cause == "what it made may be gone with persistentvolumeclaim/data"
    assert "replace persistentvolumeclaim/data" in steps["run job/migrate"].needs
    assert not {"ready deployment/api", "apply deployment/cache"} & steps.keys()


def test_custom_resources_are_applied_again_after_their_definition_and_those_of_another_group_stay() -> None:
    steps = planned("crd/things.shop.example")
    definition, thing = "replace customresourcedefinition/things.shop.example", named(WANT, "thing/one")
    assert thing.id.group == "shop.example"
    assert steps["apply thing/one"].action == ApplyObjects((thing,))
    assert definition in steps["apply thing/one"].needs
    assert "apply thing/one" in steps["ready thing/one"].needs
    assert "objects" not in steps


def test_a_volume_goes_after_the_claim_that_holds_it() -> None:
    steps = planned("persistentvolume/disk", "persistentvolumeclaim/data")
    assert "replace persistentvolumeclaim/data" in steps["replace persistentvolume/disk"].needs
    order = [*steps]
    assert order.index("replace persistentvolumeclaim/data") < order.index("replace persistentvolume/disk")


def test_a_volume_whose_claim_stays_is_told_before() -> None:
    bound = {**VOLUME, "spec": {"claimRef": {"namespace": "shop", "name": "data"}}}
    disk, claim = named(WANT, "pv/disk"), named(WANT, "pvc/data")
    living = {disk.id: Object(disk.id, bound), claim.id: claim}
    there = replace(done(WANT), living=living)
    assert replacing.faults(there) == []
    (fault,) = replacing.faults(there.asked(frozenset({disk.id})))
    assert fault.endswith("hint: --replace persistentvolumeclaim/data too")
    assert replacing.faults(there.asked(frozenset({disk.id, claim.id}))) == []
    assert replacing.faults(replace(there, living={disk.id: disk}).asked(frozenset({disk.id}))) == []


def test_anything_may_be_named_and_a_job_runs_again() -> None:
    assert isinstance(planned("deploy/api")["apply deployment/api"].action, ReplaceObject)
    assert isinstance(planned("job/migrate")["run job/migrate"].action, RunJob)
    assert isinstance(planned("svc/api")["replace service/api"].action, ReplaceObject)


@pytest.mark.parametrize(("name", "why"), [("pvc/gone", "no such object"), ("ns/shop", "devenv down"), ("", "no such")])
def test_what_cannot_be_meant_is_refused(name: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        replacing.named(WANT, [name])


def test_what_is_not_in_the_cluster_is_only_made() -> None:
    asked = Observed().asked(replacing.named(WANT, ["pvc/data"]))
    steps = {step.name: step for step in make_plan(WANT, asked)}
    assert "replace persistentvolumeclaim/data" not in steps


@pytest.mark.parametrize("kind", ["PersistentVolumeClaim", "Service"])
@pytest.mark.parametrize("fixed", [True, False])
@pytest.mark.parametrize("asked", [True, False])
def test_what_holds_data_is_replaced_only_where_somebody_says_so(kind: str, fixed: bool, asked: bool) -> None:
    id_ = Id("", kind, "shop", "x")
    found = Differences(fixed={id_: "immutable"} if fixed else {}, asked=frozenset({id_} if asked else ()))
    assert (id_ in found.replaced) == (asked or (fixed and kind == "Service"))
    assert (id_ in found.kept) == (fixed and not asked and kind != "Service")
