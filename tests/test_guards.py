"""What a webhook guards comes after the workload that answers for it, and nothing waits for itself."""

from dataclasses import replace
from itertools import permutations
from typing import Any

import pytest

from devenv.errors import DevenvError, Forbidden, Invalid, Unreachable
from devenv.kube.objects import Object
from devenv.kube.readiness import Level, Readiness
from devenv.reconcile.differences import refusal
from devenv.reconcile.guards import order, removal
from devenv.reconcile.plan import make_plan
from tests.test_plan import DOCUMENTS, done, names, runs, wanted

SERVICE = {"name": "hook", "namespace": "shop"}


def document(version: str, kind: str, name: str, **content: Any) -> dict[str, Any]:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name}, **content}


HOOK = runs("Deployment", "hook", "app")
HOOK["spec"]["template"]["metadata"] = {"labels": {"app": "hook", "more": "than asked"}}
LEADS = document("v1", "Service", "hook", spec={"selector": {"app": "hook"}, "ports": [{"port": 443}]})


def webhook(*groups: str) -> dict[str, Any]:
    rules = [{"apiGroups": [*groups], "apiVersions": ["*"], "resources": ["*"], "operations": ["*"]}]
    hooks = [{"name": "a.example.com", "clientConfig": {"service": SERVICE}, "rules": rules}]
    return document("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration", "hooks", webhooks=hooks)


def definition(**conversion: Any) -> dict[str, Any]:
    spec = {"group": "example.com", **({"conversion": conversion} if conversion else {})}
    return document("apiextensions.k8s.io/v1", "CustomResourceDefinition", "things.example.com", spec=spec)


THING = document("example.com/v1", "Thing", "one")
SETTING = document("v1", "ConfigMap", "setting")


def tiers(*documents: dict[str, Any]) -> tuple[list[str], list[str], list[str]]:
    found = order(Object.parse(d, "shop") for d in documents)
    return tuple([o.id.name for o in tier] for tier in (found.first, found.guards, found.guarded))  # type: ignore[return-value]


CASES = [
    ((webhook("example.com"), HOOK, LEADS, THING, SETTING), {"hook", "setting"}, {"hooks"}, {"one"}),
    ((webhook("example.com"), LEADS, THING), {"hook", "one", "hooks"}, set(), set()),  # another's workload answers
    ((webhook("example.com"), HOOK, THING), {"hooks", "one"}, set(), set()),
    ((webhook("other.com"), HOOK, LEADS, THING), {"hook", "one"}, {"hooks"}, set()),
    ((webhook("*"), HOOK, LEADS, THING, SETTING), {"hook", "one", "setting"}, {"hooks"}, set()),
    ((webhook(""), HOOK, LEADS, SETTING), {"hook", "setting"}, {"hooks"}, set()),
    ((definition(), HOOK, LEADS, THING), {"hook", "things.example.com", "one"}, set(), set()),
    (
        (definition(strategy="Webhook", webhook={"clientConfig": {"service": SERVICE}}), HOOK, LEADS, THING),
        {"hook", "things.example.com"},
        set(),
        {"one"},
    ),
    (
        (document("apiregistration.k8s.io/v1", "APIService", "v1.example.com", spec={"service": SERVICE}), HOOK, LEADS),
        {"hook"},
        {"v1.example.com"},
        set(),
    ),
]


@pytest.mark.parametrize("case", range(len(CASES)))
def test_what_waits_for_whom_whatever_the_order_of_the_manifests(case: int) -> None:
    documents, *wanted_tiers = CASES[case]
    for some in permutations(documents):
        assert [{*tier} for tier in tiers(*some)] == wanted_tiers


def test_a_custom_resource_is_applied_once_its_webhook_answers() -> None:
    want = wanted([*DOCUMENTS, HOOK, LEADS, definition(), webhook("example.com"), THING])
    steps = names(make_plan(want, done(wanted())))
    in_turn = (
        "objects",
        "apply deployment/hook",
        "ready deployment/hook",
        "webhooks",
        "guarded objects",
        "ready thing/one",
    )
    assert [step for step in steps if step in in_turn] == [*in_turn]


def test_once_all_is_there_nothing_is_left_to_do() -> None:
    want = wanted([*DOCUMENTS, HOOK, LEADS, definition(), webhook("example.com"), THING])
    ready = {o.id: Readiness(Level.READY, str(o.id)) for o in want.awaited}
    assert make_plan(want, replace(done(want), readiness=ready)) == ()


