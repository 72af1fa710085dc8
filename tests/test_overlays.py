"""The environments as they are rendered: safe everywhere, exact in staging and production, refused where incomplete."""

import shutil
from pathlib import Path

import pytest

from tests.rendering import (
    CHECKOUT,
    ENVIRONMENTS,
    IMAGES,
    Document,
    containers,
    name_of,
    objects,
    pods,
    reference,
    render,
)

RELEASED = ("staging", "prod")
CONTROLLER = "Deployment/ingress-nginx-controller"  # it asks the API server, and nothing is reached without it


def with_operator(root: Path) -> Path:
    """Return a copy of the manifests in which production takes the other component."""
    for part in ("k8s", "scripts"):
        shutil.copytree(CHECKOUT / part, root / part, ignore=shutil.ignore_patterns("images"))
    chosen = root / "k8s/overlays/prod/kustomization.yaml"
    text = chosen.read_text()
    assert text.count("\n  - ../../components/managed-postgres\n") == 1
    chosen.write_text(text.replace("- ../../components/managed-postgres\n", "- ../../components/operator-postgres\n"))
    return root


@pytest.fixture(params=[*ENVIRONMENTS, "prod with the operator"])
def rendered(request: pytest.FixtureRequest, tmp_path: Path) -> list[Document]:
    if request.param in ENVIRONMENTS:
        return objects(request.param)
    return objects("prod", [*IMAGES["prod"], reference("postgresql")], with_operator(tmp_path))


def test_every_pod_keeps_the_baseline(rendered: list[Document]) -> None:
    """What Pod Security "restricted" asks for, and what it does not: a read-only root, no token, bounds, priority."""
    seen = dict(pods(rendered))
    assert len(seen) >= 4
    for name, template in seen.items():
        spec = template["spec"]
        assert spec["automountServiceAccountToken"] is (name == CONTROLLER), name
        assert spec["enableServiceLinks"] is False, name
        own = ("system-cluster-critical",) if name == CONTROLLER else ("somabrain", "somabrain-data")
        assert spec["priorityClassName"] in own, name
        assert spec["securityContext"]["runAsNonRoot"] is True, name
        assert spec["securityContext"]["runAsUser"] > 0, name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        for container in containers(template):
            here = f"{name} {container['name']}"
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, here
            for bound in ("requests", "limits"):
                assert {"cpu", "memory"} <= container["resources"][bound].keys(), here


def test_every_server_is_probed_and_drains_before_it_ends(rendered: list[Document]) -> None:
    for name, template in pods(rendered):
        if name.startswith("Job/"):
            continue
        for container in template["spec"]["containers"]:
            assert {"readinessProbe", "livenessProbe"} <= container.keys(), name
            drain = container["lifecycle"]["preStop"]["sleep"]["seconds"]
            assert 0 < drain < template["spec"]["terminationGracePeriodSeconds"], name


