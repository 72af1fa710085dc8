"""What leads a workload's traffic to a process of this machine, and what of it a plan undoes."""

from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from devenv.cluster.state import Cluster
from devenv.errors import UsageError
from devenv.forwarder import endpoints
from devenv.kube import attachment, stand_in
from devenv.kube.attachment import ATTACHED, Record
from devenv.kube.objects import Document, Object, find
from devenv.kube.stand_in import Port
from devenv.reconcile.actions import ApplyObjects, DeleteObject, Detach
from devenv.reconcile.observed import Observed
from devenv.reconcile.plan import make_plan
from tests.test_plan import OLD, done, wanted

POD_SPEC: Document = {
    "containers": [{"name": "api", "ports": [{"name": "http", "containerPort": 8080}, {"containerPort": 9090}]}]
}
RECORD = Record(3, 123, "python", "2026-01-01T00:00:00Z", ("8000 → service web:80",))


def service(name: str, *ports: Document, **spec: Any) -> Object:
    meta = {"name": name, "namespace": "shop"}
    raw = {"apiVersion": "v1", "kind": "Service", "metadata": meta}
    return Object.parse({**raw, "spec": {"selector": {"app": "api"}, "ports": [*ports], **spec}}, "shop")


WEB = service("web", {"name": "http", "port": 80, "targetPort": "http"}, {"name": "m", "port": 9090})
OTHER = service("other", {"port": 8080}, {"name": "dns", "port": 53, "protocol": "UDP"})
METRICS = service("metrics", {"port": 9000, "targetPort": 9090})
SERVICES = (WEB, OTHER, METRICS)


