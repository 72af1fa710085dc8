"""A new password of Postgres: the old one opens nothing, the API goes on."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests.cluster.environment import CHECKOUT, Environment
from tests.cluster.service import answers, pods, until
from tests.recorder import recording

NAMESPACE = "somabrain-prod"
BROKEN = """#!/bin/sh
case "$*" in *'{cut}'*) exit 1 ;; esac
exec {kubectl} "$@"
"""
# One after the other: before Postgres has the new password, before the owner's Secret has it, before the API's role
# gets its own, before the owner's is the only one, and before the API is started anew.
CUTS = ("exec --stdin", "patch secret somabrain-secrets", "patch secret somabrain-app", "--patch {", "rollout restart")
APP = "somabrain_app"  # the role of the API
SECRETS = ("somabrain-postgres", "somabrain-secrets", "somabrain-app")


@pytest.fixture
def put_back(stack: Environment) -> Iterator[None]:
    """The other scenarios go on with the password of .env."""
    before = {name: json.loads(stack.kubectl("-n", NAMESPACE, "get", "secret", name, "-o", "json")) for name in SECRETS}
    file = dict(line.split("=", 1) for line in (stack.root / ".env").read_text().splitlines() if line[:1] != "#")
    yield
    for name, key in ((file["POSTGRES_USER"], "POSTGRES_PASSWORD"), (APP, "SOMABRAIN_APP_PASSWORD")):
        role = f"alter role {name} password '{file[key]}'"
        psql = ("psql", "-q", "-U", file["POSTGRES_USER"], "-c", role, file["POSTGRES_DB"])
        stack.kubectl("-n", NAMESPACE, "exec", "postgres-0", "--", *psql)
    for name, secret in before.items():
        stack.kubectl("-n", NAMESPACE, "patch", "secret", name, "-p", json.dumps({"data": secret["data"]}))
    old = [f"pod/{pod['metadata']['name']}" for pod in pods(stack)]
    stack.kubectl("-n", NAMESPACE, "rollout", "restart", "deployment/somabrain")
    stack.kubectl("-n", NAMESPACE, "rollout", "status", "deployment/somabrain", "--timeout=300s")
    # Until it has left, a pod of before may be asked, and can make no new connection with the password that it has.
    stack.kubectl("-n", NAMESPACE, "wait", "--for=delete", *old, "--timeout=120s")


def password(stack: Environment) -> str:
    path = "go-template={{.data.POSTGRES_PASSWORD | base64decode}}"
    return stack.kubectl("-n", NAMESPACE, "get", "secret", "somabrain-postgres", "-o", path)


def app_dsn(stack: Environment) -> str:
    """The address by which the API asks Postgres, as it is from this host."""
    path = "go-template={{.data.SOMABRAIN_POSTGRES_DSN | base64decode}}"
    inside = stack.kubectl("-n", NAMESPACE, "get", "secret", "somabrain-app", "-o", path)
    assert conninfo_to_dict(inside)["user"] == APP
    return make_conninfo(inside, host="127.0.0.1", port=stack.ports["postgres"])


@pytest.mark.usefixtures("put_back")
def test_a_rotation_that_was_cut_off_goes_on_and_the_old_password_opens_nothing(
    stack: Environment, tmp_path: Path
) -> None:
    dsn = stack.shell('printf %s "$SOMABRAIN_POSTGRES_DSN"')
    old, old_app = password(stack), app_dsn(stack)
    with psycopg.connect(dsn, password=old) as connection:
        assert connection.execute("select 1").fetchone() == (1,)
    argv = [str(CHECKOUT / "scripts/rotate_password.sh"), NAMESPACE]
    env = {**os.environ, **stack.variables, "KUBECONFIG": str(stack.kubeconfig)}
    for cut in CUTS:
        broken = tmp_path / "kubectl"
        broken.write_text(BROKEN.format(kubectl=shutil.which("kubectl", path=env["PATH"]), cut=cut))
        broken.chmod(0o755)
        failed = subprocess.run(
            argv, env={**env, "PATH": f"{tmp_path}:{env['PATH']}"}, text=True, capture_output=True, check=False
        )
        assert failed.returncode == 1, f"{cut}\n{failed.stderr}"
        assert (password(stack) == old) is (cut in CUTS[:3])
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(dsn, password=old)

    called, arguments = recording(tmp_path, env["PATH"], ("kubectl", "jq", "base64", "head", "tr"))
    done = subprocess.run(argv, env={**env, "PATH": called}, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    new = password(stack)
    assert new != old
    assert "patch" in arguments.read_text()
    words = [old, new, *(str(conninfo_to_dict(dsn)["password"]) for dsn in (old_app, app_dsn(stack)))]
    assert not [word for word in words if word in arguments.read_text() + done.stdout + done.stderr]
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(dsn, password=old)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(old_app)
    with psycopg.connect(app_dsn(stack)) as connection:
        assert connection.execute("select current_user").fetchone() == (APP,)
    with psycopg.connect(dsn, password=new) as connection:
        assert connection.execute("select 1").fetchone() == (1,)
    keys = json.loads(stack.kubectl("-n", NAMESPACE, "get", "secret", "somabrain-postgres", "-o", "json"))["data"]
    assert keys.keys() == {"POSTGRES_USER", "POSTGRES_PASSWORD", "POSTGRES_DB"}
    until(lambda: answers(stack), "the API answers", 60)
