"""The way to an ACME certificate in the cluster: cert-manager's kinds and controllers, and how far a request is."""

import yaml

from devenv import acme, docker_host, manifest
from devenv.kube import Api
from devenv.manifest import Document
from devenv.readiness import Readiness


def define(api: Api, ref: str) -> str:
    """Apply the resource definitions that come with the module from which the image was built."""
    found = [yaml.safe_load(text) for _, text in sorted(docker_host.files(ref, "/crds").items())]
    for definition in found:
        definition["metadata"].setdefault("annotations", {})[acme.MADE_BY] = ref
        api.apply(manifest.claimed(definition))
    return f"{len(found)} kinds"


def look(api: Api, wanted: Document) -> Readiness:
    """Return how far the request for a certificate is."""
    here = [wanted["metadata"].get("namespace", api.namespace)]
    kinds = (("CertificateRequest", acme.VERSION), ("Order", acme.ACME_VERSION), ("Challenge", acme.ACME_VERSION))
    below = {kind: api.objects(version, kind, here) for kind, version in kinds}
    issuer = api.get(acme.issuer(wanted["spec"]["issuerRef"]["name"]))
    return acme.readiness(manifest.key(wanted), api.get(wanted), issuer, below)
