"""Certificates of an ACME authority, through cert-manager: the stack's own, and that of staging as it is released."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.cluster import ingress as ingresses
from tests.cluster import pebble as pebbles
from tests.cluster.environment import Environment
from tests.cluster.https import HOST, answers, certificate, curl, is_served, with_own_certificate
from tests.cluster.ingress import Ingress
from tests.cluster.objects import Object
from tests.cluster.pebble import DIRECTORY, Pebble
from tests.cluster.shared import Shared
from tests.rendering import objects
from tests.waiting import eventually

STAGING, STAGING_HOST = "somabrain-staging", "somabrain.staging.example.com"
WORKLOADS = ("Deployment", "StatefulSet", "Job")
# The first packets of a new pod may pass, until the engine of the policies knows its address.
KNOWN_WITHIN_S = 2


@pytest.fixture(scope="module")
def pebble(shared: Shared, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pebble]:
    with pebbles.running(shared, tmp_path_factory.mktemp("pebble"), HOST, STAGING_HOST) as running:
        yield running


@pytest.fixture
def stack(stack: Environment) -> Environment:
    return with_own_certificate(stack)


def lacks_rights(stack: Environment) -> bool:
    """Whether the API server has refused cert-manager anything."""
    # In its words: that an authority's policy forbids a name is another matter.
    return "is forbidden: User" in stack.kubectl("-n", "cert-manager", "logs", "deployment/cert-manager")


def test_an_acme_authority_issues_over_a_challenge_through_our_ingress(stack: Environment, pebble: Pebble) -> None:
    words = pebble.issued()
    assert is_served(stack)
    seen = certificate(stack)
    assert seen["issuer"] == DIRECTORY
    assert "Pebble Intermediate" in seen["certificate"]["signer"]
    # The whole chain: the ingress serves the intermediate too, and the client knows Pebble's root and nothing else.
    assert answers(curl(stack, "--cacert", str(pebble.root())))
    assert "SSL certificate problem" in curl(stack)
    assert any('HTTP/1.1" 200' in line for line in pebble.asked(HOST))
    # cert-manager renews it; devenv has nothing to do with it any more.
    assert stack.plan() == ""
    again = stack.run(*words)
    assert again.returncode == 0
    assert "certificate" not in again.stderr


@pytest.mark.usefixtures("pebble")
def test_the_controllers_do_with_the_rights_that_they_have(stack: Environment) -> None:
    assert not lacks_rights(stack)
    can = stack.kubectl("auth", "can-i", "--list", "--as=system:serviceaccount:cert-manager:cert-manager")
    assert "*.*" not in can


def test_what_the_authority_refuses_is_told_at_once_and_the_old_certificate_stays(
    stack: Environment, pebble: Pebble
) -> None:
    before = certificate(stack)["certificate"]["sha256"]
    blocked = '"httpPort": 80, "domainBlocklist": ["somabrain.internal"]'
    pebble.restart('"httpPort": 80', blocked)
    words = ("tls", "up", "--issuer", DIRECTORY, "--ca-bundle", str(pebble.authority))
    refused = stack.run(*words)
    if "accountDoesNotExist" in refused.stderr:  # Pebble keeps its accounts in memory, and was just restarted
        refused = stack.run(*words)
    assert refused.returncode == 1
    assert "somabrain.internal is a forbidden domain" in refused.stderr
    assert "describe certificate/somabrain-tls" in refused.stderr
    assert certificate(stack)["certificate"]["sha256"] == before
    assert answers(curl(stack))
    pebble.restart(blocked, '"httpPort": 80')


def test_an_authority_that_cannot_be_reached_is_told_when_time_is_up(stack: Environment, pebble: Pebble) -> None:
    nobody = DIRECTORY.replace("pebble.pebble", "nobody.pebble")
    late = stack.run("tls", "up", "--issuer", nobody, "--ca-bundle", str(pebble.authority), "--timeout", "30s")
    assert late.returncode == 3
    assert "Failed to register ACME account" in late.stderr
    assert "no such host" in late.stderr


def apply(stack: Environment, found: list[Object]) -> None:
    ingresses.kubectl(stack, "apply", "-f", "-", text=yaml.safe_dump_all(found))


@pytest.fixture
def staging(stack: Environment, pebble: Pebble) -> Iterator[Environment]:
    """A cluster without staging, whose issuers of Let's Encrypt ask Pebble."""
    gone = ("delete", "--ignore-not-found", "--timeout=120s")
    stack.kubectl(*gone, "namespace", STAGING)  # another test's may still be on its way out
    issuers = pebbles.issuers(DIRECTORY, pebble.authority.read_bytes())
    apply(stack, issuers)
    yield stack
    stack.kubectl(*gone, "namespace", STAGING)
    for issuer in issuers:
        stack.kubectl(*gone, "clusterissuer", issuer["metadata"]["name"])
        account = issuer["spec"]["acme"]["privateKeySecretRef"]["name"]
        stack.kubectl(*gone, "--namespace=cert-manager", "secret", account)


