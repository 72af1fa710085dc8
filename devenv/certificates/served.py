"""The certificate that an address serves, by a TLS handshake. Whether to trust it is not decided here."""

import socket
import ssl
from collections.abc import Iterable
from hashlib import sha256

WITHIN_S = 3.0

Address = tuple[str, int]


def served(host: str, addresses: Iterable[Address]) -> tuple[str, str, str]:
    """Return the SHA-256 of the certificate for a host, the first address that told it, and why none did."""
    refusals = []
    for address in addresses:
        shown = f"{address[0]}:{address[1]}"
        try:
            return fingerprint(host, address), shown, ""
        except OSError as error:
            refusals.append(f"{shown}: {error}")
    return "", "", "; ".join(refusals) or "the ingress has no address"


def fingerprint(host: str, address: Address) -> str:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(address, WITHIN_S) as plain, context.wrap_socket(plain, server_hostname=host) as tls:
        return sha256(tls.getpeercert(binary_form=True) or b"").hexdigest()
