"""What goes wrong on a working day, on the real stack: pods die, migrations fail, nodes stop; and the way back."""

import json
import time

import httpx
import psutil
import psycopg

from tests.cluster.environment import SHORT_S, Environment, docker
from tests.cluster.service import NAMESPACE, Run, answers, until

LEASE_S = 60.0  # longer than a node's lease (40 s) and than a forward that is open is left unprobed
BROKEN = '''data:
  alembic.versions.9999_broken.py: |
    """A migration that fails."""
    revision = "9999_broken"
    down_revision = "{head}"
    lives_with = "{head}"
    def upgrade():
        raise RuntimeError("the shelf is too small for the book")
    def downgrade():
        pass
'''


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
    run = Run(stack)
    run.give_all(3, threads=1)
    before, pod = run.kept(), api_pod(stack)
    stack.kubectl("-n", NAMESPACE, "delete", "pod", "-l", "app=somabrain", "--grace-period=1")
    until(lambda: answers(stack), "the new pod answers")
    assert api_pod(stack) != pod
    assert before.state["history_len"] == 3
    assert run.kept() == before


def test_a_failed_migration_is_told_first_changes_nothing_else_and_is_mended_by_the_next_up(stack: Environment) -> None:
    versions = sorted((stack.root / "k8s/images/somabrain/alembic/versions").glob("[0-9]*.py"))
    head = versions[-1].stem
    generation = stack.objects("-n", NAMESPACE, "deployments", "-l", "app=somabrain")[0]["metadata"]["generation"]
    stack.edit("k8s/base/full-stack.yaml", "data: {}\n", BROKEN.format(head=head))
    failed = stack.run("up")
    assert failed.returncode == 1
    told = failed.stderr[failed.stderr.index("error:") :].splitlines()
    assert told[0].startswith("error: job/somabrain-migrate failed: ")
    assert any("the shelf is too small for the book" in line for line in told)
    now = stack.objects("-n", NAMESPACE, "deployments", "-l", "app=somabrain")[0]["metadata"]["generation"]
    assert now == generation
    until(lambda: answers(stack), "the API answers", 30)
    assert stack.run("status").returncode == 1

    text = (stack.root / "k8s/base/full-stack.yaml").read_text()
    start = text.index("data:\n  alembic.versions.9999_broken.py")
    end = text.index("---", start)
    (stack.root / "k8s/base/full-stack.yaml").write_text(text[:start] + "data: {}\n" + text[end:])
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


def test_lost_passwords_are_told_before_new_ones_lock_the_data_up(stack: Environment) -> None:
    file = stack.root / ".env"
    kept = file.rename(file.with_name("kept"))
    refused = stack.run("up")
    kept.rename(file)
    assert refused.returncode == 1
    assert ".env is gone" in refused.stderr
    assert stack.plan() == ""


def test_another_password_is_told_before_it_locks_the_database_up(stack: Environment) -> None:
    file = stack.root / ".env"
    kept = file.read_text()
    file.write_text("".join(
        "POSTGRES_PASSWORD=another\n" if line.startswith("POSTGRES_PASSWORD=") else line
        for line in kept.splitlines(keepends=True)
    ))  # fmt: skip
    refused = stack.run("up")
    file.write_text(kept)
    assert refused.returncode == 1
    assert (
        "secret/somabrain-postgres: another POSTGRES_PASSWORD than the data of statefulset/postgres" in refused.stderr
    )
    assert "another\n" not in refused.stderr
    assert stack.plan() == ""


def named(stack: Environment, state: str, words: str) -> None:
    """See every verb tell the state of the cluster by its name, and change nothing."""
    seen = stack.run("status", "-o", "json")
    assert (seen.returncode, json.loads(seen.stdout)["cluster"]) == (1, state)
    assert stack.run("status").stdout.startswith(f"cluster {stack.name} {words}\n")
    assert stack.plan() == f"cluster: {words}\n"
    forwards = stack.run("forward", "status", "-o", "json")
    assert forwards.returncode == 1
    assert {f["reason"] for f in json.loads(forwards.stdout)} == {f"the cluster {words}"}
    assert json.loads(stack.run("images", "list", "-o", "json").stdout)[0]["node"] is None
    for verb in ("env", "test learning", "forward status", "forward start", "images load", "tls status", "wait all"):
        done = stack.run(*verb.split())
        assert done.returncode in (1, 3), verb
        assert f"cluster {stack.name} {words}" in done.stderr, verb


def test_the_stack_comes_back_after_docker_stopped_its_node(stack: Environment) -> None:
    counted = 'psql "$SOMABRAIN_POSTGRES_DSN" -Atc "select count(*) from feedback_events"'
    Run(stack).give_all(3)
    before = stack.shell(counted)
    docker("stop", stack.node)
    named(stack, "STOPPED", "is stopped")
    stack.fine("up", within_s=SHORT_S)
    docker("pause", stack.node)
    named(stack, "PAUSED", "is paused")
    stack.fine("up", within_s=SHORT_S)
    assert stack.shell(counted) == before
    assert int(before) > 0


