"""X.509: making and reading certificates. The only importer of the cryptography library."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_network
from typing import TYPE_CHECKING

from devenv.certificates.rules import Certificate, Held

if TYPE_CHECKING:
    from cryptography import x509

AUTHORITY_LIFE, SERVER_LIFE = timedelta(days=3650), timedelta(days=90)
SKEW = timedelta(minutes=5)  # clocks that are behind ours take a new certificate at once


@dataclass(frozen=True)
class Pair:
    """A certificate and its private key, as PEM."""

    certificate: str
    key: str


def new_authority(name: str, host: str, now: datetime) -> Pair:
    """Return a new authority that may sign for the host and names below it, and for no IP address.

    A person may come to trust it for good: its key must not be able to speak for the rest of the world.
    """
    from cryptography import x509

    every_address = [x509.IPAddress(ip_network("0.0.0.0/0")), x509.IPAddress(ip_network("::/0"))]
    limits = x509.NameConstraints(permitted_subtrees=[x509.DNSName(host)], excluded_subtrees=every_address)
    return _signed(f"devenv {name}", now, AUTHORITY_LIFE, None, [(limits, True)], is_authority=True)


def issue(authority: Pair, host: str, now: datetime) -> Pair:
    """Return a server certificate for the host."""
    from cryptography import x509
    from cryptography.x509.oid import ExtendedKeyUsageOID

    extensions: list[tuple[x509.ExtensionType, bool]] = [
        (x509.SubjectAlternativeName([x509.DNSName(host)]), False),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
    ]
    return _signed(host, now, SERVER_LIFE, authority, extensions, is_authority=False)


def _signed(
    name: str, now: datetime, life: timedelta, by: Pair | None,
    extensions: "list[tuple[x509.ExtensionType, bool]]", is_authority: bool,
) -> Pair:  # fmt: skip
    """Return a certificate with a new ECDSA P-256 key, signed by `by` or by itself."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    # A common name ends at 64 characters (RFC 5280, ub-common-name); hosts are read from the subjectAltName.
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])
    signer = x509.load_pem_x509_certificate(by.certificate.encode()) if by else None
    signing = serialization.load_pem_private_key(by.key.encode(), None) if by else key
    assert isinstance(signing, ec.EllipticCurvePrivateKey)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(signer.subject if signer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SKEW)
        .not_valid_after(now - SKEW + life)
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=0 if is_authority else None), critical=True)
        .add_extension(_usage(is_authority), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signing.public_key()), critical=False)
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    made = builder.sign(signing, hashes.SHA256())
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Pair(made.public_bytes(serialization.Encoding.PEM).decode(), private.decode())


def _usage(is_authority: bool) -> "x509.KeyUsage":
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=not is_authority, key_cert_sign=is_authority, crl_sign=is_authority,
        content_commitment=False, key_encipherment=False, data_encipherment=False, key_agreement=False,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip


def read_authority(pair: Pair) -> Certificate | None:
    """Return the authority with the names that it may sign for; None for what is no certificate with its own key."""
    from cryptography import x509

    try:
        found = _loaded(pair)
        limits = found.extensions.get_extension_for_class(x509.NameConstraints).value
    except (ValueError, x509.ExtensionNotFound):
        return None
    hosts = tuple(n.value for n in limits.permitted_subtrees or () if isinstance(n, x509.DNSName))
    return _facts(found, hosts)


def read_held(issuer: str, pair: Pair, authority: str | None) -> Held:
    """Return what a Secret holds: the first certificate of its chain, if the key is the key of it."""
    from cryptography import x509

    try:
        found = _loaded(pair)
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        hosts = tuple(names.get_values_for_type(x509.DNSName))
    except x509.ExtensionNotFound:
        hosts = ()
    except ValueError as error:
        return Held(issuer, fault=str(error))
    return Held(issuer, _facts(found, hosts, ours=authority is not None and _is_signed_by(found, authority)))


def _loaded(pair: Pair) -> "x509.Certificate":
    """Return the first certificate, once the key was seen to be its own. Raise ValueError for anything else."""
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        found = x509.load_pem_x509_certificates(pair.certificate.encode())[0]
    except ValueError as error:
        raise ValueError("holds no certificate that can be read") from error
    try:
        key = load_pem_private_key(pair.key.encode(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ValueError("holds no private key that can be read") from error
    if key.public_key() != found.public_key():
        raise ValueError("holds a private key that is not the certificate's")
    return found


def _is_signed_by(found: "x509.Certificate", authority: str) -> bool:
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature

    try:
        found.verify_directly_issued_by(x509.load_pem_x509_certificate(authority.encode()))
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _facts(found: "x509.Certificate", hosts: tuple[str, ...], ours: bool = False) -> Certificate:
    from cryptography.hazmat.primitives.hashes import SHA256

    return Certificate(
        hosts=hosts,
        signer=found.issuer.rfc4514_string(),
        not_before=found.not_valid_before_utc,
        not_after=found.not_valid_after_utc,
        fingerprint=found.fingerprint(SHA256()).hex(),
        ours=ours,
    )
