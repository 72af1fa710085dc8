"""The promise itself, on a real cluster with the real stack. In the order of a working day."""

import json
import socket
import time
from pathlib import Path
from xml.etree import ElementTree

import httpx
import pytest

from tests.cluster.environment import SHORT_S, Environment, docker
from tests.cluster.service import answers, until

NAMESPACE = "somabrain-prod"
BROKEN = '''data:
  alembic.versions.9999_broken.py: |
    """A migration that fails."""
    revision = "9999_broken"
    down_revision = "{head}"
    def upgrade():
        raise RuntimeError("the shelf is too small for the book")
    def downgrade():
        pass
'''


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
    assert "nothing was left to do" in again.stderr
    assert [j["metadata"]["uid"] for j in stack.objects("-n", NAMESPACE, "jobs")] == [
        j["metadata"]["uid"] for j in jobs
    ]


def test_passwords_are_made_once_private_and_never_the_example_s(stack: Environment) -> None:
    file = stack.root / ".env"
    assert file.stat().st_mode & 0o777 == 0o600
    values = dict(line.split("=", 1) for line in file.read_text().splitlines() if not line.startswith("#"))
    assert len(values["POSTGRES_PASSWORD"]) >= 32
    assert len({values["POSTGRES_PASSWORD"], values["SOMABRAIN_API_TOKEN"], "<generated>"}) == 3


def test_lost_passwords_are_told_before_new_ones_lock_the_data_up(stack: Environment) -> None:
    file = stack.root / ".env"
    kept = file.rename(file.with_name("kept"))
    refused = stack.run("up")
    kept.rename(file)
    assert refused.returncode == 1
    assert ".env is gone" in refused.stderr
    assert stack.plan() == ""


@pytest.mark.parametrize("suite", ["learning", "service", "learning, on what the first left"])
def test_a_suite_is_green(stack: Environment, tmp_path: Path, suite: str) -> None:
    report = tmp_path / "junit.xml"
    done = stack.run("test", suite.split(",")[0], "--junit", str(report))
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


def test_the_runbook_s_commands_work_as_they_stand(stack: Environment) -> None:
    stack.shell("kubectl -n somabrain-prod wait --for=condition=complete job/somabrain-migrate --timeout=300s")
    assert "1/1" in stack.shell("kubectl -n somabrain-prod get sts/postgres")
    accepted = stack.shell("kubectl -n somabrain-prod exec postgres-0 -- pg_isready -U $POSTGRES_USER")
    assert "accepting connections" in accepted
    assert "Running" in stack.shell("kubectl -n somabrain-prod get pods -l app=somabrain")
    assert stack.shell("kubectl -n somabrain-prod logs deploy/somabrain --tail=200")
    port = stack.ports["api"]
    assert "already answers" in stack.shell(f"./scripts/port_forward_api.sh {port}")


def test_the_learning_suite_runs_by_itself_with_the_runbook_s_three_exports(stack: Environment) -> None:
    pytest_program = stack.program.parent / "pytest"
    script = f"""
    export SOMA_API_URL=http://127.0.0.1:{stack.ports["api"]}
    export SOMABRAIN_REDIS_URL=redis://127.0.0.1:{stack.ports["redis"]}/0
    export SOMABRAIN_POSTGRES_LOCAL_PORT={stack.ports["postgres"]}
    {pytest_program} -vv tests/test_cognition_learning.py
    """
    unset = "unset SOMABRAIN_POSTGRES_DSN SOMABRAIN_DEFAULT_TENANT KUBECONFIG\n"
    memory = f"export SOMABRAIN_MEMORY_HTTP_ENDPOINT=http://127.0.0.1:{stack.ports['memory']}\n"
    assert "passed" in stack.shell(unset + memory + script)


def api_pod(env: Environment) -> str:
    pods = env.objects("-n", NAMESPACE, "pods", "-l", "app=somabrain")
    living = [p for p in pods if not p["metadata"].get("deletionTimestamp")]
    return str(living[0]["metadata"]["uid"])


def test_a_forward_survives_the_death_of_its_pod(stack: Environment) -> None:
    before = api_pod(stack)
    stack.kubectl("-n", NAMESPACE, "delete", "pod", "-l", "app=somabrain", "--wait=false", "--grace-period=1")
    time.sleep(2)
    # A new connection waits while no pod is ready, and is answered by the new one.
    answer = httpx.get(f"http://127.0.0.1:{stack.ports['api']}/health", timeout=60)
    assert answer.json()["ok"] is True
    assert api_pod(stack) != before