def proven(stack: Environment) -> None:
    """See every port lead to a pod of this cluster; `devenv env` prints nothing before."""
    assert "KUBECONFIG" in json.loads(stack.fine("env", "--format", "json"))
    assert stack.status()["ready"] is True


def running(stack: Environment) -> dict[str, tuple[str, int]]:
    """Return UID and restarts of every container, those of Kubernetes itself too."""
    return {
        f"{pod['metadata']['namespace']}/{pod['metadata']['name']}/{one['name']}": (
            pod["metadata"]["uid"], one["restartCount"],
        )
        for pod in stack.objects("--all-namespaces", "pods")
        for one in pod["status"].get("containerStatuses", ())
    }  # fmt: skip


def test_a_stop_ends_postgres_in_good_order_and_a_start_brings_everything_back(stack: Environment) -> None:
    run = Run(stack)
    run.give_all(3, threads=1)
    before, pod = run.kept(), api_pod(stack)
    stopped = json.loads(stack.fine("stop", "-o", "json"))
    assert (stopped["cluster"], stopped["changed"], stopped["next"]) == ("STOPPED", True, "Next: devenv start")
    assert docker("inspect", "--format", "{{.State.Running}}", stack.node) == "false"
    named(stack, "STOPPED", "is stopped")
    again = stack.run("stop")
    assert (again.returncode, f"{stack.name} is already stopped" in again.stderr) == (0, True)
    refused = stack.run("resume")
    assert (refused.returncode, "hint: devenv start" in refused.stderr) == (1, True)

    started = stack.run("start", "-o", "json", within_s=SHORT_S)
    assert started.returncode == 0, started.stderr
    assert json.loads(started.stdout)["ready"] is True
    proven(stack)
    assert run.kept() == before
    assert api_pod(stack) == pod
    log = stack.kubectl("-n", NAMESPACE, "logs", "postgres-0", "-c", "postgres")
    assert "database system was shut down at" in log
    assert "not properly shut down" not in log
    again = stack.run("start")
    assert (again.returncode, f"{stack.name} is already running" in again.stderr) == (0, True)


def test_a_start_changes_nothing_and_counts_what_is_left_to_do(stack: Environment) -> None:
    generation = stack.objects("-n", NAMESPACE, "deployments", "-l", "app=sb-opa")[0]["metadata"]["generation"]
    stack.edit("k8s/base/full-stack.yaml", "--shutdown-grace-period=10\n", "--shutdown-grace-period=9\n")
    stack.fine("stop")
    started = stack.run("start", within_s=SHORT_S)
    assert started.returncode == 0, started.stderr
    assert "steps are left to do: devenv plan" in started.stdout
    now = stack.objects("-n", NAMESPACE, "deployments", "-l", "app=sb-opa")[0]["metadata"]["generation"]
    assert now == generation


def test_a_pause_keeps_every_pod_and_connection_and_a_resume_proves_all_ports(stack: Environment) -> None:
    run = Run(stack)
    run.give_all(3, threads=1)
    before, pods = run.kept(), running(stack)
    log = stack.kubeconfig.parent / "logs/forwards.log"
    with psycopg.connect(json.loads(stack.fine("env", "--format", "json"))["SOMABRAIN_POSTGRES_DSN"]) as sql:
        sql.execute("create temporary table kept as select 1 as one")
        paused = json.loads(stack.fine("pause", "-o", "json"))
        assert (paused["cluster"], paused["changed"], paused["next"]) == ("PAUSED", True, "Next: devenv resume")
        assert docker("inspect", "--format", "{{.State.Paused}}", stack.node) == "true"
        named(stack, "PAUSED", "is paused")
        again = stack.run("pause")
        assert (again.returncode, f"{stack.name} is already paused" in again.stderr) == (0, True)
        written, forwarder = log.stat().st_size, psutil.Process(int((log.parents[1] / "forwards.lock").read_text()))
        used = sum(forwarder.cpu_times()[:2])
        time.sleep(LEASE_S)  # leases and probes run out meanwhile
        assert log.stat().st_size == written
        assert sum(forwarder.cpu_times()[:2]) - used < LEASE_S / 20

        resumed = json.loads(stack.fine("resume", "-o", "json"))
        assert (resumed["cluster"], resumed["changed"]) == ("RUNNING", True)
        assert {f["state"] for f in resumed["forwards"]} == {"OPEN"}
        assert sql.execute("select one from kept").fetchone() == (1,)
    proven(stack)
    assert run.kept() == before
    time.sleep(30)  # three of the longest probe periods of what could be restarted
    assert running(stack) == pods
    again = stack.run("resume")
    assert (again.returncode, f"{stack.name} is already running" in again.stderr) == (0, True)