def workload(replicas: int | None = 0, note: str | None = None) -> Object:
    meta: Document = {"name": "api", "namespace": "shop", "uid": "u1"}
    meta |= {"annotations": {ATTACHED: note}} if note is not None else {}
    spec = {} if replicas is None else {"replicas": replicas}
    return Object.parse({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": spec}, "shop")


@pytest.mark.parametrize(
    ("asked", "port"),
    [
        ("8000:80", Port(8000, 8080, "http")),
        ("8000:http", Port(8000, 8080, "http")),
        ("8080:8080", Port(8080, 8080, "http")),
        ("1:9000", Port(1, 9090)),
    ],
)
def test_a_port_is_meant_by_the_number_or_the_name_of_a_service_s(asked: str, port: Port) -> None:
    assert stand_in.chosen(asked, SERVICES, POD_SPEC) == port


@pytest.mark.parametrize(
    "asked", ["8000", "x:80", "0:80", "65536:80", ":80", "8000:", "8000:81", "8000:53", "8000:dns"]
)
def test_what_is_no_port_is_refused_with_those_that_there_are(asked: str) -> None:
    with pytest.raises(UsageError, match=r"LOCAL:SERVICE|there are: 80 \(http\), 8080, 9000, 9090 \(m\)"):
        stand_in.chosen(asked, SERVICES, POD_SPEC)


def test_every_service_that_leads_to_the_port_leads_to_this_machine_by_its_own_names() -> None:
    made = [*stand_in.slices(SERVICES, [Port(8000, 8080)], POD_SPEC, "172.18.0.1", "node", workload())]
    assert [m["metadata"]["labels"][stand_in.SERVICE_NAME] for m in made] == ["web", "other"]
    assert [m["ports"] for m in made] == [
        [{"name": "http", "port": 8000, "protocol": "TCP"}],
        [{"port": 8000, "protocol": "TCP"}],
    ]
    (endpoint,) = made[0]["endpoints"]
    assert (endpoint["addresses"], endpoint["nodeName"]) == (["172.18.0.1"], "node")
    assert all(m["metadata"]["labels"][ATTACHED] == "api" for m in made)
    assert len([*stand_in.slices(SERVICES, [Port(1, 8080), Port(2, 9090)], POD_SPEC, "a", "n", workload())]) == 3


def test_a_forward_takes_the_process_for_a_pod_that_is_ready() -> None:
    (made,) = stand_in.slices([WEB], [Port(8000, 8080)], POD_SPEC, "172.18.0.1", "node", workload())
    (pod,) = endpoints.pods_of(made, "http")
    assert (pod.name, pod.uid, pod.address, pod.port, pod.ready) == ("api", "u1", "172.18.0.1", 8000, True)
    del made["metadata"]["labels"][ATTACHED]
    assert endpoints.pods_of(made, "http") == []


def test_clients_of_a_service_without_an_address_need_the_same_port() -> None:
    headless = service("web", {"port": 80, "targetPort": 8080}, clusterIP="None")
    assert stand_in.misled([headless], [Port(80, 8080)], POD_SPEC) == []
    (why,) = stand_in.misled([headless], [Port(8000, 8080)], POD_SPEC)
    assert why.endswith("hint: --port 80:80")
    assert stand_in.misled([WEB], [Port(8000, 8080)], POD_SPEC) == []


LABELS = {"app": "api", "tier": "a"}


@pytest.mark.parametrize(
    ("selector", "matched"),
    [
        ({}, True),
        ({"matchLabels": {"app": "api"}}, True),
        ({"matchLabels": {"app": "db"}}, False),
        (("In", "app", ["api", "x"]), True),
        (("In", "app", ["x"]), False),
        (("In", "gone", ["api"]), False),
        (("NotIn", "app", ["x"]), True),
        (("NotIn", "app", ["api"]), False),
        (("NotIn", "gone", ["api"]), True),
        (("Exists", "app", []), True),
        (("Exists", "gone", []), False),
        (("DoesNotExist", "app", []), False),
        (("DoesNotExist", "gone", []), True),
        (("Odd", "app", []), False),
    ],
)
def test_a_selector_chooses_as_kubernetes_says(selector: Any, matched: bool) -> None:
    if isinstance(selector, tuple):
        operator, key, values = selector
        selector = {"matchExpressions": [{"operator": operator, "key": key, "values": values}]}
    assert stand_in.matches(selector, LABELS) is matched


def policy(name: str, egress: list[Document] | None, types: list[str] | None = None, space: str = "shop") -> Object:
    spec: Document = {"podSelector": {"matchLabels": {"app": name}}}
    spec |= {} if egress is None else {"egress": egress}
    spec |= {} if types is None else {"policyTypes": types}
    meta = {"name": name, "namespace": space}
    return Object.parse({"kind": "NetworkPolicy", "metadata": meta, "spec": spec}, "shop")


POD = Object.parse({"kind": "Pod", "metadata": {"name": "api-attached", "labels": {"app": "api"}}}, "shop")
SPACE = {"kubernetes.io/metadata.name": "shop"}
TO_API: Document = {"podSelector": {"matchLabels": {"app": "api"}}}
PEERS: dict[str, tuple[list[Document] | None, set[str]]] = {
    # to whom, and from which namespaces that lets reach the workload
    "its pods": ([TO_API], {"shop"}),
    "others": ([{"podSelector": {"matchLabels": {"app": "db"}}}], set()),
    "all of all": ([{"namespaceSelector": {}}], {"shop", "else"}),
    "its pods in shop": ([{**TO_API, "namespaceSelector": {"matchLabels": SPACE}}], {"shop", "else"}),
    "its pods elsewhere": ([{**TO_API, "namespaceSelector": {"matchLabels": {"x": "y"}}}], set()),
    "addresses": ([{"ipBlock": {"cidr": "0.0.0.0/0"}}], set()),
    "anybody": (None, {"shop", "else"}),
    "nobody's": ([], {"shop", "else"}),
}
PORTS: dict[str, tuple[list[Document] | None, bool]] = {
    "any": (None, True),
    "its number": ([{"port": 8080}], True),
    "its name": ([{"port": "http", "protocol": "TCP"}], True),
    "a range": ([{"port": 8000, "endPort": 8080}], True),
    "a range below": ([{"port": 8000, "endPort": 8079}], False),
    "another": ([{"port": 80}], False),
    "udp": ([{"port": 8080, "protocol": "UDP"}], False),
    "all of tcp": ([{"protocol": "TCP"}], True),
}


@pytest.mark.parametrize(("peers", "ports", "space"), [*product(PEERS, PORTS, ("shop", "else"))])
def test_who_may_reach_the_workload_may_reach_this_machine_and_nobody_else(peers: str, ports: str, space: str) -> None:
    (to, spaces), (asked, led) = PEERS[peers], PORTS[ports]
    rule: Document = {**({} if to is None else {"to": to}), **({} if asked is None else {"ports": asked})}
    found = [*stand_in.policies([policy("p", [rule], space=space)], POD, SPACE, [Port(8000, 8080, "http")], "1.2.3.4")]
    assert bool(found) is (led and space in spaces)
    for made in found:
        assert made["metadata"] == {"name": "p-attached", "namespace": space, "labels": {ATTACHED: "api-attached"}}
        assert made["spec"] == {
            "podSelector": {"matchLabels": {"app": "p"}},
            "policyTypes": ["Egress"],
            "egress": [{"to": [{"ipBlock": {"cidr": "1.2.3.4/32"}}], "ports": [{"port": 8000, "protocol": "TCP"}]}],
        }


@pytest.mark.parametrize(
    ("egress", "types", "isolates"),
    [(None, None, False), (None, ["Ingress"], False), ([{}], ["Ingress"], False), ([{}], None, True),
     ([{}], ["Egress"], True), (None, ["Egress"], False)],
)  # fmt: skip
def test_no_policy_is_made_for_pods_that_none_isolates(egress: Any, types: Any, isolates: bool) -> None:
    """It would isolate them: they could reach this machine, and nothing else any more."""
    found = [*stand_in.policies([policy("p", egress, types)], POD, SPACE, [Port(8000, 8080)], "1.2.3.4")]
    assert bool(found) is isolates


def test_what_is_recorded_is_read_and_a_text_that_is_none_brings_one_pod_back() -> None:
    note = attachment.taking(RECORD)["metadata"]["annotations"][ATTACHED]
    assert attachment.record_of(workload(note=note)) == RECORD
    assert attachment.record_of(workload()) is None
    assert attachment.record_of(None) is None
    for odd in ("", "null", "[]", "{", '{"replicas": "x", "ports": 3}', '{"replicas": -1}'):
        found = attachment.record_of(workload(note=odd))
        assert found
        assert (found.replicas, found.ports) == (1, ())


@pytest.mark.parametrize(("replicas", "back"), [(0, 3), (2, None), (None, None)])
def test_replicas_come_back_unless_somebody_has_set_others(replicas: int | None, back: int | None) -> None:
    note = attachment.taking(RECORD)["metadata"]["annotations"][ATTACHED]
    body = attachment.giving_back(workload(replicas, note))
    assert body["metadata"] == {"annotations": {ATTACHED: None}}
    assert body.get("spec", {}).get("replicas") == back


def left_behind() -> tuple[Observed, Object, Object]:
    """Return what is there of a stack that is up, but for the place of its API, and what was made for that."""
    desired = wanted()
    up, api = done(desired), find(desired.objects, "deployment/api")
    assert api
    note = attachment.taking(RECORD)["metadata"]["annotations"][ATTACHED]
    raw = {**api.raw, "metadata": {**api.meta, "annotations": {**api.meta["annotations"], ATTACHED: note}}}
    living = Object(api.id, raw)
    (made,) = stand_in.slices([WEB], [Port(8000, 8080)], POD_SPEC, "172.18.0.1", "node", workload())
    part = Object.parse(made, "shop")
    return replace(up, living={**up.living, api.id: living}, orphans=(part, OLD)), living, part


def test_a_plan_gives_the_place_back_and_says_who_took_it() -> None:
    observed, living, part = left_behind()
    steps = {s.name: s for s in make_plan(wanted(), observed)}
    assert {name: s.cause for name, s in steps.items()} == {
        "detach deployment/api": "a local process took its place (python, process 123, 2026-01-01T00:00:00Z)",
        "apply deployment/api": "a local process took its place",
        "ready deployment/api": "was just applied",
        "delete endpointslice/web-attached": "a local process took its place",
        "delete configmap/old": steps["delete configmap/old"].cause,
    }
    assert steps["detach deployment/api"].action == Detach(living)
    assert "detach deployment/api" in steps["apply deployment/api"].needs
    assert isinstance(steps["apply deployment/api"].action, ApplyObjects)
    assert steps["delete endpointslice/web-attached"].action == DeleteObject(part)
    assert steps["delete endpointslice/web-attached"].needs == ("cluster",)
    assert "ready deployment/api" in steps["delete configmap/old"].needs


def test_what_a_plan_would_give_back_is_nothing_on_a_cluster_that_is_not_there() -> None:
    assert not any(isinstance(s.action, Detach) for s in make_plan(wanted(), Observed(cluster=Cluster.ABSENT)))
