"""HTTPS end to end, with a certificate of the environment's own authority."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from devenv.certificates import x509
from devenv.certificates.x509 import Pair
from devenv.system import state
from devenv.system.state import Folder
from tests.cluster.environment import Environment
from tests.cluster.https import HOST, NAMESPACE, SECRET, answers, certificate, curl, is_served, with_own_certificate
from tests.waiting import eventually

SECRET_RESOURCE = f"/api/v1/namespaces/{NAMESPACE}/secrets/{SECRET}"


def tells(stack: Environment, what: str) -> int:
    """How often the ingress has told this in an Event."""
    events = stack.objects("-n", NAMESPACE, "events")
    return sum(event.get("count") or 1 for event in events if what in event["message"])


def authority(stack: Environment) -> Pair:
    where = Folder(stack.kubeconfig.parent)
    return Pair(where.authority.read_text(), where.authority_key.read_text())


def put(stack: Environment, pair: Pair, folder: Path) -> None:
    """Write a certificate over the one in the Secret; whoever it is from, the Secret says what it said before."""
    patch = folder / "patch.json"
    patch.write_text(json.dumps({"stringData": {"tls.crt": pair.certificate, "tls.key": pair.key}}))
    stack.kubectl("-n", NAMESPACE, "patch", "secret", SECRET, "--patch-file", str(patch))


@pytest.fixture
def stack(stack: Environment) -> Environment:
    return with_own_certificate(stack)


def test_the_runbooks_request_is_answered_without_k_once_the_settings_are_exported(stack: Environment) -> None:
    assert answers(curl(stack))
    assert "SSL certificate problem" in curl(stack, "--cacert", "/etc/ssl/certs/ca-certificates.crt")
    # Python's own TLS, which reads another of the exported settings.
    code = (
        "import socket, ssl, sys; "
        "connection = socket.create_connection((sys.argv[1], int(sys.argv[2]))); "
        "print(ssl.create_default_context().wrap_socket(connection, server_hostname=sys.argv[3]).version())"
    )
    words = f"python3 -c '{code}' 127.0.0.1 {stack.ports['https']} {HOST} 2>&1 || true"
    assert stack.shell(words) == "TLSv1.3\n"
    assert "certificate verify failed" in stack.shell(
        f"export SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt\n{words}"
    )


def test_status_tells_whose_certificate_it_is_and_that_the_ingress_serves_that_very_one(stack: Environment) -> None:
    seen = json.loads(stack.fine("tls", "status", "-o", "json"))
    assert (seen["issuer"], seen["certificate"]["hosts"], seen["served"]) == ("local", [HOST], True)
    assert seen["certificate"]["days_left"] in (89, 90)
    assert Path(seen["authority"]).with_suffix(".key").stat().st_mode & 0o777 == 0o600
    assert "days left" in stack.fine("tls", "status")


def test_a_certificate_that_is_due_is_renewed_by_up(stack: Environment, tmp_path: Path) -> None:
    old = x509.issue(authority(stack), HOST, datetime.now(UTC) - timedelta(days=61))
    put(stack, old, tmp_path)
    assert is_served(stack)
    assert stack.plan() == f"certificate {HOST}: has 28 of its 90 days left\n"
    stack.fine("up")
    assert stack.plan() == ""
    assert is_served(stack)
    assert certificate(stack)["certificate"]["days_left"] in (89, 90)


def test_a_broken_secret_leaves_the_last_good_one_serving_and_up_mends_it(stack: Environment, tmp_path: Path) -> None:
    before = certificate(stack)["certificate"]["sha256"]
    kept, gone = "the last good certificate is still served", f"Secret {NAMESPACE}/{SECRET} "
    told = tells(stack, kept)
    put(stack, Pair("rubbish", "rubbish"), tmp_path)
    failed = stack.run("tls", "status")
    assert failed.returncode == 1
    assert "no: holds no certificate that can be read" in failed.stdout
    eventually(lambda: tells(stack, kept) > told)
    assert answers(curl(stack))
    assert stack.plan() == f"certificate {HOST}: holds no certificate that can be read\n"
    stack.fine("up")
    assert is_served(stack)
    assert certificate(stack)["certificate"]["sha256"] != before

    # Secrets of other types are not watched: the ingress tells that the one it needs is gone.
    told = tells(stack, gone)
    stack.kubectl("delete", "--raw", SECRET_RESOURCE)
    stack.kubectl("-n", NAMESPACE, "create", "secret", "generic", SECRET, "--from-literal=colour=blue")
    eventually(lambda: tells(stack, gone) > told)
    assert answers(curl(stack))
    # It bears no mark of ours, so it is another's until a person asks.
    assert stack.plan() == ""
    refused = stack.run("up")
    assert refused.returncode == 1
    assert f"secret/{SECRET} is of type Opaque" in refused.stderr
    assert "not managed by devenv; refusing to overwrite it" in refused.stderr
    assert "colour" in stack.kubectl("-n", NAMESPACE, "get", "secret", SECRET, "-o", "yaml")
    stack.fine("tls", "up")
    assert is_served(stack)
    assert answers(curl(stack))


def test_a_lost_authority_is_made_anew_with_a_certificate_of_it(stack: Environment) -> None:
    Folder(stack.kubeconfig.parent).authority_key.unlink()
    assert stack.plan() == f"certificate {HOST}: there is no authority yet\n"
    stack.fine("tls", "up")
    assert answers(curl(stack))
    assert stack.plan() == ""


def test_a_persons_own_certificate_is_replaced_only_when_they_ask(stack: Environment, tmp_path: Path) -> None:
    own = x509.issue(x509.new_authority("own", HOST, datetime.now(UTC)), HOST, datetime.now(UTC))
    for name, text in (("own.crt", own.certificate), ("own.key", own.key)):
        state.write(tmp_path / name, text)
    stack.kubectl("delete", "--raw", SECRET_RESOURCE)
    files = (f"--cert={tmp_path / 'own.crt'}", f"--key={tmp_path / 'own.key'}")
    stack.kubectl("-n", NAMESPACE, "create", "secret", "tls", SECRET, *files)
    assert is_served(stack)
    assert stack.plan() == ""
    assert certificate(stack)["issuer"] == "unknown"
    assert "was issued by an unknown issuer" in stack.run("tls", "up").stderr
    assert answers(curl(stack))


def test_trust_tells_the_commands_for_each_system_and_changes_nothing(stack: Environment) -> None:
    file = stack.kubeconfig.parent / "authority.crt"
    before = sorted(Path("/usr/local/share/ca-certificates").glob("*"))
    told = stack.fine("tls", "trust")
    for command in ("update-ca-certificates", "security add-trusted-cert", "certutil -d sql:"):
        assert command in told
    assert told.count(str(file)) >= 4
    assert sorted(Path("/usr/local/share/ca-certificates").glob("*")) == before


def test_lets_encrypt_is_not_asked_for_a_private_name(stack: Environment) -> None:
    refused = stack.run("tls", "up", "--issuer", "letsencrypt")
    assert refused.returncode == 2
    assert "signs for names of the public DNS only" in refused.stderr


def test_the_runbooks_script_ends_with_an_answer_over_https(stack: Environment) -> None:
    told = stack.shell("./scripts/setup_ingress_tls.sh")
    address = certificate(stack)["address"].rpartition(":")[0]
    assert f"{address} {HOST}" in told
    assert "somabrain-ingress" in told
    assert answers(told.splitlines()[-1])
    assert HOST not in Path("/etc/hosts").read_text()


def test_down_leaves_no_certificate_request_or_authority_and_up_makes_it_anew(stack: Environment) -> None:
    assert "secret somabrain-tls" in stack.run("tls", "down").stderr
    eventually(lambda: stack.objects("-n", NAMESPACE, "secrets") == [])
    assert not any(stack.kubeconfig.parent.glob("authorit*"))
    assert "SSL_CERT_FILE" not in stack.fine("env")
    assert stack.run("tls", "status").returncode == 1
    assert "nothing to remove" in stack.run("tls", "down").stderr
    stack.fine("up")
    assert is_served(stack)
    assert answers(curl(stack))