def test_every_pod_is_denied_what_no_policy_allows(rendered: list[Document]) -> None:
    policies = {o["metadata"]["name"]: o["spec"] for o in rendered if o["kind"] == "NetworkPolicy"}
    assert policies["default-deny"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


@pytest.mark.parametrize("environment", RELEASED)
def test_released_environments_hold_no_secret_and_run_digests_only(environment: str) -> None:
    seen = objects(environment)
    assert [name_of(o) for o in seen if o["kind"] == "Secret"] == []
    images = {c["image"] for _, template in pods(seen) for c in containers(template)}
    assert images == set(IMAGES[environment])
    assert all("@sha256:" in image for image in images)
    for _, template in pods(seen):
        for container in containers(template):
            for variable in container.get("env", ()):
                secret = any(word in variable["name"] for word in ("PASSWORD", "TOKEN", "DSN"))
                assert not secret or "secretKeyRef" in variable["valueFrom"], variable["name"]


@pytest.mark.parametrize("environment", RELEASED)
def test_released_environments_have_a_namespace_of_their_own_that_admits_restricted_pods_only(environment: str) -> None:
    seen = objects(environment)
    (namespace,) = (o for o in seen if o["kind"] == "Namespace")
    assert namespace["metadata"]["name"] == f"somabrain-{environment}"
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    elsewhere = ("Namespace", "PriorityClass")
    assert {o["metadata"].get("namespace") for o in seen if o["kind"] not in elsewhere} == {f"somabrain-{environment}"}


@pytest.mark.parametrize("environment", RELEASED)
def test_authorization_is_on_in_released_environments(environment: str) -> None:
    (api,) = (t for name, t in pods(objects(environment)) if name == "Deployment/somabrain")
    settings = {v["name"]: v.get("value") for v in api["spec"]["containers"][0]["env"]}
    assert settings["SOMABRAIN_DISABLE_AUTH"] == "false"
    assert settings["SOMABRAIN_MODE"] == "prod"


def test_production_has_three_spread_pods_that_a_drain_takes_one_by_one() -> None:
    seen = {name_of(o): o for o in objects("prod")}
    scaler = seen["HorizontalPodAutoscaler/somabrain"]["spec"]
    assert scaler["minReplicas"] == 3
    assert "replicas" not in seen["Deployment/somabrain"]["spec"]
    for name in ("somabrain", "sb-opa"):
        spread = seen[f"Deployment/{name}"]["spec"]["template"]["spec"]["topologySpreadConstraints"]
        over_nodes = [s["whenUnsatisfiable"] for s in spread if s["topologyKey"] == "kubernetes.io/hostname"]
        assert over_nodes == ["DoNotSchedule"]
        budget = seen[f"PodDisruptionBudget/{name}"]["spec"]
        assert budget["maxUnavailable"] == 1
        assert budget["selector"] == seen[f"Deployment/{name}"]["spec"]["selector"]


def test_production_has_no_database_of_its_own() -> None:
    assert not [name_of(o) for o in objects("prod") if o["metadata"]["name"] == "postgres"]


def test_the_operator_s_postgres_is_three_with_backups_and_its_own_credentials(tmp_path: Path) -> None:
    seen = {name_of(o): o for o in objects("prod", [*IMAGES["prod"], reference("postgresql")], with_operator(tmp_path))}
    assert seen["Cluster/postgres"]["spec"]["instances"] == 3
    assert seen["Cluster/postgres"]["spec"]["imageName"] == reference("postgresql")
    assert seen["ScheduledBackup/postgres"]["spec"]["method"] == "plugin"
    assert not {"StatefulSet/postgres", "Service/postgres"} & seen.keys()
    for name in ("Deployment/somabrain", "Job/somabrain-migrate"):
        for container in containers(seen[name]["spec"]["template"]):
            for variable in container.get("env", ()):
                source = variable.get("valueFrom", {}).get("secretKeyRef", {}).get("name")
                expected = {"SOMABRAIN_API_TOKEN": "somabrain-secrets"}.get(variable["name"], "postgres-app")
                assert source in (None, expected), variable


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "usage: render.sh ENVIRONMENT [IMAGE@DIGEST…]; there are: dev prod staging"),
        (("production",), "no environment production; there are: dev prod staging"),
        (("../overlays/prod",), "no environment ../overlays/prod; there are: dev prod staging"),
        (("prod",), "no image given for: opa redis somabrain"),
        (("staging", *IMAGES["prod"]), "no image given for: postgres"),
        (("prod", *IMAGES["staging"]), f"{reference('postgres')}: no container here runs postgres"),
        (("dev", reference("somabrain")), f"{reference('somabrain')}: no container here runs somabrain"),
        *(
            (("prod", bad), f"{bad}: an image is given as NAME@sha256:DIGEST, with 64 hexadecimal digits")
            for bad in (
                "registry.example.com/a/somabrain:stable-20260101",
                "registry.example.com/a/somabrain",
                reference("somabrain")[:-1],
                reference("somabrain") + "0",
                reference("somabrain").replace("sha256", "md5"),
                f"registry.example.com/a/somabrain@sha256:{'G' * 64}",
                "",
            )
        ),
    ],
)
def test_what_is_incomplete_is_refused_in_one_line_and_prints_nothing(words: tuple[str, ...], said: str) -> None:
    done = render(*words)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"render: {said}\n")
