"""The certificate of the ingress: what is there, and why a new one is due. Pure.

A Secret tells by its annotations who issued what it holds: the environment's own authority, or cert-manager for an ACME
directory. A Secret without such an annotation is the user's own, and is left alone unless asked for.
"""

from dataclasses import dataclass
from datetime import datetime

from devenv.errors import UsageError
from devenv.project.schema import LOCAL

ISSUER = "devenv/issuer"  # our annotation
# Let's Encrypt's documentation, "ACME protocol endpoints" and "Staging environment".
DIRECTORIES = {
    "letsencrypt": "https://acme-v02.api.letsencrypt.org/directory",
    "letsencrypt-staging": "https://acme-staging-v02.api.letsencrypt.org/directory",
}
# Names that are not in the public DNS: RFC 2606, 6761, 6762, 8375, and ICANN's reservation of .internal.
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
    """Return why a certificate is to be renewed, if less than a third of its life is left, or an empty string."""
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


def wrong_clock(seen: Seen) -> str:
    """Return what is to be said of a clock by which the authority is yet to be made, or an empty string.

    It is trusted, and another one in its place would not be.
    """
    if seen.authority is None or seen.now >= seen.authority.not_before:
        return ""
    made, now = (f"{moment:%Y-%m-%d %H:%M} UTC" for moment in (seen.authority.not_before, seen.now))
    return f"this machine's clock says {now}, and the environment's authority was made on {made}: set the clock"


def authority_due(host: str, seen: Seen) -> str:
    """Return why a new authority has to be made, or an empty string."""
    if seen.authority is None:
        return "there is no authority yet"
    if host not in seen.authority.hosts:
        return f"the authority may not sign for {host}"
    why = ending(seen.authority, seen.now)
    return f"the authority {why}" if why else ""


def local_due(host: str, seen: Seen) -> str:
    """Return why the environment's authority has to sign a new certificate, or an empty string."""
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
    """Return why a person who asks for the local issuer gets a new certificate, or an empty string."""
    if seen.held and seen.held.issuer != LOCAL:
        return f"was issued by {seen.held.issuer or 'an unknown issuer'}"
    return local_due(host, seen)


def upkeep_due(issuer: str, host: str, seen: Seen) -> str:
    """Return why `devenv up` issues a certificate, or an empty string: only what bears our mark is renewed."""
    theirs = seen.held is not None and seen.held.issuer != LOCAL
    return "" if issuer != LOCAL or theirs else local_due(host, seen)


def obstacle(issuer: str, seen: Seen) -> str:
    """Return why the wanted local certificate cannot be put into the Secret without asking, or an empty string."""
    held = seen.held
    unmarked = held is not None and not held.issuer and held.fault
    return held.fault if issuer == LOCAL and held and unmarked else ""


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
    """Return why the ingress does not serve the Secret's certificate, or an empty string.

    `served` is the fingerprint of what came from `address`, `refused` why nothing did.
    """
    if held is None or held.certificate is None:
        return held.fault if held else "there is no such Secret"
    if not served:
        return refused
    return "" if served == held.certificate.fingerprint else f"{address} serves another certificate"
