"""What cert-manager needs to get staging's and production's certificates from Let's Encrypt."""

from typing import Any

import pytest
import yaml

from devenv.certificates import rules
from tests.cluster import pebble
from tests.rendering import CHECKOUT, Document, objects

RELEASED = ("staging", "prod")
SOLVER = {"acme.cert-manager.io/http01-solver": "true"}  # cert-manager's label of the pods that answer a challenge
SOLVER_PORT = 8089
CONTROLLER = {"kubernetes.io/metadata.name": "ingress-nginx"}


def selects(selector: Document, labels: dict[str, str]) -> bool:
    """Whether a selector of matchLabels and of matchExpressions with In selects a pod."""
    exact = all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())
    for expression in selector.get("matchExpressions", ()):
        assert expression["operator"] == "In"
        exact = exact and labels.get(expression["key"]) in expression["values"]
    return exact


def policies(environment: str, labels: dict[str, str], kind: str, without: str = "") -> list[Document]:
    """Return what is allowed to pods with these labels, by all policies that select them but one."""
    there = [o for o in objects(environment) if o["kind"] == "NetworkPolicy"]
    found = [o["spec"] for o in there if o["metadata"]["name"] != without]
    chosen = [spec for spec in found if selects(spec["podSelector"], labels) and kind in spec["policyTypes"]]
    assert chosen  # nothing is denied to a pod that no policy selects
    return [rule for spec in chosen for rule in spec.get(kind.lower(), ())]


@pytest.mark.parametrize("environment", RELEASED)
def test_a_challenge_reaches_the_solver_through_the_ingress_and_nothing_else_does(environment: str) -> None:
    assert policies(environment, SOLVER, "Ingress") == [
        {"from": [{"namespaceSelector": {"matchLabels": CONTROLLER}}], "ports": [{"port": SOLVER_PORT}]}
    ]
    assert policies(environment, SOLVER, "Egress") == []


@pytest.mark.parametrize("environment", RELEASED)
def test_one_policy_alone_lets_a_challenge_through(environment: str) -> None:
    """It is the one that tests/cluster/gentle/test_acme_certificates.py holds back at first."""
    assert policies(environment, SOLVER, "Ingress", without="acme-solver") == []


def test_the_issuers_of_the_proof_differ_in_the_server_that_they_ask_and_nothing_else() -> None:
    documents = list(yaml.safe_load_all((CHECKOUT / "k8s/cluster-issuers.yaml").read_text()))
    replaced = pebble.issuers("https://ca.test/dir", b"PEM")
    assert [o["metadata"] for o in replaced] == [o["metadata"] for o in documents]
    for before, after in zip(documents, replaced, strict=True):
        own = {"server": "https://ca.test/dir", "caBundle": "UEVN"}
        assert after["spec"]["acme"] == before["spec"]["acme"] | own


@pytest.mark.parametrize("environment", RELEASED)
def test_the_issuer_that_an_ingress_names_is_there_and_solves_by_that_ingress_s_class(environment: str) -> None:
    documents = yaml.safe_load_all((CHECKOUT / "k8s/cluster-issuers.yaml").read_text())
    issuers: dict[str, Any] = {o["metadata"]["name"]: o["spec"]["acme"] for o in documents}
    (ingress,) = (o for o in objects(environment) if o["kind"] == "Ingress")
    name = ingress["metadata"]["annotations"]["cert-manager.io/cluster-issuer"]
    assert issuers[name]["server"] == rules.DIRECTORIES[name]
    (solver,) = issuers[name]["solvers"]
    assert solver["http01"]["ingress"]["ingressClassName"] == ingress["spec"]["ingressClassName"]
    assert len({issuer["privateKeySecretRef"]["name"] for issuer in issuers.values()}) == len(issuers)