def test_what_was_learned_survives_the_restart(stack: Environment) -> None:
    assert stack.run("test", "learning").returncode == 0


def test_a_failed_migration_is_told_first_and_changes_nothing_else(stack: Environment) -> None:
    versions = sorted((stack.root / "k8s/images/somabrain/alembic/versions").glob("[0-9]*.py"))
    head = versions[-1].stem
    generation = stack.objects("-n", NAMESPACE, "deployments", "-l", "app=somabrain")[0]["metadata"]["generation"]
    stack.edit("k8s/full-stack.yaml", "data: {}\n", BROKEN.format(head=head))
    failed = stack.run("up")
    assert failed.returncode == 1
    told = failed.stderr[failed.stderr.index("error:") :].splitlines()
    assert told[0].startswith("error: job/somabrain-migrate failed: ")
    assert any("the shelf is too small for the book" in line for line in told)
    now = stack.objects("-n", NAMESPACE, "deployments", "-l", "app=somabrain")[0]["metadata"]["generation"]
    assert now == generation
    until(lambda: answers(stack), "the API answers", 30)
    assert stack.run("status").returncode == 1


def test_the_next_up_with_a_mended_migration_goes_through(stack: Environment) -> None:
    text = (stack.root / "k8s/full-stack.yaml").read_text()
    start = text.index("data:\n  alembic.versions.9999_broken.py")
    end = text.index("---", start)
    (stack.root / "k8s/full-stack.yaml").write_text(text[:start] + "data: {}\n" + text[end:])
    stack.fine("up")
    assert stack.plan() == ""
    assert stack.status()["ready"] is True


def test_a_changed_service_image_is_built_loaded_and_rolled_out(stack: Environment) -> None:
    before = api_pod(stack)
    stack.edit("k8s/images/somabrain/somabrain/__init__.py", '"""', '"""Changed. ')
    done = stack.run("up")
    assert done.returncode == 0, done.stderr
    assert "load somabrain" in done.stderr
    assert "cluster" not in [line.split()[1] for line in done.stderr.splitlines() if line.startswith("✓")]
    assert api_pod(stack) != before


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
    assert stack.plan() == "delete configmap/extra: is in the manifests no more\n"
    stack.fine("up")
    until(lambda: "extra" not in stack.kubectl("-n", NAMESPACE, "get", "configmaps", "-o", "name"), "it is pruned", 10)
    assert stack.objects("-n", NAMESPACE, "persistentvolumeclaims")


def test_the_manifest_applies_with_plain_kubectl_in_another_namespace(stack: Environment) -> None:
    stack.shell("./scripts/make_secrets.sh by-hand | kubectl apply -f -")
    stack.shell("kubectl -n by-hand apply -f k8s/full-stack.yaml")
    stack.shell("kubectl -n by-hand wait --for=condition=complete job/somabrain-migrate --timeout=180s")
    stack.shell("kubectl -n by-hand rollout status deployment/somabrain --timeout=180s")
    stack.kubectl("delete", "namespace", "by-hand", "--wait=false")


def test_the_stack_comes_back_after_docker_stopped_its_node(stack: Environment) -> None:
    counted = 'psql "$SOMABRAIN_POSTGRES_DSN" -Atc "select count(*) from feedback_events"'
    before = stack.shell(counted)
    docker("stop", stack.node)
    assert stack.run("status").returncode == 1
    assert stack.run("env").returncode == 1
    stack.fine("up", within_s=SHORT_S)
    assert stack.shell(counted) == before
    assert int(before) > 0


def test_down_leaves_nothing_behind(stack: Environment) -> None:
    marked = docker("volume", "ls", "--quiet").split()
    mine = json.loads(docker("inspect", "--format", "{{json .Mounts}}", stack.node))
    volumes = {m["Name"] for m in mine if m["Type"] == "volume"}
    assert volumes
    assert volumes <= set(marked)
    pid = int((stack.kubeconfig.parent / "forwards.lock").read_text())
    stack.fine("down")
    assert docker("ps", "--all", "--quiet", "--filter", f"name={stack.node}") == ""
    assert docker("network", "ls", "--quiet", "--filter", f"name=devenv-{stack.name}") == ""
    assert not volumes & set(docker("volume", "ls", "--quiet").split())
    assert not Path(f"/proc/{pid}").exists()
    for port in stack.ports.values():
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", port)) != 0
    assert [p.name for p in (stack.state / "devenv").iterdir() if stack.name in p.name] == []
    assert stack.run("env").returncode == 1
    again = stack.run("down")
    assert again.returncode == 0
    assert "nothing was there" in again.stderr
