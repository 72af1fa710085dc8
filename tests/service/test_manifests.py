"""The manifests deploy what the contract says (contract 9)."""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
OBJECTS: list[dict[str, Any]] = [o for o in yaml.safe_load_all((ROOT / "k8s/full-stack.yaml").read_text()) if o]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["devenv"]


def found(kind: str, name: str) -> dict[str, Any]:
    (one,) = [o for o in OBJECTS if (o["kind"], o["metadata"]["name"]) == (kind, name)]
    return one


def pod_specs() -> Iterator[dict[str, Any]]:
    yield from (o["spec"]["template"]["spec"] for o in OBJECTS if "template" in o.get("spec", {}))


@pytest.mark.parametrize(
    ("name", "port", "target", "kind", "app"),
    [
        ("somabrain", 9696, 9696, "ClusterIP", "somabrain"),
        ("somabrain-test", 9696, 9696, "ClusterIP", "somabrain"),
        ("somabrain-public", 9999, 9696, "LoadBalancer", "somabrain"),
        ("somamemory", 9595, 9696, "ClusterIP", "somabrain"),
        ("postgres", 5432, 5432, "ClusterIP", "postgres"),
        ("sb-redis", 6379, 6379, "ClusterIP", "sb-redis"),
        ("sb-opa", 8181, 8181, "ClusterIP", "sb-opa"),
    ],
)
def test_a_service_leads_to_its_pods(name: str, port: int, target: int, kind: str, app: str) -> None:
    spec = found("Service", name)["spec"]
    (way,) = spec["ports"]
    assert (way["port"], spec.get("type", "ClusterIP"), spec["selector"]) == (port, kind, {"app": app})
    (workload,) = [
        o["spec"]["template"]
        for o in OBJECTS
        if o["kind"] in ("Deployment", "StatefulSet") and o["metadata"]["name"] == app
    ]
    assert workload["metadata"]["labels"]["app"] == app
    (container,) = workload["spec"]["containers"]
    ports = {p["name"]: p["containerPort"] for p in container.get("ports", ())}
    assert ports.get(way["targetPort"], way["targetPort"]) == target


def test_every_object_has_its_label_and_none_names_a_namespace() -> None:
    assert all(o["metadata"]["labels"]["app"] for o in OBJECTS)
    assert all("namespace" not in o["metadata"] for o in OBJECTS)
    assert PROJECT["namespace"] == "somabrain-prod"


def test_no_pod_gets_service_links_or_runs_as_root() -> None:
    specs = list(pod_specs())
    assert len(specs) == 5
    assert all(spec["enableServiceLinks"] is False for spec in specs)
    assert all(spec["securityContext"]["runAsNonRoot"] is True for spec in specs)


def test_the_api_s_pod_is_as_promised() -> None:
    spec = found("Deployment", "somabrain")["spec"]["template"]["spec"]
    (api,) = spec["containers"]
    assert [c["name"] for c in spec["initContainers"]] == ["wait-for-postgres", "copy-code", "apply-overrides"]
    assert api["readinessProbe"]["httpGet"]["path"] == "/health"
    assert api["livenessProbe"]["httpGet"]["path"] == "/healthz"
    assert "startupProbe" in api
    assert api["resources"] == {
        "requests": {"cpu": "200m", "memory": "256Mi"},
        "limits": {"cpu": "1200m", "memory": "2Gi"},
    }


def test_the_migration_has_three_more_tries_and_a_fixed_name() -> None:
    assert found("Job", "somabrain-migrate")["spec"]["backoffLimit"] == 3


def test_passwords_are_generated_and_in_no_file_of_the_repository() -> None:
    example = (ROOT / ".env.example").read_text().splitlines()
    assert {"POSTGRES_PASSWORD=<generated>", "SOMABRAIN_API_TOKEN=<generated>"} <= set(example)
    assert {"POSTGRES_USER=somabrain", "POSTGRES_DB=somabrain"} <= set(example)
    assert ".env" in (ROOT / ".gitignore").read_text().splitlines()
    assert not [o for o in OBJECTS if o["kind"] == "Secret"]


def test_the_forwards_and_the_exported_settings_are_as_promised() -> None:
    ports = {forward["service"]: forward["ports"] for forward in PROJECT["forwards"].values()}
    assert ports["somabrain-test"] == "9696:9696"
    assert ports["sb-redis"] == "6379:6379"
    assert ports["postgres"] == "55432:5432"
    exported = PROJECT["env"]
    assert exported["SOMABRAIN_DEFAULT_TENANT"] == "run-${run}"
    assert exported["SOMABRAIN_POSTGRES_DSN"].startswith("postgresql://")
    assert "127.0.0.1" in exported["SOMABRAIN_POSTGRES_DSN"]
    assert set(exported) >= {
        "SOMA_API_URL",
        "SOMABRAIN_REDIS_URL",
        "SOMABRAIN_POSTGRES_LOCAL_PORT",
        "SOMABRAIN_MEMORY_HTTP_ENDPOINT",
    }


def test_the_ingress_and_the_way_to_it_are_as_promised() -> None:
    ingresses = [o for o in yaml.safe_load_all((ROOT / "k8s/ingress.yaml").read_text()) if o["kind"] == "Ingress"]
    (ingress,) = ingresses
    spec, host, secret = ingress["spec"], "somabrain.internal", "somabrain-tls"
    backend = {"service": {"name": "somabrain", "port": {"number": 9696}}}
    assert spec["ingressClassName"] == "nginx"
    assert spec["tls"] == [{"hosts": [host], "secretName": secret}]
    assert spec["rules"] == [
        {"host": host, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}
    ]
    assert ingress["metadata"]["annotations"]["nginx.ingress.kubernetes.io/proxy-body-size"] == "32m"
    assert (PROJECT["tls"]["host"], PROJECT["tls"]["secret"]) == (host, secret)
    assert "9999:443" in [f["ports"] for f in PROJECT["forwards"].values() if "ingress" in f["service"]]


def test_the_stack_ships_its_policy() -> None:
    policy = found("ConfigMap", "sb-opa-policy")["data"]["auth.rego"]
    assert policy.startswith("package somabrain.auth\n")
    (api,) = found("Deployment", "somabrain")["spec"]["template"]["spec"]["containers"]
    env = {e["name"]: e.get("value") for e in api["env"]}
    assert (env["SOMABRAIN_OPA_URL"], env["SOMA_OPA_FAIL_CLOSED"]) == ("http://sb-opa:8181", "1")
