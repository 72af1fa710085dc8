"""What is told before anything is changed."""

from itertools import product
from typing import Any

from devenv.kube.objects import CHECKOUT, KEPT, Id, Object, prepared, secret
from devenv.reconcile.observed import Differences, Observed
from devenv.reconcile.preflight import locked_out, other_checkout, public_services, refused
from tests.test_plan import guest, wanted


def database(**container: Any) -> Object:
    spec = {
        "template": {"spec": {"containers": [{"name": "db", "image": "db", **container}]}},
        "volumeClaimTemplates": [{"metadata": {"name": "data"}}],
    }
    raw = {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "db"}, "spec": spec}
    return Object.parse(raw, "home")


WHOLE = database(envFrom=[{"secretRef": {"name": "s"}}])
ONE = database(
    env=[{"name": "POSTGRES_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "s", "key": "POSTGRES_PASSWORD"}}}]
)


def faults(before: Object, after: Object, **changed: str) -> list[str]:
    values = {"POSTGRES_PASSWORD": "one", "API_TOKEN": "one"}
    living = prepared([before, secret("s", values, "home")])
    wanted = prepared([after, secret("s", values | changed, "home")])
    return locked_out(wanted, {obj.id: obj for obj in living})


def test_another_value_than_a_database_s_data_was_made_with_is_told_and_not_shown() -> None:
    for obj in (WHOLE, ONE):
        (fault,) = faults(obj, obj, POSTGRES_PASSWORD="two")  # noqa: S106
        assert fault.startswith("secret/s: another POSTGRES_PASSWORD than the data of statefulset/db was made with")
        assert "two" not in fault


def test_a_value_that_is_read_at_each_start_may_change() -> None:
    for before, after in product((WHOLE, ONE), repeat=2):
        assert faults(before, after) == []
        assert faults(before, after, API_TOKEN="two") == []  # noqa: S106


def test_a_database_that_is_new_or_keeps_nothing_may_have_any_value() -> None:
    wanted = prepared([WHOLE, secret("s", {"POSTGRES_PASSWORD": "two"}, "home")])
    living = prepared([secret("s", {"POSTGRES_PASSWORD": "one"}, "home")])
    assert locked_out(wanted, {obj.id: obj for obj in living}) == []
    emptied = Object(WHOLE.id, {**WHOLE.raw, "spec": {"template": WHOLE.raw["spec"]["template"]}})
    assert faults(emptied, emptied, POSTGRES_PASSWORD="two") == []  # noqa: S106


def test_a_cluster_belongs_to_the_checkout_that_made_it() -> None:
    want = wanted()
    home = next(o for o in want.objects if o.kind == "Namespace")
    assert home.meta["annotations"][CHECKOUT] == "/p"
    other = Object(home.id, {**home.raw, "metadata": {**home.meta, "annotations": {CHECKOUT: "/q"}}})
    bare = Object(home.id, {**home.raw, "metadata": {"name": "shop"}})
    for there, owner in ((home, ""), (other, "/q"), (bare, "")):
        assert other_checkout(want, Observed(living={there.id: there})) == owner
    assert other_checkout(want, Observed()) == ""
    theirs = guest()
    assert all(CHECKOUT not in (o.meta.get("annotations") or {}) for o in theirs.objects)
    assert other_checkout(theirs, Observed(living={other.id: other})) == ""


def test_a_change_that_is_not_taken_or_that_would_cost_data_is_told_and_what_can_be_replaced_is_not() -> None:
    kinds = (*KEPT, "Deployment", "StatefulSet", "RoleBinding", "Secret")
    fixed = {Id("", kind, "home", "x", "home"): "field is immutable" for kind in kinds}
    told = refused(Differences(fixed=fixed, invalid={Id("", "Service", "home", "s", "home"): "no"}))
    assert told[0] == "service/s is not valid: no"
    assert [fault.partition(" ")[0] for fault in told[1:]] == [f"{kind.lower()}/x" for kind in KEPT]
    assert all("may hold data: field is immutable\nhint: undo the change" in fault for fault in told[1:])


def service(name: str, kind: str | None) -> Object:
    raw = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {"type": kind} if kind else None}
    return Object.parse(raw, "home")


def test_no_service_gets_an_address_of_a_provider_s_unless_it_is_named() -> None:
    inside = [service("a", None), service("b", "ClusterIP"), service("c", "NodePort"), WHOLE]
    assert public_services([*inside, service("open", "LoadBalancer")], ["open"]) == []
    (fault,) = public_services([*inside, service("open", "LoadBalancer")], ["other"])
    assert fault.startswith("service/open is of type LoadBalancer: ")
