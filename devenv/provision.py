"""The certificate in the cluster: looking at it, and the environment's own authority at work."""

from base64 import b64decode
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from devenv import acme, certificates, manifest, state, tls
from devenv.certificates import Pair
from devenv.kube import Api
from devenv.manifest import Document
from devenv.state import Folder
from devenv.table import LOCAL, Tls
from devenv.tls import Held, Seen

Drop = Callable[[Document], None]  # deletes an object and sees it gone

TYPE, CERTIFICATE, KEY, AUTHORITY = "kubernetes.io/tls", "tls.crt", "tls.key", "ca.crt"


def named(table: Tls, api_version: str, kind: str, name: str) -> Document:
    place = {"namespace": table.namespace} if table.namespace else {}
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name, **place}}


def secret(table: Tls) -> Document:
    return {**named(table, "v1", "Secret", table.secret), "type": TYPE}


def request(table: Tls) -> Document:
    """Return what names the request for an ACME certificate."""
    return named(table, acme.VERSION, "Certificate", table.secret)


def own_authority(where: Folder) -> Pair | None:
    """Return the environment's authority as its files have it."""
    try:
        return Pair(where.authority.read_text(), where.authority_key.read_text())
    except FileNotFoundError:
        return None


def look(api: Api | None, where: Folder, table: Tls) -> Seen:
    """Return what is there of the authority and of the Secret; without a cluster there is no Secret."""
    pair = own_authority(where)
    authority = certificates.read_authority(pair) if pair else None
    found = api.get(secret(table)) if api else None
    held = (
        read(found, issuer_of(api, found), pair.certificate if pair and authority else None) if api and found else None
    )
    return Seen(datetime.now(UTC), authority, held)


def issuer_of(api: Api, found: Document) -> str:
    """Return who issued what a Secret holds: the URL of an ACME directory, our own, or nobody that we know."""
    annotations = found["metadata"].get("annotations") or {}
    if name := annotations.get(acme.ISSUED_BY):
        issuer = api.get(acme.issuer(name)) if api.get(acme.DEFINITION) else None
        return str(((issuer or {}).get("spec", {}).get("acme") or {}).get("server") or f"cert-manager's {name}")
    return str(annotations.get(tls.ISSUER, ""))


def read(found: Document, issuer: str, authority: str | None) -> Held:
    if found.get("type") != TYPE:
        return Held(issuer, fault=f"is of type {found.get('type')}, not {TYPE}")
    return certificates.read_held(issuer, Pair(decoded(found, CERTIFICATE), decoded(found, KEY)), authority)


def decoded(found: Document, key: str) -> str:
    return b64decode((found.get("data") or {}).get(key, "")).decode(errors="replace")


def issue(api: Api, where: Folder, table: Tls, name: str, drop: Drop) -> str:
    """Let the authority sign a certificate into the Secret; an authority that is due is made first."""
    seen = look(api, where, table)
    pair = own_authority(where)
    if pair is None or tls.authority_due(table.host, seen):
        pair = certificates.new_authority(name, table.host, seen.now)
        where.make()
        state.write(where.authority_key, pair.key)
        state.write(where.authority, pair.certificate)
    if api.get(acme.DEFINITION):
        drop(request(table))
    if seen.held and (seen.held.issuer != LOCAL or seen.held.fault):
        # The type of a Secret cannot be changed, and cert-manager takes for its own what bears its annotations.
        drop(secret(table))
    wanted = secret(table)
    wanted["metadata"]["annotations"] = {tls.ISSUER: LOCAL}
    signed = certificates.issue(pair, table.host, seen.now)
    data = {CERTIFICATE: signed.certificate, KEY: signed.key, AUTHORITY: pair.certificate}
    api.apply({**wanted, "stringData": data})
    return f"for {certificates.SERVER_LIFE.days} days, in secret {table.secret}"


def hand_over(api: Api, table: Tls) -> None:
    """Give up what we set in the Secret: its fields are cert-manager's now, and our authority is not theirs."""
    api.apply(secret(table))


def remove(api: Api, where: Folder, table: Tls) -> list[str]:
    """Remove what `devenv tls up` made and return what that was. A Secret that somebody else filled stays, and an
    issuer that others ask.
    """
    gone = []
    if api.get(acme.DEFINITION):
        if api.get(request(table)):
            api.delete(request(table))
            gone.append(f"certificate {table.secret}")
        ours = [i for i in api.everywhere(acme.VERSION, "ClusterIssuer") if manifest.is_ours(i)]
        mine = (table.secret, table.namespace or api.namespace)
        issuers = acme.unused(ours, api.everywhere(acme.VERSION, "Certificate"), mine)
        for issuer in issuers:
            api.delete(issuer)
            api.delete(acme.account(issuer["metadata"]["name"]))
            gone.append(f"issuer {issuer['metadata']['name']}")
    found = api.get(secret(table))
    if found and is_from_us(found):
        api.delete(found)
        gone.append(f"secret {table.secret}")
    files = [file for file in (where.authority_key, where.authority, where.bundle) if file.exists()]
    for file in files:
        file.unlink()
    return [*gone, "the authority with its key"] if files else gone


def is_from_us(found: Document) -> bool:
    """Whether a Secret was filled by our authority or by an issuer that we made."""
    annotations = found["metadata"].get("annotations") or {}
    return tls.ISSUER in annotations or str(annotations.get(acme.ISSUED_BY, "")).startswith(acme.PREFIX)


def addresses(api: Api, table: Tls) -> Iterable[tuple[str, int]]:
    """Return where the Ingress says that it is served over HTTPS."""
    found = api.get(named(table, "networking.k8s.io/v1", "Ingress", table.ingress)) or {}
    points = ((found.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
    return [(point.get("ip") or point["hostname"], 443) for point in points]
