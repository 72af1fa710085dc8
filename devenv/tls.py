"""The certificate that an ingress serves: what is there of it, and why a new one is due. Pure.

A Secret tells by its annotations who issued what it holds: the environment's own authority, or cert-manager for an ACME
directory. What carries no such word is somebody's own, and left alone unless a person asks.
"""

from dataclasses import dataclass
from datetime import datetime

from devenv.errors import UsageError
from devenv.table import LOCAL

ISSUER = "devenv/issuer"  # our annotation
# Let's Encrypt's documentation, "ACME protocol endpoints" and "Staging environment".
DIRECTORIES = {
    "letsencrypt": "https://acme-v02.api.letsencrypt.org/directory",
    "letsencrypt-staging": "https://acme-staging-v02.api.letsencrypt.org/directory",
}
# Names that are nobody's in the public DNS: RFC 2606, 6761, 6762, 8375, and ICANN's reservation of .internal.
PRIVATE = ("internal", "local", "localhost", "test", "example", "invalid", "home.arpa")


@dataclass(frozen=True)
class Certificate:
    """What is read of a certificate."""

    hosts: tuple[str, ...]
    signer: str
    not_before: datetime
    not_after: datetime
    fingerprint: str  # SHA-256
    ours: bool = False  # signed by the environment's authority as it is now


@dataclass(frozen=True)
class Held:
    """What the Secret holds: a certificate with its key, or the reason why neither can be used."""

    issuer: str
    certificate: Certificate | None = None
    fault: str = ""


@dataclass(frozen=True)
class Seen:
    """What is there at a moment. `authority` covers the names it may sign for in its `hosts`."""

    now: datetime
    authority: Certificate | None = None
    held: Held | None = None


def ending(certificate: Certificate, now: datetime) -> str:
    """Return why a certificate is to be renewed, if less than a third of its life is left; or nothing."""
    if now < certificate.not_before:
        return f"is not valid before {certificate.not_before:%Y-%m-%d %H:%M} UTC"
    if now >= certificate.not_after:
        return f"expired on {certificate.not_after:%Y-%m-%d}"
    left, life = certificate.not_after - now, certificate.not_after - certificate.not_before
    return f"has {left.days} of its {life.days} days left" if 3 * left < life else ""


def covers(names: tuple[str, ...], host: str) -> bool:
    """Whether a certificate for these names is one for the host; a wildcard stands for one label (RFC 6125)."""
    parent = host.partition(".")[2]
    return host in names or (bool(parent) and f"*.{parent}" in names)


def authority_due(host: str, seen: Seen) -> str:
    """Return why a new authority has to be made, or nothing."""
    if seen.authority is None:
        return "there is no authority yet"
    if host not in seen.authority.hosts:
        return f"the authority may not sign for {host}"
    why = ending(seen.authority, seen.now)
    return f"the authority {why}" if why else ""


def local_due(host: str, seen: Seen) -> str:
    """Return why the environment's authority has to sign a new certificate, or nothing."""
    if why := authority_due(host, seen):
        return why
    if seen.held is None:
        return "is not in the cluster"
    if seen.held.certificate is None:
        return seen.held.fault
    if not covers(seen.held.certificate.hosts, host):
        return f"is for {', '.join(seen.held.certificate.hosts) or 'no host'}"
    if not seen.held.certificate.ours:
        return "was not signed by this environment's authority"
    return ending(seen.held.certificate, seen.now)


def switch_due(host: str, seen: Seen) -> str:
    """Return why a person who asks for the local issuer gets a new certificate, or nothing."""
    if seen.held and seen.held.issuer != LOCAL:
        return f"was issued by {seen.held.issuer or 'somebody else'}"
    return local_due(host, seen)


def upkeep_due(issuer: str, host: str, seen: Seen) -> str:
    """Return why `devenv up` issues a certificate, or nothing: it keeps up what is local, and nobody else's."""
    held = seen.held
    theirs = held is not None and (held.issuer not in ("", LOCAL) or (not held.issuer and not held.fault))
    return "" if issuer != LOCAL or theirs else local_due(host, seen)


def directory(issuer: str, host: str) -> str:
    """Return the URL of an ACME issuer's directory. Raise UsageError where it cannot sign for the host."""
    if issuer not in DIRECTORIES:
        return issuer
    if "." not in host or any(f".{host}".endswith(f".{name}") for name in PRIVATE):
        raise UsageError(
            f"{issuer} signs for names of the public DNS only, and {host} is none: name another host in "
            f"[tool.devenv.tls], or take the issuer {LOCAL}"
        )
    return DIRECTORIES[issuer]


def verdict(held: Held | None, served: str, address: str, refused: str) -> str:
    """Return why the ingress does not serve the Secret's certificate, or nothing.

    `served` is the fingerprint of what came from `address`, `refused` why nothing did.
    """
    if held is None or held.certificate is None:
        return held.fault if held else "there is no such Secret"
    if not served:
        return refused
    return "" if served == held.certificate.fingerprint else f"{address} serves another certificate"
