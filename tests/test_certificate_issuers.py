"""What cert-manager needs to get staging's and production's certificates from Let's Encrypt."""

from typing import Any

import pytest
import yaml

from devenv.certificates import rules
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


def policies(environment: str, labels: dict[str, str], kind: str) -> list[Document]:
    """Return what is allowed to pods with these labels, by all policies that select them."""
    found = [o["spec"] for o in objects(environment) if o["kind"] == "NetworkPolicy"]
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
def test_the_issuer_that_an_ingress_names_is_there_and_solves_by_that_ingress_s_class(environment: str) -> None:
    documents = yaml.safe_load_all((CHECKOUT / "k8s/cluster-issuers.yaml").read_text())
    issuers: dict[str, Any] = {o["metadata"]["name"]: o["spec"]["acme"] for o in documents}
    (ingress,) = (o for o in objects(environment) if o["kind"] == "Ingress")
    name = ingress["metadata"]["annotations"]["cert-manager.io/cluster-issuer"]
    assert issuers[name]["server"] == rules.DIRECTORIES[name]
    (solver,) = issuers[name]["solvers"]
    assert solver["http01"]["ingress"]["ingressClassName"] == ingress["spec"]["ingressClassName"]
    assert len({issuer["privateKeySecretRef"]["name"] for issuer in issuers.values()}) == len(issuers)
