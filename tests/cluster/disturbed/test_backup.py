"""A backup, and the database put back from it, by the scripts that a person calls."""

import os
import subprocess
from pathlib import Path

import httpx

from tests.cluster.environment import CHECKOUT, Environment
from tests.cluster.service import answers, until

NAMESPACE = "somabrain-prod"
COUNT = 'psql "$SOMABRAIN_POSTGRES_DSN" -Atc "select count(*) from memories"'


def script(stack: Environment, name: str, file: Path) -> "subprocess.CompletedProcess[str]":
    argv = [str(CHECKOUT / "scripts" / name), NAMESPACE, str(file)]
    env = {**stack.variables, "KUBECONFIG": str(stack.kubeconfig)}
    return subprocess.run(argv, env=env, text=True, capture_output=True, check=False)


def remember(stack: Environment, what: str) -> None:
    body = {"payload": {"task": what, "content": what}}
    answer = httpx.post(f"http://127.0.0.1:{stack.ports['api']}/remember", json=body, timeout=30)
    assert answer.status_code == 200, answer.text


def test_what_was_lost_after_a_backup_is_back_and_what_came_later_is_gone(stack: Environment, tmp_path: Path) -> None:
    file = tmp_path / "somabrain.dump"
    remember(stack, "kept by the backup")
    before = stack.shell(COUNT)
    done = script(stack, "backup.sh", file)
    assert done.returncode == 0, done.stderr
    assert file.stat().st_mode & 0o777 == 0o600
    remember(stack, "after the backup")
    # A release that came after the backup made a table, which the next one would stumble upon.
    stack.shell('psql "$SOMABRAIN_POSTGRES_DSN" -qc "drop table memories cascade; create table later (id integer)"')
    jobs = stack.objects("-n", NAMESPACE, "jobs")
    done = script(stack, "restore.sh", file)
    assert done.returncode == 0, done.stderr
    assert 'job.batch "somabrain-migrate-restored-' in done.stdout
    assert stack.objects("-n", NAMESPACE, "jobs") == jobs
    assert stack.shell('psql "$SOMABRAIN_POSTGRES_DSN" -Atc "select to_regclass(\'later\') is null"') == "t\n"
    assert stack.shell(COUNT) == before
    until(lambda: answers(stack), "the API answers", 60)


def test_a_restore_that_fails_changes_nothing(stack: Environment, tmp_path: Path) -> None:
    file = tmp_path / "somabrain.dump"
    assert script(stack, "backup.sh", file).returncode == 0
    before = stack.shell(COUNT)
    os.truncate(file, file.stat().st_size // 2)
    done = script(stack, "restore.sh", file)
    assert done.returncode != 0
    assert "the backup is not whole" in done.stderr
    assert stack.shell(COUNT) == before
