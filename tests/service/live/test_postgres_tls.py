"""Whose Postgres it is: with sslmode=verify-full, an authority and a name that are not the server's are refused."""

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

import pytest

from devenv.certificates.x509 import issue, new_authority
from tests.service.live.brain import asked
from tests.service.live.test_stores import of_the_test, settled
from tests.service.pooler import pooled
from tests.service.programs import run

HOST = "db.example.com"


@dataclass(frozen=True)
class Server:
    """A Postgres, or a provider's pooler before one: where it is, its certificate's name, and who signed that."""

    dsn: str
    host: str
    authority: Path
    pooled: str = "0"

    def named(self, host: str, authority: Path) -> str:
        """The address with a name for the server, whatever it resolves to, and an authority to trust."""
        parts = urlsplit(self.dsn)
        netloc = f"{parts.netloc.rpartition('@')[0]}@{host}:{parts.port}"
        query = f"hostaddr={parts.hostname}&sslmode=verify-full&sslrootcert={quote(str(authority))}"
        return urlunsplit(parts._replace(netloc=netloc, query=query))


@pytest.fixture(params=["the stack's Postgres", "a pooler that an authority vouches for"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    dsn, authority = os.environ["SOMABRAIN_POSTGRES_DSN"], tmp_path / "ca.crt"
    if request.param == "the stack's Postgres":
        authority.write_text(certificate(dsn))
        yield Server(dsn, "postgres", authority)
        return
    now = datetime.now(UTC)
    signs = new_authority("the provider", HOST, now)
    authority.write_text(signs.certificate)
    with pooled(dsn, 2, issue(signs, HOST, now)) as there:
        yield Server(there, HOST, authority, pooled="1")


def certificate(dsn: str) -> str:
    """The certificate that Postgres serves. The stack's is signed by itself, so it is its own authority."""
    parts = urlsplit(dsn)
    argv = ["openssl", "s_client", "-starttls", "postgres", "-connect", f"{parts.hostname}:{parts.port}"]
    done = subprocess.run(argv, input="", capture_output=True, text=True, timeout=30, check=False)
    begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    assert begin in done.stdout, done.stderr
    return begin + done.stdout.partition(begin)[2].partition(end)[0] + end + "\n"


def test_the_service_and_its_programs_reach_the_postgres_that_its_authority_vouches_for(server: Server) -> None:
    stores = {
        "SOMABRAIN_POSTGRES_DSN": server.named(server.host, server.authority),
        "SOMABRAIN_REDIS_URL": os.environ["SOMABRAIN_REDIS_URL"],
    }
    done = run("wait_for_postgres", "--timeout", "20", **stores)
    assert (done.returncode, done.stdout) == (0, "Postgres answers\n")
    done = run("migrate", **stores)
    assert (done.returncode, "in transaction mode" in done.stderr) == (
        (1, True) if server.pooled == "1" else (0, False)
    )
    with of_the_test(**stores, SOMABRAIN_DB_POOLED=server.pooled) as api:
        assert settled(api).status_code == 200
        assert asked(api, "POST", "/recall", json={"query": "anything"}).status_code == 200


@pytest.mark.parametrize(
    ("wrong", "why", "hint"),
    [
        ("authority", "certificate verify failed", "is not of the authority that signed it"),
        ("host", "does not match host name", "write the host into the DSN as the certificate names it"),
        ("file", "root certificate file", "make the ConfigMap postgres-ca with the provider's authority as ca.crt"),
    ],
)
def test_any_other_is_refused_with_its_reason_and_a_hint(
    server: Server, tmp_path: Path, wrong: str, why: str, hint: str
) -> None:
    another = tmp_path / "another.crt"
    if wrong == "authority":
        another.write_text(new_authority("somebody else", server.host, datetime.now(UTC)).certificate)
    host = "another.example.com" if wrong == "host" else server.host
    dsn = server.named(host, server.authority if wrong == "host" else another)
    stores = {"SOMABRAIN_POSTGRES_DSN": dsn, "SOMABRAIN_REDIS_URL": os.environ["SOMABRAIN_REDIS_URL"]}
    waited, migrated = run("wait_for_postgres", "--timeout", "1", **stores), run("migrate", **stores)
    assert (waited.returncode, migrated.returncode) == (1, 75)
    for said in (waited.stdout, waited.stderr, migrated.stderr):
        assert why in said
        assert said.endswith(f"{hint}\n")
    if wrong == "authority":
        with of_the_test(**stores) as api:
            assert api.get("/readyz").status_code == 503
            assert "postgres" in api.get("/health").json()["alerts"]
