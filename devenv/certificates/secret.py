"""The certificate in the cluster: looking at it, and the environment's own authority at work."""

from base64 import b64decode
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from devenv.certificates import acme, rules, x509
from devenv.certificates.rules import Held, Seen
from devenv.certificates.x509 import Pair
from devenv.errors import DevenvError
from devenv.kube.api import Api
from devenv.kube.objects import Object
from devenv.kube.readiness import status_of
from devenv.project.schema import LOCAL, Tls
from devenv.system import state
from devenv.system.state import Folder

Drop = Callable[[Object], None]  # deletes an object and sees it gone

TYPE, CERTIFICATE, KEY, AUTHORITY = "kubernetes.io/tls", "tls.crt", "tls.key", "ca.crt"


def named(table: Tls, home: str, api_version: str, kind: str, name: str, **content: Any) -> Object:
    """Return an object beside the Ingress; `home` is the project's own namespace."""
    meta = {"name": name, "namespace": table.namespace or home}
    return Object.parse({"apiVersion": api_version, "kind": kind, "metadata": meta, **content}, home)


def secret(table: Tls, home: str, **content: Any) -> Object:
    return named(table, home, "v1", "Secret", table.secret, type=TYPE, **content)


def request(table: Tls, home: str) -> Object:
    """Return what names the request for an ACME certificate."""
    return named(table, home, acme.VERSION, "Certificate", table.secret)


def own_authority(folder: Folder) -> Pair | None:
    """Return the environment's authority as its files have it."""
    try:
        return Pair(folder.authority.read_text(), folder.authority_key.read_text())
    except FileNotFoundError:
        return None


def look(api: Api | None, folder: Folder, table: Tls) -> Seen:
    """Return what is there of the authority and of the Secret; without a cluster there is no Secret."""
    pair = own_authority(folder)
    authority = x509.read_authority(pair) if pair else None
    found = api.get(secret(table, api.namespace)) if api else None
    held = (
        read(found, issuer_of(api, found), pair.certificate if pair and authority else None) if api and found else None
    )
    return Seen(datetime.now(UTC), authority, held)


def issuer_of(api: Api, found: Object) -> str:
    """Return who issued a Secret's certificate: the URL of an ACME directory, `local`, or an empty string."""
    annotations = found.meta.get("annotations") or {}
    if name := annotations.get(acme.ISSUED_BY):
        issuer = api.get(acme.issuer(name)) if api.get(acme.DEFINITION) else None
        spec = issuer.raw.get("spec", {}) if issuer else {}
        return str((spec.get("acme") or {}).get("server") or f"cert-manager's {name}")
    return str(annotations.get(rules.ISSUER, ""))


def read(found: Object, issuer: str, authority: str | None) -> Held:
    if found.raw.get("type") != TYPE:
        return Held(issuer, fault=f"is of type {found.raw.get('type')}, not {TYPE}")
    return x509.read_held(issuer, Pair(decoded(found, CERTIFICATE), decoded(found, KEY)), authority)


def decoded(found: Object, key: str) -> str:
    return b64decode((found.raw.get("data") or {}).get(key, "")).decode(errors="replace")


def issue(api: Api, folder: Folder, table: Tls, name: str, drop: Drop) -> str:
    """Let the authority sign a certificate into the Secret; an authority that is due is made first."""
    seen = look(api, folder, table)
    if why := rules.wrong_clock(seen):
        raise DevenvError(f"{why}; nothing was replaced")
    pair = own_authority(folder)
    if pair is None or rules.authority_due(table.host, seen):
        pair = x509.new_authority(name, table.host, seen.now)
        folder.make()
        state.write(folder.authority_key, pair.key)
        state.write(folder.authority, pair.certificate)
    if api.get(acme.DEFINITION) and (asked := api.get(request(table, api.namespace))):
        if not asked.is_ours():
            raise DevenvError(
                f"{asked.id} exists and is not managed by devenv: cert-manager would fill the Secret again\n"
                f"hint: delete it, or name another secret in [tool.devenv.tls]"
            )
        drop(asked)
    if seen.held and (seen.held.issuer != LOCAL or seen.held.fault):
        # The type of a Secret cannot be changed, and cert-manager takes for its own what bears its annotations.
        drop(secret(table, api.namespace))
    signed = x509.issue(pair, table.host, seen.now)
    data = {CERTIFICATE: signed.certificate, KEY: signed.key, AUTHORITY: pair.certificate}
    wanted = secret(table, api.namespace, stringData=data)
    annotated = {**wanted.meta, "annotations": {rules.ISSUER: LOCAL}}
    api.apply(replace(wanted, raw={**wanted.raw, "metadata": annotated}))
    return f"for {x509.SERVER_LIFE.days} days, in secret {table.secret}"


def hand_over(api: Api, table: Tls) -> None:
    """Give up what we set in the Secret: its fields are cert-manager's now, and our authority is not theirs."""
    api.apply(secret(table, api.namespace))


def remove(api: Api, folder: Folder, table: Tls, drop: Drop) -> list[str]:
    """Remove what `devenv tls up` made, see it gone, and return what that was.

    A Secret that another issuer filled stays, a request that somebody else made, and an issuer that others use.
    """
    gone = []
    if api.get(acme.DEFINITION):
        asked = api.get(request(table, api.namespace))
        if asked and asked.is_ours():
            drop(asked)
            gone.append(f"certificate {table.secret}")
        ours = [i for i in api.listed(acme.VERSION, "ClusterIssuer") if i.is_ours()]
        mine = request(table, api.namespace).id
        issuers = acme.unused(ours, api.listed(acme.VERSION, "Certificate"), mine)
        for issuer in issuers:
            drop(issuer)
            drop(acme.account(issuer.id.name))
            gone.append(f"issuer {issuer.id.name}")
    found = api.get(secret(table, api.namespace))
    if found and is_from_us(found):
        drop(found)
        gone.append(f"secret {table.secret}")
    files = [file for file in (folder.authority_key, folder.authority, folder.bundle) if file.exists()]
    for file in files:
        file.unlink()
    return [*gone, "the authority with its key"] if files else gone


def is_from_us(found: Object) -> bool:
    """Whether a Secret was filled by our authority or by an issuer that we made."""
    annotations = found.meta.get("annotations") or {}
    return rules.ISSUER in annotations or str(annotations.get(acme.ISSUED_BY, "")).startswith(acme.PREFIX)


def addresses(api: Api, table: Tls) -> Iterable[tuple[str, int]]:
    """Return where the Ingress says that it is served over HTTPS."""
    found = api.get(named(table, api.namespace, "networking.k8s.io/v1", "Ingress", table.ingress))
    points = (status_of(found).get("loadBalancer") or {}).get("ingress") or () if found else ()
    return [(point.get("ip") or point["hostname"], 443) for point in points]
