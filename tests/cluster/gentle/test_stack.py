"""The promise itself, on a real cluster with the real stack. What a person does on a stack that is up."""

import json
from pathlib import Path
from urllib.parse import urlsplit
from xml.etree import ElementTree

import pytest

from tests.cluster.environment import Environment
from tests.cluster.service import answers, until

NAMESPACE = "somabrain-prod"


def test_up_ends_with_everything_ready(stack: Environment) -> None:
    seen = stack.status()
    assert seen["ready"] is True
    workloads = {w["name"]: w["state"] for w in seen["workloads"]}
    assert workloads == dict.fromkeys(
        [
            "deployment/ingress-nginx-controller@ingress-nginx",
            "deployment/somabrain",
            "deployment/sb-opa",
            "deployment/sb-redis",
            "statefulset/postgres",
            "job/somabrain-migrate",
            "service/ingress-nginx-controller@ingress-nginx",
            "service/somabrain-public",
        ],
        "READY",
    )
    assert {f["name"]: f["state"] for f in seen["forwards"]} == dict.fromkeys(stack.ports, "OPEN")


def test_a_second_up_finds_nothing_to_do(stack: Environment) -> None:
    assert stack.plan() == ""
    assert json.loads(stack.fine("plan", "-o", "json")) == []
    jobs = stack.objects("-n", NAMESPACE, "jobs")
    again = stack.run("up")
    assert again.returncode == 0
    assert "already up to date" in again.stderr
    assert [j["metadata"]["uid"] for j in stack.objects("-n", NAMESPACE, "jobs")] == [
        j["metadata"]["uid"] for j in jobs
    ]


def test_passwords_are_made_once_private_and_never_the_example_s(stack: Environment) -> None:
    file = stack.root / ".env"
    assert file.stat().st_mode & 0o777 == 0o600
    values = dict(line.split("=", 1) for line in file.read_text().splitlines() if not line.startswith("#"))
    assert len(values["POSTGRES_PASSWORD"]) >= 32
    keys = ("POSTGRES_PASSWORD", "SOMABRAIN_APP_PASSWORD", "SOMABRAIN_API_TOKEN", "SOMABRAIN_ADMIN_TOKEN")
    assert len({values[key] for key in keys} | {"<generated>"}) == 5


@pytest.mark.parametrize("suite", ["learning", "service"])
def test_a_suite_is_green(stack: Environment, tmp_path: Path, suite: str) -> None:
    report = tmp_path / "junit.xml"
    done = stack.run("test", suite, "--junit", str(report))
    assert done.returncode == 0, f"{suite}\n{done.stdout}{done.stderr}"
    counts = ElementTree.parse(report).getroot().find("testsuite")  # noqa: S314
    assert counts is not None
    assert int(counts.attrib["tests"]) >= 30
    assert {counts.attrib[k] for k in ("failures", "errors", "skipped")} == {"0"}


def test_the_exit_code_of_pytest_is_passed_on(stack: Environment) -> None:
    assert stack.run("test", "learning", "--", "-k", "no_such_test").returncode == 5
    unknown = stack.run("test", "unknown")
    assert unknown.returncode == 2
    assert "there are: learning, service" in unknown.stderr


def test_the_api_is_no_superuser_of_postgres_and_has_no_password_of_one(stack: Environment) -> None:
    until(lambda: answers(stack), "the API answers")
    query = (
        "select distinct usename, usesuper from pg_stat_activity join pg_user using (usename)"
        " where application_name = 'somabrain'"
    )
    assert stack.shell(f'psql "$SOMABRAIN_POSTGRES_DSN" -Atc "{query}"') == "somabrain_app|f\n"
    owner = urlsplit(stack.shell('printf %s "$SOMABRAIN_POSTGRES_DSN"')).password
    variables = stack.kubectl("-n", NAMESPACE, "exec", "deployment/somabrain", "--", "env")
    assert owner
    assert owner not in variables


def test_psql_redis_cli_and_curl_work_with_what_env_prints(stack: Environment) -> None:
    assert stack.shell('psql "$SOMABRAIN_POSTGRES_DSN" -Atc "select count(*) from feedback_events"').strip().isdigit()
    assert stack.shell('redis-cli -u "$SOMABRAIN_REDIS_URL" ping') == "PONG\n"
    until(lambda: answers(stack), "the API answers")
    assert stack.shell('curl -sf "$SOMA_API_URL/health" | jq .ok') == "true\n"
    assert stack.shell('curl -sf "$SOMABRAIN_MEMORY_HTTP_ENDPOINT/health" | jq .ok') == "true\n"


def test_env_prints_the_same_settings_in_every_form(stack: Environment) -> None:
    fixed = ("SOMA_API_URL", "SOMABRAIN_POSTGRES_DSN", "KUBECONFIG")
    as_json = json.loads(stack.fine("env", "--format", "json"))
    lines = [line.split("=", 1) for line in stack.fine("env", "--format", "dotenv").splitlines()]
    assert {k: as_json[k] for k in fixed} == {k: v for k, v in lines if k in fixed}
    assert as_json["SOMA_API_URL"] == f"http://127.0.0.1:{stack.ports['api']}"


def test_a_dockerfile_that_fails_shows_its_last_lines(stack: Environment) -> None:
    dockerfile = "k8s/images/redis/Dockerfile"
    whole = (stack.root / dockerfile).read_text()
    (stack.root / dockerfile).write_text(f"{whole}\nRUN echo the tap is dry && exit 3\n")
    failed = stack.run("images", "build", "redis")
    (stack.root / dockerfile).write_text(whole)
    assert failed.returncode == 1
    assert "the tap is dry" in failed.stderr
    assert "returned a non-zero code: 3" in failed.stderr


def test_an_object_dropped_from_the_manifests_is_pruned_and_data_is_not(stack: Environment) -> None:
    stack.edit("k8s/overlays/dev/kustomization.yaml", "patches:", "  - extra.yaml\npatches:")
    extra = stack.root / "k8s/overlays/dev/extra.yaml"
    extra.write_text("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: extra\ndata:\n  a: b\n")
    stack.fine("up")
    assert "extra" in stack.kubectl("-n", NAMESPACE, "get", "configmaps", "-o", "name")
    stack.edit("k8s/overlays/dev/kustomization.yaml", "  - extra.yaml\n", "")
    assert (
        stack.plan() == "delete configmap/extra: no longer in the manifests; devenv applied it for this environment\n"
    )
    stack.fine("up")
    until(lambda: "extra" not in stack.kubectl("-n", NAMESPACE, "get", "configmaps", "-o", "name"), "it is pruned", 10)
    assert stack.objects("-n", NAMESPACE, "persistentvolumeclaims")
