"""Documents before they are applied."""

import pytest

from devenv import manifest
from devenv.manifest import Document


def deployment(image: str = "postgres:15", **spec: object) -> Document:
    template = {"spec": {"containers": [{"name": "c", "image": image}], **spec}}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": {"template": template}}


@pytest.mark.parametrize(
    ("image", "repository"),
    [
        ("postgres", "docker.io/library/postgres"),
        ("postgres:15", "docker.io/library/postgres"),
        ("docker.io/library/postgres:15", "docker.io/library/postgres"),
        ("openpolicyagent/opa:1", "docker.io/openpolicyagent/opa"),
        ("localhost:5000/x:1", "localhost:5000/x"),
        ("registry.example.com/a/b@sha256:00", "registry.example.com/a/b"),
        ("registry.example.com:443/a/b:1@sha256:00", "registry.example.com:443/a/b"),
    ],
)
def test_an_image_is_known_by_its_repository(image: str, repository: str) -> None:
    assert manifest.repository(image) == repository


def test_images_are_replaced_by_repository_in_every_container() -> None:
    obj = deployment(initContainers=[{"name": "i", "image": "docker.io/library/postgres:14"}])
    new = manifest.with_images(obj, {"docker.io/library/postgres": "devenv.local/postgres:1"})
    assert manifest.images(new) == {"devenv.local/postgres:1"}
    assert manifest.images(obj) == {"postgres:15", "docker.io/library/postgres:14"}


def test_all_ways_to_read_config_are_found() -> None:
    spec = {
        "containers": [
            {
                "name": "c",
                "image": "x",
                "env": [
                    {"name": "A", "valueFrom": {"secretKeyRef": {"name": "s1", "key": "a"}}},
                    {"name": "B", "valueFrom": {"configMapKeyRef": {"name": "c1", "key": "b"}}},
                ],
                "envFrom": [{"configMapRef": {"name": "c2"}}, {"secretRef": {"name": "s2"}}],
            }
        ],
        "volumes": [
            {"name": "v1", "configMap": {"name": "c3"}},
            {"name": "v2", "secret": {"secretName": "s3"}},
            {"name": "v3", "projected": {"sources": [{"configMap": {"name": "c4"}}, {"secret": {"name": "s4"}}]}},
            {"name": "v4", "emptyDir": {}},
        ],
    }
    assert manifest.config_names(spec) == {
        f"{kind}/{kind[0]}{n}" for kind in ("configmap", "secret") for n in range(1, 5)
    }


def test_new_config_means_new_pods_and_other_config_does_not() -> None:
    obj = deployment(volumes=[{"name": "v", "configMap": {"name": "mine"}}])
    hashed = [
        manifest.with_config_hash(obj, {"configmap/mine": mine, "configmap/other": other})
        for mine, other in (("1", "1"), ("1", "2"), ("2", "1"))
    ]
    assert hashed[0] == hashed[1] != hashed[2]
    assert manifest.with_config_hash(deployment(), {"configmap/mine": "1"}) == deployment()


def test_what_we_apply_carries_its_source() -> None:
    claimed = manifest.claimed(deployment())
    assert claimed["metadata"]["labels"] == {manifest.MANAGED_BY: "devenv"}
    assert manifest.source(claimed)
    assert manifest.source(claimed) == manifest.source(manifest.claimed(deployment()))
    assert manifest.source(claimed) != manifest.source(manifest.claimed(deployment("postgres:16")))


def test_a_name_tells_the_namespace_where_it_is_not_the_project_s() -> None:
    there: Document = {"kind": "Service", "metadata": {"name": "db", "namespace": "other"}}
    assert manifest.key(there) == "service/db@other"
    assert manifest.key(manifest.at_home(there, "home")) == "service/db@other"
    assert manifest.key(manifest.at_home(there, "other")) == "service/db"
    assert "namespace" in there["metadata"]


def test_new_config_of_another_namespace_means_new_pods_there_only() -> None:
    here = deployment(volumes=[{"name": "v", "configMap": {"name": "c"}}])
    there = {**here, "metadata": {"name": "api", "namespace": "other"}}
    before, after = {"configmap/c": "1", "configmap/c@other": "1"}, {"configmap/c": "1", "configmap/c@other": "2"}
    assert manifest.with_config_hash(here, before) == manifest.with_config_hash(here, after)
    assert manifest.with_config_hash(there, before) != manifest.with_config_hash(there, after)


def test_a_node_port_leads_where_the_service_leads() -> None:
    service: Document = {
        "kind": "Service",
        "metadata": {"name": "db"},
        "spec": {"selector": {"app": "db"}, "ports": [{"name": "pg", "port": 5432, "targetPort": "postgres"}]},
    }
    port = manifest.service_port(service, 5432)
    assert port
    assert manifest.node_port("way", service, port)["spec"] == {
        "type": "NodePort",
        "selector": {"app": "db"},
        "ports": [{"port": 5432, "targetPort": "postgres"}],
    }
    assert manifest.service_port(service, 1) is None


def test_what_others_need_comes_first() -> None:
    kinds = ["Job", "Service", "Deployment", "ConfigMap", "Secret", "Namespace"]
    ordered = [o["kind"] for o in manifest.in_order({"kind": k, "metadata": {"name": "x"}} for k in kinds)]
    assert ordered == ["Namespace", "Secret", "ConfigMap", "Service", "Deployment", "Job"]
