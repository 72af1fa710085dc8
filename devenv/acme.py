"""Certificates of an ACME authority, by cert-manager: its objects as we write them, and how far a request is. Pure."""

from base64 import b64encode
from collections.abc import Iterable, Mapping

from devenv import manifest
from devenv.digest import digest
from devenv.manifest import Document
from devenv.readiness import Level, Object, Readiness, conditions, owned
from devenv.table import Tls

VERSION, ACME_VERSION = "cert-manager.io/v1", "acme.cert-manager.io/v1"
NAMESPACE = "cert-manager"  # of its controllers, and of the keys of ClusterIssuers
IMAGE = "cert-manager"  # in the tool's own list
PREFIX = "devenv-"  # of the names of our ClusterIssuers
ISSUED_BY = "cert-manager.io/issuer-name"  # cert-manager's word on a Secret, written when it fills it
MADE_BY = "devenv/image"  # on a resource definition: the image that it came from
DEFINITION: Document = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "certificates.cert-manager.io"},
}
# States of an Order or a Challenge that do not end (RFC 8555, section 7.1.6; "errored" is cert-manager's).
HOPELESS = ("invalid", "errored", "expired")


def lacking(definition: Object | None, ref: str) -> str:
    """Return why cert-manager has to be installed from our image, or nothing: one that others installed is used."""
    if definition is None:
        return "this cluster has no cert-manager"
    made_by = (definition["metadata"].get("annotations") or {}).get(MADE_BY)
    return "it came from another image" if made_by and made_by != ref else ""


def is_foreign(definition: Object | None) -> bool:
    return definition is not None and MADE_BY not in (definition["metadata"].get("annotations") or {})


def issuer(name: str) -> Document:
    return {"apiVersion": VERSION, "kind": "ClusterIssuer", "metadata": {"name": name}}


def account(issuer: str) -> Document:
    """Return what names the Secret with the key of an issuer's ACME account."""
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": f"{issuer}-account", "namespace": NAMESPACE}}


def objects(table: Tls, url: str, authorities: bytes) -> tuple[Document, Document]:
    """Return the ClusterIssuer of a directory and the Certificate that asks it to fill the Secret."""
    name = f"{PREFIX}{digest([url.encode()])}"
    server = {
        "server": url,
        "privateKeySecretRef": {"name": account(name)["metadata"]["name"]},
        "solvers": [{"http01": {"ingress": {"ingressClassName": table.ingress_class, "serviceType": "ClusterIP"}}}],
    }
    if authorities:
        server["caBundle"] = b64encode(authorities).decode()
    if table.email:
        server["email"] = table.email
    place = {"namespace": table.namespace} if table.namespace else {}
    spec = {
        "secretName": table.secret,
        "dnsNames": [table.host],
        "issuerRef": {"group": "cert-manager.io", "kind": "ClusterIssuer", "name": name},
        "privateKey": {"algorithm": "ECDSA", "size": 256, "rotationPolicy": "Always"},
        "revisionHistoryLimit": 1,
    }
    certificate = {"apiVersion": VERSION, "kind": "Certificate", "metadata": {"name": table.secret, **place}}
    return {**issuer(name), "spec": {"acme": server}}, {**certificate, "spec": spec}


def due(asked: Document, its: Object | None, certificate: Document, found: Object | None) -> str:
    """Return why a certificate has to be asked for, or nothing. `its` and `found` are the living ones."""
    for wanted, living in ((asked, its), (certificate, found)):
        if living is None:
            return f"there is no {named(wanted)}"
        if manifest.source(living) != manifest.source(wanted):
            return f"{named(wanted)} changed"
    return "" if found and is_ready(found) else "the last request brought none"


def readiness(
    what: str, certificate: Object | None, asked: Object | None, below: Mapping[str, Iterable[Object]]
) -> Readiness:
    """Return how far a request is. `below` has the objects of the namespace, by kind, through which it goes.

    Where it stands is told by the innermost of them that says something; one that was refused stays so for an hour.
    """
    if certificate is None:
        return Readiness(Level.ABSENT, what, "is not in the cluster")
    if is_ready(certificate):
        return Readiness(Level.READY, what)
    requests = owned(below["CertificateRequest"], certificate["metadata"]["uid"])
    orders = [o for r in requests for o in owned(below["Order"], r["metadata"]["uid"])]
    challenges = [c for o in orders for c in owned(below["Challenge"], o["metadata"]["uid"])]
    for obj in (*challenges, *orders):
        status = obj.get("status") or {}
        if status.get("state") in HOPELESS:
            return Readiness(Level.FAILED, what, f"{named(obj)} is {status['state']}: {status.get('reason', '')}")
    if (certificate.get("status") or {}).get("lastFailureTime"):
        return Readiness(Level.FAILED, what, said([*requests, certificate]))
    if asked is not None and "Ready" not in conditions(asked):
        return Readiness(Level.PENDING, what, f"{named(asked)}: {message(asked) or 'is being registered'}")
    told = [
        f"{named(obj)}: {why}" for obj in (*challenges, *orders) if (why := (obj.get("status") or {}).get("reason"))
    ]
    return Readiness(Level.PENDING, what, told[0] if told else said([*requests, certificate]))


def unused(issuers: Iterable[Object], certificates: Iterable[Object], mine: tuple[str, str]) -> list[Object]:
    """Return the issuers that no certificate asks but one, given by its name and namespace."""
    others = [c for c in certificates if (c["metadata"]["name"], c["metadata"]["namespace"]) != mine]
    used = {c["spec"]["issuerRef"]["name"] for c in others}
    return [i for i in issuers if i["metadata"]["name"] not in used]


def is_ready(certificate: Object) -> bool:
    """Whether it is issued as it is wanted now: a condition may still speak of what was wanted before."""
    ready = conditions(certificate).get("Ready")
    return ready is not None and ready.get("observedGeneration") == certificate["metadata"].get("generation")


def named(obj: Object) -> str:
    return f"{obj['kind'].lower()}/{obj['metadata']['name']}"


def said(objects: Iterable[Object]) -> str:
    return next((f"{named(obj)}: {text}" for obj in objects if (text := message(obj))), "no answer yet")


def message(obj: Object) -> str:
    """Return what the conditions of an object tell, the issuing one first."""
    rank = {"Issuing": 0, "Ready": 1}
    found = [c for c in (obj.get("status") or {}).get("conditions") or () if c["type"] in rank and c.get("message")]
    return next((str(c["message"]) for c in sorted(found, key=lambda c: rank[c["type"]])), "")