def challenge_path(stack: Environment) -> str:
    """Return the path at which cert-manager's pod answers the challenge, or an empty string before it does."""
    rules = [rule for i in stack.objects("-n", STAGING, "ingresses") for rule in i["spec"]["rules"]]
    paths = [path["path"] for rule in rules for path in rule["http"]["paths"]]
    return next((path for path in paths if path.startswith("/.well-known/acme-challenge/")), "")


def solver_runs(stack: Environment) -> bool:
    pods = stack.objects("-n", STAGING, "pods", "--selector", "acme.cert-manager.io/http01-solver=true")
    return any(container["ready"] for pod in pods for container in pod["status"].get("containerStatuses", ()))


def released() -> tuple[list[Object], list[Object]]:
    """Return staging as it is released, and apart from it the policy that lets challenges through.

    Nothing of it runs: an Ingress gets its certificate without what it leads to. Priority classes are the cluster's,
    which has them already.
    """
    found = [o for o in objects("staging") if o["kind"] not in (*WORKLOADS, "PriorityClass")]
    policy = [o for o in found if o["metadata"]["name"] == "acme-solver"]
    return [o for o in found if o not in policy], policy


def test_staging_as_released_gets_its_certificate_through_its_policies(
    staging: Environment, pebble: Pebble, tmp_path: Path
) -> None:
    """Nothing is changed but the ACME server of the issuers; the host is the overlay's, known to the cluster's DNS."""
    ingress = Ingress(staging, tmp_path)
    environment, policy = released()
    assert [rule["host"] for o in environment if o["kind"] == "Ingress" for rule in o["spec"]["rules"]] == [
        STAGING_HOST
    ]
    apply(staging, environment)
    eventually(lambda: challenge_path(staging) != "", 60, "there is a challenge")
    # Whatever nobody allows is denied: the ingress gets no answer of the pod, and no certificate comes.
    path = challenge_path(staging)
    eventually(lambda: solver_runs(staging), 60, "the solver runs")
    time.sleep(KNOWN_WITHIN_S)
    eventually(lambda: ingress.ask(STAGING_HOST, path).status_code == 504, 60, "the solver is out of reach")

    apply(staging, policy)
    staging.kubectl("-n", STAGING, "wait", "--for=condition=Ready", "certificate/somabrain-tls", "--timeout=120s")
    found = json.loads(staging.kubectl("-n", STAGING, "get", "certificate", "somabrain-tls", "-o", "json"))
    assert found["metadata"]["ownerReferences"][0]["kind"] == "Ingress"
    assert found["spec"]["issuerRef"]["name"] == "letsencrypt-staging"
    # 503: this very host, with a chain to Pebble's root, and no pod behind it.
    status = ("--cacert", str(pebble.root()), "--output", "/dev/null", "--write-out", "'%{http_code}'")
    eventually(lambda: curl(staging, *status, host=STAGING_HOST) == "503", what="the certificate is served")
    assert "SSL certificate problem" in curl(staging, host=STAGING_HOST)
    eventually(lambda: any('HTTP/1.1" 200' in line for line in pebble.asked(STAGING_HOST)), what="Pebble asked")
    eventually(lambda: staging.objects("-n", STAGING, "pods") == [], what="the solver is gone")
    assert not lacks_rights(staging)
