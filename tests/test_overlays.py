"""The environments as they are rendered: safe everywhere, exact in staging and production, refused where incomplete."""

import ast
import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from devenv.project.schema import Project
from tests.rendering import (
    CHECKOUT,
    ENVIRONMENTS,
    IMAGES,
    Document,
    containers,
    documents,
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


@pytest.fixture(scope="session")
def operated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return with_operator(tmp_path_factory.mktemp("operated"))


@pytest.fixture(params=[*ENVIRONMENTS, "prod with the operator"])
def rendered(request: pytest.FixtureRequest, operated: Path) -> list[Document]:
    if request.param in ENVIRONMENTS:
        return objects(request.param)
    return objects("prod", [*IMAGES["prod"], reference("postgresql")], operated)


def test_every_pod_keeps_the_baseline(rendered: list[Document]) -> None:
    """What Pod Security "restricted" asks for, and what it does not: a read-only root, no token, bounds, priority."""
    seen = dict(pods(rendered))
    assert len(seen) >= 4
    for name, template in seen.items():
        spec = template["spec"]
        assert spec["automountServiceAccountToken"] is False, name
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


def test_one_container_of_all_has_a_token_and_nginx_has_none() -> None:
    mounts = set()
    for name, template in pods(objects("dev")):
        projected = {
            v["name"]: v["projected"]["sources"] for v in template["spec"].get("volumes", ()) if "projected" in v
        }
        tokens = {volume for volume, sources in projected.items() if any("serviceAccountToken" in s for s in sources)}
        for container in containers(template):
            mounted = {m["name"] for m in container.get("volumeMounts", ())}
            mounts |= {(name, container["name"]) for _ in tokens & mounted}
    assert mounts == {(CONTROLLER, "controller")}


def test_of_the_folders_that_nginx_and_the_controller_share_one_of_them_writes_each() -> None:
    (template,) = (t for name, t in pods(objects("dev")) if name == CONTROLLER)
    writes = {
        c["name"]: {m["name"] for m in c["volumeMounts"] if not m.get("readOnly")}
        for c in template["spec"]["containers"]
    }
    assert writes == {"nginx": {"run", "socket"}, "controller": {"keys"}}


def test_every_server_is_probed_and_drains_before_it_ends(rendered: list[Document]) -> None:
    for name, template in pods(rendered):
        if name.startswith("Job/"):
            continue
        for container in template["spec"]["containers"]:
            assert {"readinessProbe", "livenessProbe"} <= container.keys(), name
            drain = container["lifecycle"]["preStop"]["sleep"]["seconds"]
            assert 0 < drain < template["spec"]["terminationGracePeriodSeconds"], name


def uvicorn_s() -> int:
    """Return how long the API answers what it has begun when it is told to end."""
    tree = ast.parse((CHECKOUT / "k8s/images/somabrain/somabrain/__main__.py").read_text())
    values = {ast.unparse(n.targets[0]): n.value for n in tree.body if isinstance(n, ast.Assign)}
    return int(ast.literal_eval(values["GRACE_S"]))


def test_the_grace_period_covers_the_drain_and_the_last_requests(rendered: list[Document]) -> None:
    seen = dict(pods(rendered))
    (period,) = (
        int(found[1])
        for argument in seen["Deployment/sb-opa"]["spec"]["containers"][0]["args"]
        if (found := re.fullmatch(r"--shutdown-grace-period=(\d+)", argument))
    )
    for name, last_requests_s in (("Deployment/somabrain", uvicorn_s()), ("Deployment/sb-opa", period)):
        spec = seen[name]["spec"]
        drain_s = spec["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
        assert spec["terminationGracePeriodSeconds"] >= drain_s + last_requests_s + 5, name


@pytest.mark.parametrize("environment", RELEASED)
def test_what_clients_reach_on_several_nodes_drains_longer_than_on_one(environment: str) -> None:
    def drains(where: str) -> dict[str, int]:
        specs = {name: template["spec"]["containers"][0] for name, template in pods(objects(where))}
        names = ("Deployment/somabrain", "Deployment/sb-opa")
        return {n: specs[n]["lifecycle"]["preStop"]["sleep"]["seconds"] for n in names}

    released, dev = drains(environment), drains("dev")
    assert all(released[name] > dev[name] for name in dev)


def test_the_migration_ends_before_a_promotion_gives_it_up(rendered: list[Document]) -> None:
    (job,) = (o["spec"] for o in rendered if name_of(o) == "Job/somabrain-migrate")
    # One minute of a wait for Postgres at least, and less than `ready-within-s` is when nobody says otherwise.
    assert 60 < job["activeDeadlineSeconds"] < Project.model_fields["ready_within_s"].default


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_an_overlay_is_rendered_by_plain_kubectl(environment: str) -> None:
    """As `kubectl apply -k` does it: no file above the folder, no option."""
    path = os.pathsep.join([str(CHECKOUT / ".venv/bin"), os.environ["PATH"]])
    argv = ["kubectl", "kustomize", str(CHECKOUT / "k8s/overlays" / environment)]
    done = subprocess.run(argv, text=True, capture_output=True, env={**os.environ, "PATH": path}, check=False)
    assert done.returncode == 0, done.stderr
    seen = sorted(name_of(o) for o in documents(done.stdout))
    assert seen == sorted(name_of(o) for o in objects(environment))


@pytest.mark.parametrize("environment", RELEASED)
def test_a_later_release_by_hand_forces_its_jobs_and_applies_everything(environment: str) -> None:
    """The commands of docs/production.md; tests/cluster/gentle/test_by_hand.py gives them to an API server."""
    text = (CHECKOUT / "docs/production.md").read_text()
    chosen = re.findall(r"^kubectl apply (--force )?--selector app(!?=)(\S+) -f release.yaml$", text, re.MULTILINE)
    assert [force for force, *_ in chosen] == ["--force ", "", "--force "]
    seen, forced, plain = objects(environment), set[str](), set[str]()
    for force, operator, label in chosen:
        found = {name_of(o) for o in seen if (o["metadata"].get("labels", {}).get("app") == label) is (operator == "=")}
        (forced if force else plain).update(found)
    assert forced == {name_of(o) for o in seen if o["kind"] == "Job"}
    assert forced | plain == set(map(name_of, seen))
    assert plain & forced == {"Job/somabrain-migrate"}  # which is as wanted by then


@pytest.mark.parametrize("name", ["full-stack.yaml", "ingress.yaml"])
def test_a_file_to_apply_by_hand_is_the_one_that_the_overlays_render(name: str) -> None:
    by_hand = [(name_of(o), o) for o in yaml.safe_load_all((CHECKOUT / "k8s" / name).read_text())]
    dev = {(name_of(o), o["metadata"].get("namespace")): o for o in objects("dev")}
    for key, obj in by_hand:
        if key != "Deployment/somabrain":  # dev patches it
            assert dev[key, obj["metadata"].get("namespace")] == obj, key


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
                others = {
                    "SOMABRAIN_API_TOKEN": "somabrain-secrets",
                    "SOMABRAIN_ADMIN_TOKEN": "somabrain-admin",
                    "SOMABRAIN_APP_DSN": "somabrain-app",
                }
                expected = others.get(variable["name"], "postgres-app")
                assert source in (None, expected), variable


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "usage: render.sh ENVIRONMENT [IMAGE@DIGEST…]; there are: dev prod shared staging"),
        (("production",), "no environment production; there are: dev prod shared staging"),
        (("../overlays/prod",), "no environment ../overlays/prod; there are: dev prod shared staging"),
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


def test_on_a_cluster_that_others_reach_the_api_asks_for_its_token_and_nothing_is_public() -> None:
    here, there = objects("dev"), objects("shared")
    (api,) = (t for name, t in pods(there) if name == "Deployment/somabrain")
    env = {e["name"]: e.get("value") for e in api["spec"]["containers"][0]["env"]}
    assert (env["SOMABRAIN_DISABLE_AUTH"], env["SOMABRAIN_METRICS_OPEN"]) == ("false", "false")
    assert "LoadBalancer" in {o["spec"].get("type") for o in here if o["kind"] == "Service"}
    assert "LoadBalancer" not in {o["spec"].get("type") for o in there if o["kind"] == "Service"}
    assert {name_of(o) for o in here} - {name_of(o) for o in there} == {"NetworkPolicy/from-host"}


@pytest.mark.parametrize("environment", RELEASED)
def test_released_environments_are_reached_over_tls_alone(environment: str) -> None:
    seen = objects(environment)
    assert {o["spec"].get("type", "ClusterIP") for o in seen if o["kind"] == "Service"} <= {"ClusterIP", "ExternalName"}
    assert all(o["spec"]["tls"] for o in seen if o["kind"] == "Ingress")
    (api,) = (t for name, t in pods(seen) if name == "Deployment/somabrain")
    assert {"name": "SOMABRAIN_METRICS_OPEN", "value": "false"} in api["spec"]["containers"][0]["env"]


def test_whoever_asks_postgres_can_be_given_the_authority_that_its_certificate_is_of(rendered: list[Document]) -> None:
    asking = [(t, c) for _, t in pods(rendered) for c in containers(t) if "SOMABRAIN_POSTGRES_DSN" in dsns_of(c)]
    assert len(asking) == 4
    for template, container in asking:
        assert {"name": "postgres-ca", "mountPath": "/etc/postgres-ca"} in container["volumeMounts"]
        source = {"name": "postgres-ca", "optional": True}
        assert {"name": "postgres-ca", "configMap": source} in template["spec"]["volumes"]


def dsns_of(container: Document) -> dict[str, str]:
    """The variables that say where Postgres is, each with the Secret that it is from, as the kubelet lays them over."""
    whole = [source["secretRef"]["name"] for source in container.get("envFrom") or ()]
    found = {"SOMABRAIN_POSTGRES_DSN": whole[-1]} if whole else {}
    own = [variable for variable in container.get("env") or () if variable["name"].endswith("_DSN")]
    return found | {variable["name"]: variable["valueFrom"]["secretKeyRef"]["name"] for variable in own}


def test_the_api_asks_postgres_by_its_own_role_and_the_owner_s_password_is_the_migration_s(
    rendered: list[Document],
) -> None:
    # The operator's owner of the database is no superuser, and the API has it.
    operator = "Cluster/postgres" in map(name_of, rendered)
    for name, template in pods(rendered):
        for container in containers(template):
            where = dsns_of(container)
            if name == "Deployment/somabrain" and where:
                assert where == {"SOMABRAIN_POSTGRES_DSN": "postgres-app" if operator else "somabrain-app"}
                owners, apis = container["envFrom"]
                assert (owners, apis["secretRef"]["optional"]) == ({"secretRef": {"name": "somabrain-secrets"}}, True)
            elif where:
                assert name == "Job/somabrain-migrate"
                assert where["SOMABRAIN_POSTGRES_DSN"] == ("postgres-app" if operator else "somabrain-secrets")
            variables = {variable["name"] for variable in container.get("env") or ()}
            assert "POSTGRES_PASSWORD" not in variables or name == "StatefulSet/postgres"


def test_the_retention_asks_postgres_as_the_api_does() -> None:
    job = yaml.safe_load((CHECKOUT / "k8s/components/retention/cron-job.yaml").read_text())
    spec = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    (api,) = (t["spec"] for name, t in pods(objects("staging")) if name == "Deployment/somabrain")
    (retention,), (serving,) = spec["containers"], api["containers"]
    assert retention["envFrom"] == serving["envFrom"]
    authority = {"name": "postgres-ca", "mountPath": "/etc/postgres-ca"}
    assert authority in retention["volumeMounts"]
    assert spec["volumes"] == [volume for volume in api["volumes"] if volume["name"] == "postgres-ca"]


def test_the_migration_is_told_the_api_s_address_where_there_is_one(rendered: list[Document]) -> None:
    (job,) = (t for name, t in pods(rendered) if name == "Job/somabrain-migrate")
    (migrate,) = job["spec"]["containers"]
    (own,) = (v["valueFrom"]["secretKeyRef"] for v in migrate["env"] if v["name"] == "SOMABRAIN_APP_DSN")
    assert own == {"name": "somabrain-app", "key": "SOMABRAIN_POSTGRES_DSN", "optional": True}


def test_the_admin_s_token_is_the_api_s_alone_and_its_secret_may_be_missing(rendered: list[Document]) -> None:
    source = {"name": "somabrain-admin", "key": "SOMABRAIN_ADMIN_TOKEN", "optional": True}
    for name, template in pods(rendered):
        for container in containers(template):
            env = {v["name"]: v for v in container.get("env") or ()}
            if (name, container["name"]) != ("Deployment/somabrain", "somabrain"):
                assert "SOMABRAIN_ADMIN_TOKEN" not in env
            elif env["SOMABRAIN_DISABLE_AUTH"]["value"] == "true":  # empty: none is asked for
                assert env["SOMABRAIN_ADMIN_TOKEN"] == {"name": "SOMABRAIN_ADMIN_TOKEN", "value": ""}
            else:
                assert env["SOMABRAIN_ADMIN_TOKEN"]["valueFrom"] == {"secretKeyRef": source}


def test_devenv_makes_the_admin_s_token_where_others_reach_the_cluster() -> None:
    project = Project.model_validate(tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["tool"]["devenv"])
    token = {"SOMABRAIN_ADMIN_TOKEN": "${env.SOMABRAIN_ADMIN_TOKEN}"}
    assert project.existing.secrets == {"somabrain-admin": token}
    assert token.items() <= project.existing.env.items()
    assert "somabrain-admin" not in project.secrets
    assert "SOMABRAIN_ADMIN_TOKEN=<generated>" in (CHECKOUT / ".env.example").read_text().splitlines()
