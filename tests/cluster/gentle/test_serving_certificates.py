"""HTTPS end to end: the environment's own authority, and a certificate of an ACME authority through cert-manager."""

import json
import shutil
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from devenv.certificates import x509
from devenv.certificates.x509 import Pair
from devenv.system import state
from devenv.system.state import Folder
from tests.cluster.environment import CHECKOUT, FIRST_UP_S, Environment
from tests.cluster.shared import Shared
from tests.waiting import eventually

NAMESPACE, HOST, SECRET = "ingress-nginx", "somabrain.internal", "somabrain-tls"
DIRECTORY = "https://pebble.pebble.svc:14000/dir"
SECRET_RESOURCE = f"/api/v1/namespaces/{NAMESPACE}/secrets/{SECRET}"


def curl(stack: Environment, *options: str) -> str:
    """Ask as the runbook does, without -k; return what came back, or curl's word for why nothing did."""
    port = stack.ports["https"]
    words = f"--resolve {HOST}:{port}:127.0.0.1 https://{HOST}:{port}/health"
    for _ in range(20):
        told = stack.shell(f"curl -sS --max-time 10 {' '.join(options)} {words} 2>&1 || true")
        if not told.startswith("{") or answers(told):
            break
        time.sleep(0.5)  # a store was slow to answer the service
    return told


def answers(told: str) -> bool:
    return told.startswith("{") and json.loads(told)["ok"] is True


def certificate(stack: Environment) -> dict[str, Any]:
    return dict(json.loads(stack.run("tls", "status", "-o", "json").stdout))


def is_served(stack: Environment, within_s: float = 30) -> bool:
    end = time.monotonic() + within_s
    while not (seen := certificate(stack)["served"]) and time.monotonic() < end:
        time.sleep(0.5)
    return bool(seen)


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
    """The stack with a certificate of the environment's own authority, whoever issued the last test's."""
    seen = certificate(stack)
    if seen["issuer"] != "local" or not seen["served"]:
        stack.fine("tls", "up")
    return stack


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


