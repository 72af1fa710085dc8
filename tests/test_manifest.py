"""Documents before they are applied."""

from typing import Any

import pytest

from devenv.images import reference
from devenv.kube import objects, pods
from devenv.kube.objects import CONFIG, Id, Object
from devenv.system.digest import of_value


def deployment(image: str = "postgres:15", **spec: object) -> Object:
    template = {"spec": {"containers": [{"name": "c", "image": image}], **spec}}
    raw = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": {"template": template}}
    return Object.parse(raw, "home")


@pytest.mark.parametrize(
    ("image", "repository"),
    [
        ("postgres", "docker.io/library/postgres"),
        ("postgres:15", "docker.io/library/postgres"),
        ("docker.io/library/postgres:15", "docker.io/library/postgres"),
        ("docker.io/postgres:15", "docker.io/library/postgres"),
        ("index.docker.io/postgres@sha256:00", "docker.io/library/postgres"),
        ("index.docker.io/openpolicyagent/opa", "docker.io/openpolicyagent/opa"),
        ("openpolicyagent/opa:1", "docker.io/openpolicyagent/opa"),
        ("localhost:5000/x:1", "localhost:5000/x"),
        ("registry.example.com/a/b@sha256:00", "registry.example.com/a/b"),
        ("registry.example.com:443/a/b:1@sha256:00", "registry.example.com:443/a/b"),
    ],
)
def test_an_image_is_known_by_its_repository(image: str, repository: str) -> None:
    assert reference.repository(image) == repository


def test_images_are_replaced_by_repository_in_every_container() -> None:
    obj = deployment(initContainers=[{"name": "i", "image": "docker.io/library/postgres:14"}])
    new = obj.with_images({"docker.io/library/postgres": "devenv.local/postgres:1"})
    assert new.images == {"devenv.local/postgres:1"}
    assert obj.images == {"postgres:15", "docker.io/library/postgres:14"}


def of_kind(kind: str, spec: object) -> Object:
    return Object.parse({"apiVersion": "v1", "kind": kind, "metadata": {"name": "x"}, "spec": spec}, "home")


POD = {
    "containers": [
        {"name": "c", "image": "a:1", "envFrom": [{"secretRef": {"name": "s"}}]},
        {"name": "d", "image": "b"},
    ]
}


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        ("Pod", POD),
        ("ReplicaSet", {"template": {"spec": POD}}),
        ("CronJob", {"jobTemplate": {"spec": {"template": {"spec": POD}}}}),
        ("Rollout", {"template": {"spec": POD}, "strategy": {"steps": [{"pause": {}}]}}),
        ("Two", {"worker": {"podTemplate": {"spec": POD}}, "head": [{"spec": POD}]}),
    ],
)
def test_pods_are_found_in_every_kind(kind: str, spec: object) -> None:
    found = of_kind(kind, spec)
    assert found.images == {"a:1", "b"}
    assert found.with_images({"docker.io/library/a": "r/a@sha256:1"}).images == {"r/a@sha256:1", "b"}
    assert {id_.name for id_ in found.references} == {"s"}


@pytest.mark.parametrize(
    "spec",
    [
        None, [], {"containers": None}, {"containers": "text"}, {"containers": ["text"]}, {"template": None},
        {"containers": {"type": "array"}}, {"containers": [{"image": "a"}]},
    ],
)  # fmt: skip
def test_what_only_resembles_a_pod_is_none(spec: object) -> None:
    assert of_kind("Any", spec).images == set()
    assert of_kind("Any", spec).with_images({"docker.io/library/a": "b"}) == of_kind("Any", spec)


def secret(**values: str) -> Object:
    return objects.secret("s", values, "home")


def test_a_secret_is_applied_as_data_so_that_a_key_that_is_dropped_goes() -> None:
    raw = {**secret(a="new", b="2").raw, "data": {"a": "b2xk", "c": "Mw=="}}
    (applied,) = objects.prepared([Object.parse(raw, "home")])
    assert applied.raw["data"] == {"a": "bmV3", "b": "Mg==", "c": "Mw=="}
    assert "stringData" not in applied.raw


def test_the_hash_on_a_pod_template_follows_a_secret_and_is_no_plain_hash_of_it() -> None:
    def hashed(value: str) -> str:
        reads = deployment(volumes=[{"name": "v", "secret": {"secretName": "s"}}])
        made = next(o for o in objects.prepared([reads, secret(key=value)]) if o.kind == "Deployment")
        return str(made.raw["spec"]["template"]["metadata"]["annotations"][objects.CONFIG])

    assert hashed("a") == hashed("a") != hashed("b")
    guess = objects.with_data(secret(key="a"))
    assert hashed("a") != of_value([of_value(guess.raw)])


