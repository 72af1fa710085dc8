"""A certificate of an ACME authority: what is asked for, and how far a request is, from the objects it goes through."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from devenv.certificates import acme
from devenv.cluster import kind
from devenv.kube.objects import Object
from devenv.kube.readiness import Level
from devenv.project.schema import Tls

TABLE = Tls.model_validate({"host": "shop.example.org", "ingress": "shop", "secret": "shop-tls", "namespace": "edge"})
URL = "https://acme.example/dir"


def obj(kind: str, owner: str = "", generation: int = 1, **status: Any) -> Object:
    owners = [{"uid": owner}] if owner else []
    meta = {"name": f"a-{kind.lower()}", "uid": kind, "generation": generation, "ownerReferences": owners}
    return Object.parse({"kind": kind, "metadata": meta, "status": status}, "shop")


def condition(kind: str, status: str, message: str = "", generation: int = 1) -> dict[str, Any]:
    return {"type": kind, "status": status, "message": message, "observedGeneration": generation}


ISSUING = obj(
    "Certificate", conditions=[condition("Ready", "False", "no secret"), condition("Issuing", "True", "first")]
)
REGISTERED = obj("ClusterIssuer", conditions=[condition("Ready", "True")])
REQUEST = obj("CertificateRequest", "Certificate", conditions=[condition("Ready", "False", "waits for its order")])
NOTHING: Mapping[str, list[Any]] = {"CertificateRequest": [], "Order": [], "Challenge": []}


def under_way(order: Mapping[str, Any], *challenges: Mapping[str, Any]) -> dict[str, list[Any]]:
    found = [obj("Challenge", "Order", **c) for c in challenges]
    return {"CertificateRequest": [REQUEST], "Order": [obj("Order", "CertificateRequest", **order)], "Challenge": found}


CASES: list[tuple[str, Any, Any, Mapping[str, list[Any]], Level, str]] = [
    ("not asked", None, None, NOTHING, Level.ABSENT, "is not in the cluster"),
    (
        "issued",
        obj("Certificate", conditions=[condition("Ready", "True")]),
        REGISTERED,
        NOTHING,
        Level.READY,
        "",
    ),
    (
        "issued for what was wanted before",
        obj("Certificate", generation=2, conditions=[condition("Ready", "True", "up to date")]),
        REGISTERED,
        NOTHING,
        Level.PENDING,
        "certificate/a-certificate: up to date",
    ),
    ("just asked", obj("Certificate"), REGISTERED, NOTHING, Level.PENDING, "no answer yet"),
    ("begun", ISSUING, REGISTERED, NOTHING, Level.PENDING, "certificate/a-certificate: first"),
    (
        "the issuer is not registered",
        ISSUING,
        obj("ClusterIssuer", conditions=[condition("Ready", "False", "no such host")]),
        NOTHING,
        Level.PENDING,
        "clusterissuer/a-clusterissuer: no such host",
    ),
    (
        "the issuer is new",
        ISSUING,
        obj("ClusterIssuer"),
        NOTHING,
        Level.PENDING,
        "clusterissuer/a-clusterissuer: is being registered",
    ),
    (
        "ordered",
        ISSUING,
        REGISTERED,
        under_way({"state": "pending"}),
        Level.PENDING,
        "certificaterequest/a-certificaterequest: waits for its order",
    ),
    (
        "challenged",
        ISSUING,
        REGISTERED,
        under_way({"state": "pending"}, {"state": "pending", "reason": "wrong status code '404'"}),
        Level.PENDING,
        "challenge/a-challenge: wrong status code '404'",
    ),
    (
        "one of two challenges failed",
        ISSUING,
        REGISTERED,
        under_way({"state": "pending"}, {"state": "pending"}, {"state": "invalid", "reason": "connection refused"}),
        Level.FAILED,
        "challenge/a-challenge is invalid: connection refused",
    ),
    (
        "refused",
        ISSUING,
        REGISTERED,
        under_way({"state": "errored", "reason": "a forbidden domain"}),
        Level.FAILED,
        "order/a-order is errored: a forbidden domain",
    ),
    (
        "failed before",
        obj("Certificate", lastFailureTime="2026", conditions=[condition("Issuing", "False", "the request failed")]),
        REGISTERED,
        NOTHING,
        Level.FAILED,
        "certificate/a-certificate: the request failed",
    ),
]


@pytest.mark.parametrize("case", CASES, ids=[c[0] for c in CASES])
def test_how_far_a_request_is_is_told_by_the_innermost_object(case: Any) -> None:
    _, certificate, issuer, below, level, why = case
    seen = acme.readiness("certificate/a", certificate, issuer, below)
    assert (seen.level, seen.why) == (level, why)


def test_what_belongs_to_another_request_says_nothing_of_this_one() -> None:
    below = under_way({"state": "errored", "reason": "of another"})
    below["CertificateRequest"] = [obj("CertificateRequest", "another")]
    assert acme.readiness("c", ISSUING, REGISTERED, below).level is Level.PENDING


def test_the_request_names_the_secret_the_host_and_a_challenge_through_the_ingress_class() -> None:
    issuer, certificate = acme.objects(TABLE, URL, b"PEM", "shop")
    spec = certificate.raw["spec"]
    assert certificate.meta == {"name": "shop-tls", "namespace": "edge"}
    assert (spec["secretName"], spec["dnsNames"]) == ("shop-tls", ["shop.example.org"])
    assert spec["issuerRef"]["name"] == issuer.id.name
    server = issuer.raw["spec"]["acme"]
    assert (server["server"], server["caBundle"]) == (URL, "UEVN")
    assert "email" not in server
    (solver,) = server["solvers"]
    assert solver["http01"]["ingress"]["ingressClassName"] == "nginx"
    assert "caBundle" not in acme.objects(TABLE, URL, b"", "shop")[0].raw["spec"]["acme"]


def test_another_directory_is_another_issuer_with_an_account_of_its_own() -> None:
    one, other = (acme.objects(TABLE, url, b"", "shop")[0] for url in (URL, f"{URL}2"))
    accounts = {i.raw["spec"]["acme"]["privateKeySecretRef"]["name"] for i in (one, other)}
    assert one.id != other.id
    assert len(accounts) == 2


def test_a_certificate_is_asked_for_until_it_is_there_as_wanted() -> None:
    issuer, certificate = (o.claimed() for o in acme.objects(TABLE, URL, b"", "shop"))
    status = {"conditions": [condition("Ready", "True")]}
    issued = Object(
        certificate.id, {**certificate.raw, "metadata": {**certificate.meta, "generation": 1}, "status": status}
    )
    assert acme.due(issuer, issuer, certificate, issued) == ""
    assert acme.due(issuer, issuer, certificate, certificate) == "the last request brought none"
    assert acme.due(issuer, issuer, certificate, None) == "there is no certificate/shop-tls"
    other = acme.objects(TABLE, URL, b"x", "shop")[0].claimed()
    assert acme.due(issuer, other, certificate, issued).startswith("clusterissuer/devenv-")


def test_cert_manager_is_installed_only_where_there_is_none_and_renewed_only_where_it_is_ours() -> None:
    def definition(**annotations: str) -> Object:
        meta = {"name": acme.DEFINITION.id.name, "annotations": annotations}
        return Object.parse({"kind": "CustomResourceDefinition", "metadata": meta}, "")

    assert acme.lacking(None, "ref") == "this cluster has no cert-manager"
    assert acme.lacking(definition(), "ref") == ""
    assert acme.lacking(definition(**{acme.MADE_BY: "ref"}), "ref") == ""
    assert acme.lacking(definition(**{acme.MADE_BY: "old"}), "ref") == "it came from another image"
    assert [acme.is_foreign(d) for d in (None, definition(), definition(**{acme.MADE_BY: "x"}))] == [False, True, False]


def test_no_copy_of_cert_managers_kinds_is_kept() -> None:
    folder = Path(kind.__file__).parent / "node_images/cert-manager"
    assert {p.name for p in folder.iterdir()} == {"Dockerfile", "go.mod", "go.sum", "main.go", "prepare"}


def test_an_issuer_goes_with_the_last_certificate_that_asks_it() -> None:
    def certificate(name: str, namespace: str, issuer: str) -> Object:
        meta, spec = {"name": name, "namespace": namespace}, {"issuerRef": {"name": issuer}}
        return Object.parse({"kind": "Certificate", "metadata": meta, "spec": spec}, "shop")

    issuers = [acme.issuer("one"), acme.issuer("two")]
    mine = certificate("tls", "shop", "one")
    assert acme.unused(issuers, [mine], mine.id) == issuers
    theirs = [certificate("tls", "other", "one"), certificate("tls2", "shop", "two")]
    for another, left in zip(theirs, ("two", "one"), strict=True):
        assert [i.id.name for i in acme.unused(issuers, [mine, another], mine.id)] == [left]
