"""The kinds of an API server, from the documents of its discovery: one document with all, or one for each group."""

from itertools import permutations
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from devenv.kube.kinds import Kind, Kinds, Version, is_aggregated, resources, versions

VERBS = ("create", "delete", "get", "list", "patch")


def aggregated(*groups: tuple[str, dict[str, list[dict[str, Any]]]], stale: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return a document with all kinds: of each group its versions, and their resources."""
    items = [
        {
            "metadata": {"name": name} if name else {},
            "versions": [
                {"version": v, "resources": found, "freshness": "Stale" if v in stale else "Current"}
                for v, found in told.items()
            ],
        }
        for name, told in groups
    ]
    return {"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "items": items}


def resource(plural: str, kind: str, scope: str = "Namespaced", verbs: tuple[str, ...] = VERBS) -> dict[str, Any]:
    return {"resource": plural, "responseKind": {"kind": kind}, "scope": scope, "verbs": [*verbs]}


def group(name: str, of: list[str], preferred: str) -> dict[str, Any]:
    """Return a group of a plain document."""
    return {"name": name, "versions": [{"version": v} for v in of], "preferredVersion": {"version": preferred}}


def told(*documents: dict[str, Any]) -> Kinds:
    return Kinds(tuple(v for document in documents for v in versions(document)))


PODS = resource("pods", "Pod")
CORE = aggregated(("", {"v1": [PODS, resource("nodes", "Node", "Cluster")]}))


def test_a_kind_is_found_by_its_version_and_its_name() -> None:
    both = told(CORE, aggregated(("metrics.k8s.io", {"v1beta1": [resource("pods", "PodMetrics", verbs=("get",))]})))
    assert both.find("v1", "Pod") == Kind("v1", "Pod", True, "pods", VERBS)
    assert both.find("v1", "Node") == Kind("v1", "Node", False, "nodes", VERBS)
    assert both.find("metrics.k8s.io/v1beta1", "PodMetrics") is not None
    for api_version, name in (("v2", "Pod"), ("v1", "pods"), ("metrics.k8s.io/v1beta1", "Pod"), ("", "Pod")):
        assert both.find(api_version, name) is None


def test_a_stale_group_is_left_out_and_hides_no_other() -> None:
    rest = {"v1beta1": [resource("things", "Thing")], "v1": [resource("things", "Thing")]}
    seen = told(CORE, aggregated(("x.example", rest), ("apps", {"v1": [PODS]}), stale=("v1beta1",)))
    assert seen.find("x.example/v1beta1", "Thing") is None
    assert {k.api_version for k in seen} == {"v1", "x.example/v1", "apps/v1"}
    assert [v.api_version for v in seen.versions if v.kinds is None] == ["x.example/v1beta1"]


def test_what_only_has_parts_is_no_kind() -> None:
    bare: dict[str, Any] = {"resource": "selfs", "scope": "Cluster", "verbs": [], "subresources": []}
    for nothing in (bare, {**bare, "responseKind": None}, {**bare, "responseKind": {"kind": ""}}):
        assert [*told(aggregated(("x.example", {"v1": [nothing]})))] == []


def test_objects_are_listed_once_in_the_version_that_the_server_prefers_of_those_with_the_kind() -> None:
    v2, v1 = [resource("things", "Thing")], [resource("things", "Thing"), resource("relics", "Relic")]
    seen = told(aggregated(("x.example", {"v2": v2, "v1": v1})))
    assert [(k.api_version, k.name) for k in seen.listable] == [("x.example/v1", "Relic"), ("x.example/v2", "Thing")]


def test_what_cannot_be_listed_and_deleted_is_not_among_what_can() -> None:
    for lacking in ("list", "delete"):
        verbs = tuple(v for v in VERBS if v != lacking)
        seen = told(aggregated(("", {"v1": [resource("things", "Thing", verbs=verbs)]})))
        assert seen.listable == ()
        assert seen.find("v1", "Thing")


def test_of_two_resources_of_one_kind_the_one_that_can_be_read_has_the_objects() -> None:
    two = (resource("reviews", "Thing", verbs=("create",)), resource("things", "Thing"), resource("others", "Thing"))
    for order in permutations(two):
        found = told(aggregated(("x.example", {"v1": [*order]}))).find("x.example/v1", "Thing")
        assert found
        assert found.plural == next(r["resource"] for r in order if "get" in r["verbs"])


def test_plain_documents_name_the_versions_the_preferred_one_first() -> None:
    groups = [group("autoscaling", ["v1", "v2"], "v2"), {"name": "apps", "versions": [{"version": "v1"}]}]
    found = [*versions({"kind": "APIVersions", "versions": ["v1"]}), *versions({"groups": groups})]
    assert [v.api_version for v in found] == ["v1", "autoscaling/v2", "autoscaling/v1", "apps/v1"]
    assert [v.path for v in found] == ["/api/v1", "/apis/autoscaling/v2", "/apis/autoscaling/v1", "/apis/apps/v1"]
    assert all(v.kinds is None for v in found)


def plain(of: Version, found: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the plain document that tells of the same resources, as the API server writes it."""
    rows: list[dict[str, Any]] = []
    for r in found:
        row = {"name": r["resource"], "kind": r["responseKind"]["kind"], "namespaced": r["scope"] == "Namespaced"}
        rows += [{**row, "verbs": r["verbs"]}, {**row, "name": f"{r['resource']}/status", "verbs": ["get", "patch"]}]
    return {"kind": "APIResourceList", "groupVersion": of.api_version, "resources": rows}


NAMES = st.text("abcxyz", min_size=1, max_size=4)
RESOURCES = st.lists(
    st.builds(resource, NAMES, NAMES.map(str.title), st.sampled_from(["Namespaced", "Cluster"]),
              st.sets(st.sampled_from(VERBS)).map(tuple)),
    max_size=4, unique_by=lambda r: r["resource"],
)  # fmt: skip
GROUPS = st.lists(
    st.tuples(NAMES, st.dictionaries(st.sampled_from(["v1", "v2", "v1beta1"]), RESOURCES, min_size=1)),
    max_size=3, unique_by=lambda g: g[0],
)  # fmt: skip


@settings(deadline=None)
@given(GROUPS)
def test_both_forms_tell_of_the_same_kinds(groups: list[tuple[str, dict[str, list[dict[str, Any]]]]]) -> None:
    one = aggregated(*groups)
    of_groups = {
        "groups": [
            {
                "name": name,
                "versions": [{"version": v} for v in found],
                "preferredVersion": {"version": next(iter(found))},
            }
            for name, found in groups
        ]
    }
    by_name = dict(groups)
    many = [resources(plain(v, by_name[v.group][v.name]), v) for v in versions(of_groups)]
    assert is_aggregated(one)
    assert not is_aggregated(of_groups)
    assert Kinds(tuple(many)) == told(one)


@settings(deadline=None)
@given(GROUPS)
def test_every_listable_object_is_in_one_list(groups: list[tuple[str, dict[str, list[dict[str, Any]]]]]) -> None:
    seen = told(aggregated(*groups))
    lists = [(k.group, k.plural) for k in seen.listable]
    assert len(lists) == len({*lists})
    findable = (seen.find(k.api_version, k.name) for k in seen)
    assert {*lists} == {(k.group, k.plural) for k in findable if k and k.listable}


def test_the_path_of_an_object_names_its_place_and_nothing_else() -> None:
    pod, node = Kind("v1", "Pod", True, "pods"), Kind("v1", "Node", False, "nodes")
    job = Kind("batch/v1", "Job", True, "jobs")
    assert pod.path() == "/api/v1/pods"
    assert pod.path("shop") == "/api/v1/namespaces/shop/pods"
    assert pod.path("shop", "api-0") == "/api/v1/namespaces/shop/pods/api-0"
    assert node.path("shop", "n1") == "/api/v1/nodes/n1"
    assert job.path("shop", "../x?y", force="true") == "/apis/batch/v1/namespaces/shop/jobs/..%2Fx%3Fy?force=true"
    assert pod.path(labelSelector="a=b,c=d") == "/api/v1/pods?labelSelector=a%3Db%2Cc%3Dd"