@pytest.fixture(scope="module")
def pebble(shared: Shared, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Let's Encrypt's test authority inside the cluster; the path of whom its own certificate is signed by."""
    shared.heal()
    stack = shared.env
    folder, now = tmp_path_factory.mktemp("pebble"), datetime.now(UTC)
    name = "pebble.pebble.svc"
    root = x509.new_authority("pebble", name, now)
    own = x509.issue(root, name, now)
    for file, text in (("ca.crt", root.certificate), ("own.crt", own.certificate), ("own.key", own.key)):
        state.write(folder / file, text)
    files = (f"--cert={folder / 'own.crt'}", f"--key={folder / 'own.key'}")
    stack.kubectl("create", "namespace", "pebble")
    stack.kubectl("-n", "pebble", "create", "secret", "tls", "pebble-tls", *files)
    source = CHECKOUT / "tests/projects/pebble"
    target = stack.root / "k8s/images/pebble"
    shutil.copytree(source / "image", target)
    (stack.root / "k8s/overlays/dev/pebble.yaml").write_text((source / "pebble.yaml").read_text())
    changes = (
        (
            "pyproject.toml",
            "[tool.devenv.forwards.api]",
            '[tool.devenv.images.pebble]\nbuild = "k8s/images/pebble"\n\n',
        ),
        ("k8s/overlays/dev/kustomization.yaml", "patches:", "  - pebble.yaml\n"),
    )
    for file, before, added in changes:
        stack.edit(file, before, added + before)
    resolve(stack, f"rewrite name {HOST} ingress-nginx-controller.ingress-nginx.svc.cluster.local")
    stack.fine("up", within_s=FIRST_UP_S)
    shared.keep()
    yield folder / "ca.crt"
    for file, before, added in changes:
        stack.edit(file, added + before, before)
    (stack.root / "k8s/overlays/dev/pebble.yaml").unlink()
    shutil.rmtree(target)
    shared.keep()
    stack.kubectl("delete", "namespace", "pebble")
    stack.fine("up")


def resolve(stack: Environment, line: str) -> None:
    """Teach the cluster's DNS where the host is, as a public one would know."""
    found = json.loads(stack.kubectl("-n", "kube-system", "get", "configmap", "coredns", "-o", "json"))
    text = found["data"]["Corefile"].replace("    ready\n", f"    ready\n    {line}\n", 1)
    stack.kubectl("-n", "kube-system", "patch", "configmap", "coredns", "-p", json.dumps({"data": {"Corefile": text}}))
    stack.kubectl("-n", "kube-system", "rollout", "restart", "deployment/coredns")
    stack.kubectl("-n", "kube-system", "rollout", "status", "deployment/coredns")


def restart_pebble(stack: Environment, before: str, after: str) -> None:
    stack.edit("k8s/overlays/dev/pebble.yaml", before, after)
    stack.fine("up")


def issued(stack: Environment, authority: Path) -> tuple[str, ...]:
    """Have Pebble issue the certificate, and return the words that did."""
    words = ("tls", "up", "--issuer", DIRECTORY, "--ca-bundle", str(authority), "--timeout", "3m")
    # Pebble keeps its accounts in memory: the first request after its restart may meet one that it has forgotten.
    if stack.run(*words, within_s=FIRST_UP_S).returncode:
        stack.fine(*words)
    return words


def test_an_acme_authority_issues_over_a_challenge_through_our_ingress(stack: Environment, pebble: Path) -> None:
    words = issued(stack, pebble)
    assert is_served(stack)
    seen = certificate(stack)
    assert seen["issuer"] == DIRECTORY
    assert "Pebble Intermediate" in seen["certificate"]["signer"]
    # The whole chain: the ingress serves the intermediate too, and the client knows Pebble's root and nothing else.
    root = pebble.with_name("root.crt")
    management = "/api/v1/namespaces/pebble/services/https:pebble:15000/proxy"
    root.write_text(stack.kubectl("get", "--raw", f"{management}/roots/0"))
    assert answers(curl(stack, "--cacert", str(root)))
    assert "SSL certificate problem" in curl(stack)
    access = stack.kubectl("-n", NAMESPACE, "logs", "deployment/ingress-nginx-controller", "-c", "nginx").splitlines()
    asked = [line for line in access if "LetsEncrypt-Pebble-VA" in line and "/.well-known/acme-challenge/" in line]
    assert any('HTTP/1.1" 200' in line and HOST in line for line in asked)
    # cert-manager renews it; devenv has nothing to do with it any more.
    assert stack.plan() == ""
    again = stack.run(*words)
    assert again.returncode == 0
    assert "certificate" not in again.stderr


def test_the_controllers_do_with_the_rights_that_they_have(stack: Environment, pebble: Path) -> None:
    issued(stack, pebble)
    said = stack.kubectl("-n", "cert-manager", "logs", "deployment/cert-manager")
    # In the API server's words; that an authority's policy forbids a name is another matter.
    assert "is forbidden: User" not in said
    can = stack.kubectl("auth", "can-i", "--list", "--as=system:serviceaccount:cert-manager:cert-manager")
    assert "*.*" not in can


def test_what_the_authority_refuses_is_told_at_once_and_the_old_certificate_stays(
    stack: Environment, pebble: Path
) -> None:
    before = certificate(stack)["certificate"]["sha256"]
    blocked = '"httpPort": 80, "domainBlocklist": ["somabrain.internal"]'
    restart_pebble(stack, '"httpPort": 80', blocked)
    words = ("tls", "up", "--issuer", DIRECTORY, "--ca-bundle", str(pebble))
    refused = stack.run(*words)
    if "accountDoesNotExist" in refused.stderr:  # Pebble keeps its accounts in memory, and was just restarted
        refused = stack.run(*words)
    assert refused.returncode == 1
    assert "somabrain.internal is a forbidden domain" in refused.stderr
    assert "describe certificate/somabrain-tls" in refused.stderr
    assert certificate(stack)["certificate"]["sha256"] == before
    assert answers(curl(stack))
    restart_pebble(stack, blocked, '"httpPort": 80')


def test_an_authority_that_cannot_be_reached_is_told_when_time_is_up(stack: Environment, pebble: Path) -> None:
    nobody = DIRECTORY.replace("pebble.pebble", "nobody.pebble")
    late = stack.run("tls", "up", "--issuer", nobody, "--ca-bundle", str(pebble), "--timeout", "30s")
    assert late.returncode == 3
    assert "Failed to register ACME account" in late.stderr
    assert "no such host" in late.stderr


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