def test_all_ways_to_read_config_are_found_and_nothing_else() -> None:
    reads = [
        {"name": "A", "valueFrom": {"secretKeyRef": {"name": "s1", "key": "a"}}},
        {"name": "B", "valueFrom": {"configMapKeyRef": {"name": "c1", "key": "b"}}},
        {"name": "C", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
    ]
    spec: dict[str, Any] = {
        "containers": [
            {
                "name": "c",
                "image": "x",
                "env": reads,
                "envFrom": [{"configMapRef": {"name": "c2"}}, {"secretRef": {"name": "s2"}}],
            }
        ],
        "initContainers": [{"name": "i", "image": "x", "envFrom": [{"secretRef": {"name": "s5"}}]}],
        "volumes": [
            {"name": "v1", "configMap": {"name": "c3"}},
            {"name": "v2", "secret": {"secretName": "s3"}},
            {"name": "v3", "projected": {"sources": [{"configMap": {"name": "c4"}}, {"secret": {"name": "s4"}}]}},
            {"name": "v4", "emptyDir": {}},
            # A driver's own attributes are not the API's references.
            {"name": "v5", "csi": {"driver": "d", "volumeAttributes": {"secret": {"name": "not-read"}}}},
        ],
    }
    config_maps, secrets = {f"configmap/c{n}" for n in range(1, 5)}, {f"secret/s{n}" for n in range(1, 6)}
    assert {str(id_) for id_ in deployment(**spec).references} == config_maps | secrets


def config(name: str, namespace: str = "home") -> Id:
    return Id("", "ConfigMap", namespace, name, "home")


def test_new_config_means_new_pods_and_other_config_does_not() -> None:
    obj = deployment(volumes=[{"name": "v", "configMap": {"name": "mine"}}])
    hashed = [
        obj.with_config_hash({config("mine"): mine, config("other"): other})
        for mine, other in (("1", "1"), ("1", "2"), ("2", "1"))
    ]
    assert hashed[0] == hashed[1] != hashed[2]
    assert deployment().with_config_hash({config("mine"): "1"}) == deployment()


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        ("Deployment", {"template": {"spec": {"containers": [{"name": "c"}]}}}),
        ("CronJob", {"jobTemplate": {"spec": {"template": {"spec": {"containers": [{"name": "c"}]}}}}}),
        ("Pod", {"containers": [{"name": "c"}]}),
    ],
)
def test_the_pods_of_every_workload_follow_their_config(kind: str, spec: dict[str, Any]) -> None:
    (pod,) = pods.specs(spec)
    pod["volumes"] = [{"name": "v", "configMap": {"name": "settings"}}]
    obj = Object.parse({"apiVersion": "v1", "kind": kind, "metadata": {"name": "x"}, "spec": spec}, "shop")
    settings = Id("", "ConfigMap", "shop", "settings")
    (before,), (after,) = (
        [t["metadata"]["annotations"][CONFIG] for t in pods.templates(obj.with_config_hash({settings: h}).raw)]
        for h in ("1", "2")
    )
    assert before != after


@pytest.mark.parametrize(
    ("metadata", "follows"),
    [
        ({"labels": {"a": "b"}}, True), ({"annotations": {"a": "b"}}, True), ({"name": "x"}, False), (None, False),
        ("odd", False), ({"labels": {"a": "b"}, "annotations": ["odd"]}, False),
    ],
)  # fmt: skip
def test_pods_of_a_custom_resource_follow_their_config_where_its_kind_lets_them(metadata: Any, follows: bool) -> None:
    """What a kind does not have is refused by the API server, and many have no annotations on what they make."""
    template = {"spec": {**POD, "volumes": [{"name": "v", "configMap": {"name": "c"}}]}}
    template |= {"metadata": metadata} if metadata else {}
    rollout = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "metadata": {"name": "r"}}
    read = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}}
    made = [Object.parse(raw, "home") for raw in (read, {**rollout, "spec": {"template": template}})]
    (found,) = (o for o in objects.prepared(made) if o.kind == "Rollout")
    got = found.raw["spec"]["template"].get("metadata")
    assert (CONFIG in got["annotations"]) if follows else (got == metadata)


