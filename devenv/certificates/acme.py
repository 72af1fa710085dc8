"""Certificates of an ACME authority, by cert-manager: its objects as we write them, and how far a request is."""

from base64 import b64encode
from collections.abc import Iterable, Mapping

from devenv.images import daemon
from devenv.kube import documents
from devenv.kube.api import Api
from devenv.kube.objects import Id, Object, reference
from devenv.kube.readiness import Level, Readiness, conditions, owned, status_of
from devenv.project.schema import Tls
from devenv.system.digest import digest

VERSION, ACME_VERSION = "cert-manager.io/v1", "acme.cert-manager.io/v1"
NAMESPACE = "cert-manager"  # of its controllers, and of the keys of ClusterIssuers
IMAGE = "devenv.cert-manager"  # in the tool's own list
PREFIX = "devenv-"  # of the names of our ClusterIssuers
ISSUED_BY = "cert-manager.io/issuer-name"  # cert-manager's word on a Secret, written when it fills it
MADE_BY = "devenv/image"  # on a resource definition: the image that it came from
DEFINITION = reference("apiextensions.k8s.io/v1", "CustomResourceDefinition", "certificates.cert-manager.io", "")
# States of an Order or a Challenge that do not end (RFC 8555, section 7.1.6; "errored" is cert-manager's).
HOPELESS = ("invalid", "errored", "expired")


def lacking(definition: Object | None, ref: str) -> str:
    """Return why cert-manager has to be installed from our image, or an empty string: one of others is used."""
    if definition is None:
        return "this cluster has no cert-manager"
    made_by = (definition.meta.get("annotations") or {}).get(MADE_BY)
    return "it came from another image" if made_by and made_by != ref else ""


def is_foreign(definition: Object | None) -> bool:
    return definition is not None and MADE_BY not in (definition.meta.get("annotations") or {})


def issuer(name: str) -> Object:
    return reference(VERSION, "ClusterIssuer", name, "")


def account(issuer: str) -> Object:
    """Return what names the Secret with the key of an issuer's ACME account."""
    return reference("v1", "Secret", f"{issuer}-account", NAMESPACE)


def objects(table: Tls, url: str, authorities: bytes, home: str) -> tuple[Object, Object]:
    """Return the ClusterIssuer of a directory and the Certificate that asks it to fill the Secret."""
    name = f"{PREFIX}{digest([url.encode()])}"
    server = {
        "server": url,
        "privateKeySecretRef": {"name": account(name).id.name},
        "solvers": [{"http01": {"ingress": {"ingressClassName": table.ingress_class, "serviceType": "ClusterIP"}}}],
    }
    if authorities:
        server["caBundle"] = b64encode(authorities).decode()
    if table.email:
        server["email"] = table.email
    spec = {
        "secretName": table.secret,
        "dnsNames": [table.host],
        "issuerRef": {"group": "cert-manager.io", "kind": "ClusterIssuer", "name": name},
        "privateKey": {"algorithm": "ECDSA", "size": 256, "rotationPolicy": "Always"},
        "revisionHistoryLimit": 1,
    }
    meta = {"name": table.secret, "namespace": table.namespace or home}
    certificate = {"apiVersion": VERSION, "kind": "Certificate", "metadata": meta, "spec": spec}
    asked = {**issuer(name).raw, "spec": {"acme": server}}
    return Object.parse(asked, home), Object.parse(certificate, home)


def due(asked: Object, its: Object | None, certificate: Object, found: Object | None) -> str:
    """Return why a certificate has to be requested, or an empty string. `its` and `found` are the live objects."""
    for wanted, living in ((asked, its), (certificate, found)):
        if living is None:
            return f"there is no {named(wanted)}"
        if living.source != wanted.source:
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
    requests = owned(below["CertificateRequest"], certificate)
    orders = [o for r in requests for o in owned(below["Order"], r)]
    challenges = [c for o in orders for c in owned(below["Challenge"], o)]
    for obj in (*challenges, *orders):
        status = status_of(obj)
        if status.get("state") in HOPELESS:
            return Readiness(Level.FAILED, what, f"{named(obj)} is {status['state']}: {status.get('reason', '')}")
    if status_of(certificate).get("lastFailureTime"):
        return Readiness(Level.FAILED, what, said([*requests, certificate]))
    if asked is not None and "Ready" not in conditions(asked):
        return Readiness(Level.PENDING, what, f"{named(asked)}: {message(asked) or 'is being registered'}")
    told = [f"{named(obj)}: {why}" for obj in (*challenges, *orders) if (why := status_of(obj).get("reason"))]
    return Readiness(Level.PENDING, what, told[0] if told else said([*requests, certificate]))


def unused(issuers: Iterable[Object], certificates: Iterable[Object], mine: Id) -> list[Object]:
    """Return the issuers that no certificate asks but one, given by its id."""
    others = [c for c in certificates if c.id != mine]
    used = {c.raw["spec"]["issuerRef"]["name"] for c in others}
    return [i for i in issuers if i.id.name not in used]


def is_ready(certificate: Object) -> bool:
    """Whether it is issued as it is wanted now: a condition may still speak of what was wanted before."""
    ready = conditions(certificate).get("Ready")
    return ready is not None and ready.get("observedGeneration") == certificate.meta.get("generation")


def named(obj: Object) -> str:
    return f"{obj.kind.lower()}/{obj.id.name}"


def said(objects: Iterable[Object]) -> str:
    return next((f"{named(obj)}: {text}" for obj in objects if (text := message(obj))), "no answer yet")


def message(obj: Object) -> str:
    """Return what the conditions of an object tell, the issuing one first."""
    rank = {"Issuing": 0, "Ready": 1}
    found = [c for c in status_of(obj).get("conditions") or () if c["type"] in rank and c.get("message")]
    return next((str(c["message"]) for c in sorted(found, key=lambda c: rank[c["type"]])), "")


def define(api: Api, ref: str) -> str:
    """Apply the resource definitions that come with the module from which the image was built."""
    files = sorted(daemon.files(ref, "/crds").items())
    found = [definition for _, text in files for _, definition in documents.read(text.decode())]
    for definition in found:
        definition["metadata"].setdefault("annotations", {})[MADE_BY] = ref
        api.apply(Object.parse(definition, "").claimed())
    return f"{len(found)} kinds"


def look(api: Api, wanted: Object) -> Readiness:
    """Return how far the request for a certificate is."""
    # From the outside in: an inner object is then never older than the outer one that it explains.
    found, here = api.get(wanted), [wanted.id.namespace]
    asked = api.get(issuer(wanted.raw["spec"]["issuerRef"]["name"]))
    kinds = (("CertificateRequest", VERSION), ("Order", ACME_VERSION), ("Challenge", ACME_VERSION))
    below = {kind: api.objects(version, kind, here) for kind, version in kinds}
    return readiness(str(wanted.id), found, asked, below)