def test_what_goes_needs_nothing_that_went_before() -> None:
    group = "apiregistration.k8s.io/v1"
    api = document(group, "APIService", "v1.example.com", spec={"service": SERVICE})
    going = [Object.parse(d, "shop") for d in (webhook("example.com"), THING, api, HOOK, LEADS, SETTING)]
    turns = [["hooks"], ["one"], ["v1.example.com"], ["hook", "hook", "setting"]]
    for some in permutations(going):
        assert [sorted(o.id.name for o in tier) for tier in removal(some)] == turns
    assert removal([]) == ()
    found = done(wanted())
    plan = make_plan(wanted(), replace(found, orphans=tuple(reversed(going))))
    assert [step.name for step in plan][:3] == [
        "delete validatingwebhookconfiguration/hooks",
        "delete thing/one",
        "delete apiservice/v1.example.com",
    ]
    last = {step.name: step.needs for step in plan}["delete deployment/hook"]
    assert {"delete thing/one", "delete apiservice/v1.example.com"} <= {*last}


DENIED = 'apply thing/one: admission webhook "a.example.com" denied the request: colour is not red'
SILENT = 'apply thing/one: failed calling webhook "a.example.com": connect: connection refused'


@pytest.mark.parametrize(
    ("error", "guarded", "kind"),
    [
        (DevenvError(DENIED), False, "invalid"),
        (Forbidden(DENIED), False, "invalid"),
        (Invalid(DENIED), False, "invalid"),
        (DevenvError(DENIED), True, ""),
        (Invalid(DENIED), True, ""),
        (Unreachable(SILENT), False, ""),
        (Unreachable(SILENT), True, ""),
        (Invalid("apply thing/one: Thing one is invalid: spec: Invalid value: 1: field is immutable"), True, "fixed"),
        (Invalid("apply thing/one: Thing one is invalid: spec.size: Required value"), True, "invalid"),
    ],
)
def test_a_webhook_that_is_away_or_that_changes_too_does_not_hold_its_own_repair_up(
    error: DevenvError, guarded: bool, kind: str
) -> None:
    found, why = refusal(error, guarded)
    assert found == kind
    assert ("colour is not red" in why) is (kind == "invalid" and "colour" in str(error))


INVALID = {
    'Deployment.apps "x" is invalid: spec.selector: Invalid value: {"matchLabels":{"a":"b"}}: field is immutable': (
        "fixed", "spec.selector: field is immutable",
    ),
    'StatefulSet.apps "x" is invalid: spec: Forbidden: updates to statefulset spec for fields other than \'replicas\', '
    "'template' and 'minReadySeconds' are forbidden": (
        "fixed", "spec: Forbidden: updates to statefulset spec for fields other than 'replicas', 'template' and "
        "'minReadySeconds' are forbidden",
    ),
    'RoleBinding.rbac.authorization.k8s.io "x" is invalid: roleRef: Invalid value: rbac.RoleRef{APIGroup:"y", '
    'Kind:"Role", Name:"z"}: cannot change roleRef': ("fixed", "roleRef: cannot change roleRef"),
    'Secret "x" is invalid: type: Invalid value: "Opaque": field is immutable': ("fixed", "type: field is immutable"),
    'Service "x" is invalid: spec.clusterIPs[0]: Invalid value: []string{"None"}: may not change once set': (
        "fixed", "spec.clusterIPs[0]: may not change once set",
    ),
    'Deployment.apps "x" is invalid: spec.replicas: Invalid value: -1: must be greater than or equal to 0': (
        "invalid", "spec.replicas: Invalid value: -1: must be greater than or equal to 0",
    ),
}  # fmt: skip


@pytest.mark.parametrize("text", INVALID)
def test_what_cannot_be_changed_in_place_is_told_by_its_field_without_the_values(text: str) -> None:
    assert refusal(Invalid(f"apply x/x: {text}"), guarded=False) == INVALID[text]


@pytest.mark.parametrize("error", [Unreachable("etcdserver: leader changed"), Forbidden("things is forbidden")])
def test_what_is_no_verdict_on_an_object_is_raised(error: DevenvError) -> None:
    with pytest.raises(type(error)):
        refusal(error, guarded=True)
