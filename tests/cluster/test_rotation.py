"""A new password of Postgres: the old one opens nothing, the API goes on."""

import json
import os
import subprocess
from collections.abc import Iterator

import psycopg
import pytest

from tests.cluster.environment import CHECKOUT, Environment
from tests.cluster.service import answers, until

NAMESPACE = "somabrain-prod"
SECRETS = ("somabrain-postgres", "somabrain-secrets")


@pytest.fixture
def put_back(stack: Environment) -> Iterator[None]:
    """The other scenarios go on with the password of .env."""
    before = {name: json.loads(stack.kubectl("-n", NAMESPACE, "get", "secret", name, "-o", "json")) for name in SECRETS}
    file = dict(line.split("=", 1) for line in (stack.root / ".env").read_text().splitlines() if line[:1] != "#")
    yield
    role = f"alter role {file['POSTGRES_USER']} password '{file['POSTGRES_PASSWORD']}'"
    psql = ("psql", "-q", "-U", file["POSTGRES_USER"], "-c", role, file["POSTGRES_DB"])
    stack.kubectl("-n", NAMESPACE, "exec", "postgres-0", "--", *psql)
    for name, secret in before.items():
        stack.kubectl("-n", NAMESPACE, "patch", "secret", name, "-p", json.dumps({"data": secret["data"]}))
    stack.kubectl("-n", NAMESPACE, "rollout", "restart", "deployment/somabrain")
    stack.kubectl("-n", NAMESPACE, "rollout", "status", "deployment/somabrain", "--timeout=300s")


def password(stack: Environment) -> str:
    path = "go-template={{.data.POSTGRES_PASSWORD | base64decode}}"
    return stack.kubectl("-n", NAMESPACE, "get", "secret", "somabrain-postgres", "-o", path)


@pytest.mark.usefixtures("put_back")
def test_after_a_rotation_the_old_password_opens_nothing_and_the_api_goes_on(stack: Environment) -> None:
    dsn = stack.shell('printf %s "$SOMABRAIN_POSTGRES_DSN"')
    old = password(stack)
    with psycopg.connect(dsn, password=old) as connection:
        assert connection.execute("select 1").fetchone() == (1,)
    argv = [str(CHECKOUT / "scripts/rotate_password.sh"), NAMESPACE]
    env = {**os.environ, **stack.variables, "KUBECONFIG": str(stack.kubeconfig)}
    done = subprocess.run(argv, env=env, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    new = password(stack)
    assert new != old
    assert new not in done.stdout + done.stderr
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(dsn, password=old)
    with psycopg.connect(dsn, password=new) as connection:
        assert connection.execute("select 1").fetchone() == (1,)
    until(lambda: answers(stack), "the API answers", 60)
