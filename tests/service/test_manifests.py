"""The manifests deploy what the contract says (contract 9)."""

import ipaddress
import os
import subprocess
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
    assert api["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert api["livenessProbe"]["httpGet"]["path"] == "/healthz"
    assert "startupProbe" in api
    assert api["resources"] == {
        "requests": {"cpu": "200m", "memory": "256Mi"},
        "limits": {"cpu": "1200m", "memory": "2Gi"},
    }


def test_the_migration_has_three_more_tries_and_a_fixed_name() -> None:
    assert found("Job", "somabrain-migrate")["spec"]["backoffLimit"] == 3


def test_redis_keeps_to_four_fifths_of_its_memory_and_drops_what_expires_first(tmp_path: Path) -> None:
    """The image's own entry point is called with the options; the shell works them out from the container's limit."""
    (redis,) = found("Deployment", "sb-redis")["spec"]["template"]["spec"]["containers"]
    (limit,) = redis["env"]
    assert limit["valueFrom"] == {"resourceFieldRef": {"containerName": "redis", "resource": "limits.memory"}}
    assert redis["resources"]["limits"]["memory"] == "256Mi"
    entry = tmp_path / "docker-entrypoint.sh"
    entry.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    entry.chmod(0o755)
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}", limit["name"]: str(256 << 20)}
    said = subprocess.run(redis["args"], env=env, text=True, capture_output=True, check=True).stdout.split("\n")
    assert said[0] == "redis-server"
    options = dict(zip(said[1:-1:2], said[2:-1:2], strict=True))
    assert options["--save"] == ""
    assert options["--appendonly"] == "no"
    assert options["--maxmemory-policy"] == "volatile-ttl"
    assert 0.79 < int(options["--maxmemory"]) / (256 << 20) <= 0.8


def test_a_long_recovery_of_postgres_is_not_cut_short() -> None:
    (postgres,) = found("StatefulSet", "postgres")["spec"]["template"]["spec"]["containers"]
    startup = postgres["startupProbe"]  # until it succeeds once, no other probe is made
    assert startup["periodSeconds"] * startup["failureThreshold"] >= 3600


def test_no_workload_is_long_unready_after_a_start_of_its_node() -> None:
    # A kubelet that has just started waits for a random part of the period before its first look.
    for kind, name in (("StatefulSet", "postgres"), *(("Deployment", n) for n in ("sb-redis", "sb-opa", "somabrain"))):
        for container in found(kind, name)["spec"]["template"]["spec"]["containers"]:
            assert container["readinessProbe"]["periodSeconds"] <= 3, name


def test_passwords_are_generated_and_in_no_file_of_the_repository() -> None:
    example = (ROOT / ".env.example").read_text().splitlines()
    made = ("POSTGRES_PASSWORD", "SOMABRAIN_APP_PASSWORD", "SOMABRAIN_API_TOKEN", "SOMABRAIN_ADMIN_TOKEN")
    assert {f"{key}=<generated>" for key in made} <= set(example)
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


def test_the_ingress_reaches_pods_and_addresses_but_no_cloud_s_credentials() -> None:
    objects = list(yaml.safe_load_all((ROOT / "k8s/ingress.yaml").read_text()))
    (policy,) = (o["spec"] for o in objects if o["kind"] == "NetworkPolicy")

    def allowed(address: str, port: int) -> bool:
        where = ipaddress.ip_address(address)
        blocks = (
            (rule, peer["ipBlock"]) for rule in policy["egress"] for peer in rule.get("to", ()) if "ipBlock" in peer
        )
        reached = [
            rule
            for rule, block in blocks
            if where in ipaddress.ip_network(block["cidr"])
            and not any(where in ipaddress.ip_network(inner) for inner in block["except"])
        ]
        reached += [rule for rule in policy["egress"] if "to" not in rule]
        return any("ports" not in rule or port in [p["port"] for p in rule["ports"]] for rule in reached)

    assert {"namespaceSelector": {}} in policy["egress"][0]["to"]  # an ipBlock means no pod to some engines
    assert all(allowed(address, port) for address in ("10.244.0.7", "203.0.113.1", "fd00::7") for port in (80, 6443))
    assert not any(allowed(address, port) for address in ("169.254.169.254", "fe80::1") for port in (80, 443, 9696))
    assert allowed("169.254.20.10", 53)


def test_the_ingress_cannot_fill_the_node_and_follows_one_name_out_of_its_namespace() -> None:
    objects = list(yaml.safe_load_all((ROOT / "k8s/ingress.yaml").read_text()))
    (pod,) = (o["spec"]["template"]["spec"] for o in objects if o["kind"] == "Deployment")
    assert all("sizeLimit" in v["emptyDir"] for v in pod["volumes"] if "projected" not in v)
    (alias,) = (o["metadata"] for o in objects if o.get("spec", {}).get("type") == "ExternalName")
    allowed = [a for c in pod["containers"] for a in c["args"] if a.startswith("--allow-external-name=")]
    assert allowed == [f"--allow-external-name={alias['namespace']}/{alias['name']}"]


def test_the_stack_ships_its_policy() -> None:
    policy = found("ConfigMap", "sb-opa-policy")["data"]["auth.rego"]
    assert policy.startswith("package somabrain.auth\n")
    (api,) = found("Deployment", "somabrain")["spec"]["template"]["spec"]["containers"]
    env = {e["name"]: e.get("value") for e in api["env"]}
    assert (env["SOMABRAIN_OPA_URL"], env["SOMA_OPA_FAIL_CLOSED"]) == ("http://sb-opa:8181", "1")