@pytest.mark.parametrize("key", ["env", "envFrom", "volumes", "initContainers"])
@pytest.mark.parametrize(
    "odd",
    ["x", {"a": 1}, ["x"], [{"valueFrom": "x", "secretRef": "x", "secret": {"secretName": ["x"]}, "projected": 1}]],
)
def test_a_custom_resource_of_another_shape_reads_nothing(key: str, odd: object) -> None:
    container = {"name": "c", "image": "a", **({key: odd} if key.startswith("env") else {})}
    spec = {"template": {"spec": {"containers": [container], **({} if key.startswith("env") else {key: odd})}}}
    raw = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "metadata": {"name": "r"}, "spec": spec}
    (found,) = objects.prepared([Object.parse(raw, "home").with_images({})])
    assert found.raw["spec"] == spec
    assert found.images == {"a"}


def test_what_we_apply_carries_its_source() -> None:
    claimed = deployment().claimed()
    assert claimed.meta["labels"] == {objects.MANAGED_BY: "devenv"}
    assert claimed.source
    assert claimed.source == deployment().claimed().source
    assert claimed.source != deployment("postgres:16").claimed().source
    assert deployment().source is None


def parsed(**meta: str) -> Object:
    return Object.parse({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "db", **meta}}, "home")


def test_a_name_tells_the_namespace_where_it_is_not_the_project_s() -> None:
    assert str(parsed(namespace="other").id) == "service/db@other"
    assert str(parsed(namespace="home").id) == "service/db"
    assert str(parsed().id) == "service/db"


def test_an_object_is_known_by_group_kind_namespace_and_name() -> None:
    assert parsed().id == parsed(namespace="home").id != parsed(namespace="other").id
    raw = {"kind": "Service", "metadata": {"name": "db"}}
    core, knative = (Object.parse({**raw, "apiVersion": v}, "home") for v in ("v1", "serving.knative.dev/v1"))
    assert core.id != knative.id
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "r"}}
    placed = {**role, "metadata": {"name": "r", "namespace": "other"}}
    assert Object.parse(role, "home").id == Object.parse(placed, "home").id


def test_new_config_of_another_namespace_means_new_pods_there_only() -> None:
    here = deployment(volumes=[{"name": "v", "configMap": {"name": "c"}}])
    there = Object.parse({**here.raw, "metadata": {"name": "api", "namespace": "other"}}, "home")
    before = {config("c"): "1", config("c", "other"): "1"}
    after = {config("c"): "1", config("c", "other"): "2"}
    assert here.with_config_hash(before) == here.with_config_hash(after)
    assert there.with_config_hash(before) != there.with_config_hash(after)


def test_a_node_port_leads_where_the_service_leads() -> None:
    spec = {"selector": {"app": "db"}, "ports": [{"name": "pg", "port": 5432, "targetPort": "postgres"}]}
    service = Object.parse({**parsed().raw, "spec": spec}, "home")
    port = objects.service_port(service, 5432)
    assert port
    made = objects.node_port("route", service, port)
    assert made.raw["spec"] == {
        "type": "NodePort",
        "selector": {"app": "db"},
        "ports": [{"port": 5432, "targetPort": "postgres"}],
    }
    assert str(made.id) == "service/route"
    assert objects.service_port(service, 1) is None


def test_what_others_need_comes_first() -> None:
    kinds = ["Job", "Service", "Deployment", "ConfigMap", "Secret", "Namespace"]
    mixed = [Object.parse({"kind": k, "metadata": {"name": "x"}}, "home") for k in kinds]
    assert [o.kind for o in objects.in_order(mixed)] == [
        "Namespace", "Secret", "ConfigMap", "Service", "Deployment", "Job",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("given", "ref", "policy"),
    [
        ("Always", "devenv.local/a:1", "IfNotPresent"),
        ("Never", "devenv.local/a:1", "Never"),
        ("Always", "registry.example/a:1", "Always"),
    ],
)
def test_an_image_that_no_registry_has_is_not_pulled_at_each_start(given: str, ref: str, policy: str) -> None:
    spec = {"containers": [{"name": "c", "image": "a", "imagePullPolicy": given}]}
    raw = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": spec}
    (container,) = Object.parse(raw, "home").with_images({"docker.io/library/a": ref}).raw["spec"]["containers"]
    assert container == {"name": "c", "image": ref, "imagePullPolicy": policy}
