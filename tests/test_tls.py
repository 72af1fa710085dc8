"""The certificate of the ingress: when a new one is due, whose it is, and what a program that trusts ours accepts."""

import socket
import ssl
import stat
import threading
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import cast

import certifi
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devenv.certificates import rules, secret, served, trust, x509
from devenv.certificates.rules import Certificate, Held, Seen
from devenv.certificates.x509 import Pair
from devenv.errors import DevenvError, UsageError
from devenv.kube.api import Api
from devenv.project.schema import LOCAL, Tls
from devenv.system import state
from devenv.system.state import Folder

HOST = "shop.internal"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
AUTHORITY = Certificate((HOST,), "CN=a", NOW, NOW + 3650 * DAY, "a")
FINE = Certificate((HOST,), "CN=a", NOW, NOW + 90 * DAY, "f", ours=True)
SEEN = Seen(NOW, AUTHORITY, Held(LOCAL, FINE))


@given(life=st.integers(3, 4000), gone=st.integers(-10, 4010))
def test_a_certificate_is_renewed_exactly_when_less_than_a_third_of_its_life_is_left(life: int, gone: int) -> None:
    certificate = replace(FINE, not_before=NOW, not_after=NOW + life * DAY)
    fresh = gone >= 0 and 3 * (life - gone) >= life
    assert (rules.ending(certificate, NOW + gone * DAY) == "") is fresh


FAULTS: Mapping[str, tuple[Seen, str]] = {
    "nothing is there": (Seen(NOW), "there is no authority yet"),
    "the authority is lost": (replace(SEEN, authority=None), "there is no authority yet"),
    "the authority is for another host": (
        replace(SEEN, authority=replace(AUTHORITY, hosts=("old.internal",))),
        "the authority may not sign for shop.internal",
    ),
    "the authority ends": (
        replace(SEEN, authority=replace(AUTHORITY, not_after=NOW + DAY, not_before=NOW - 9 * DAY)),
        "the authority has 1 of its 10 days left",
    ),
    "the Secret is gone": (replace(SEEN, held=None), "is not in the cluster"),
    "the Secret is broken": (replace(SEEN, held=Held(LOCAL, fault="is broken")), "is broken"),
    "the host changed": (
        replace(SEEN, held=Held(LOCAL, replace(FINE, hosts=("old.internal",)))),
        "is for old.internal",
    ),
    "another authority signed": (
        replace(SEEN, held=Held(LOCAL, replace(FINE, ours=False))),
        "was not signed by this environment's authority",
    ),
    "it ends": (replace(SEEN, now=NOW + 61 * DAY), "has 29 of its 90 days left"),
    "it has ended": (replace(SEEN, now=NOW + 90 * DAY), "expired on 2026-04-01"),
    "the clock was set back": (replace(SEEN, now=NOW - DAY), "the authority is not valid before 2026-01-01 00:00 UTC"),
}


@pytest.mark.parametrize("what", FAULTS)
def test_each_fault_of_a_local_certificate_is_a_cause(what: str) -> None:
    seen, cause = FAULTS[what]
    assert rules.local_due(HOST, seen) == cause
    assert rules.upkeep_due(LOCAL, HOST, seen) == cause
    assert rules.switch_due(HOST, seen) == cause


def test_a_good_local_certificate_is_left() -> None:
    assert (rules.local_due(HOST, SEEN), rules.upkeep_due(LOCAL, HOST, SEEN), rules.switch_due(HOST, SEEN)) == (
        "",
        "",
        "",
    )


def test_up_keeps_up_what_is_local_and_a_person_may_replace_anything() -> None:
    """All cases of: who is wanted, who issued it, whether it is usable, whether it is due."""
    directory = "https://acme.example/dir"
    for wanted, issuer, usable, due in product(
        (LOCAL, directory), (LOCAL, directory, ""), (True, False), (True, False)
    ):
        held = Held(issuer, replace(FINE, ours=not due)) if usable else Held(issuer, fault="is broken")
        seen = replace(SEEN, held=held)
        acts = wanted == LOCAL and issuer == LOCAL and (due or not usable)
        assert bool(rules.upkeep_due(wanted, HOST, seen)) is acts, (wanted, issuer, usable, due)
        assert bool(rules.switch_due(HOST, seen)) is (issuer != LOCAL or due or not usable)
        assert bool(rules.obstacle(wanted, seen)) is (wanted == LOCAL and issuer == "" and not usable)


@pytest.mark.parametrize(
    ("names", "host", "covered"),
    [
        (("a.b",), "a.b", True),
        (("*.b",), "a.b", True),
        (("*.b",), "x.a.b", False),
        (("*.b",), "b", False),
        (("b",), "a.b", False),
        (("*.",), "a", False),
        ((), "a", False),
    ],
)
def test_a_wildcard_stands_for_one_label(names: tuple[str, ...], host: str, covered: bool) -> None:
    assert rules.covers(names, host) is covered


@pytest.mark.parametrize("host", ["shop", "shop.internal", "a.localhost", "x.test", "a.b.local", "router.home.arpa"])
def test_lets_encrypt_is_not_asked_for_a_private_name(host: str) -> None:
    for issuer in rules.DIRECTORIES:
        with pytest.raises(UsageError, match="names of the public DNS only"):
            rules.directory(issuer, host)
        assert rules.directory(issuer, "shop.example.org") == rules.DIRECTORIES[issuer]
    assert rules.directory("https://acme.example/dir", host) == "https://acme.example/dir"


def test_the_verdict_compares_what_is_served_with_the_secret() -> None:
    held = Held(LOCAL, FINE)
    assert rules.verdict(held, FINE.fingerprint, "1.2.3.4:443", "") == ""
    assert rules.verdict(held, "other", "1.2.3.4:443", "") == "1.2.3.4:443 serves another certificate"
    assert rules.verdict(held, "", "", "refused") == "refused"
    assert rules.verdict(None, "other", "1.2.3.4:443", "") == "there is no such Secret"
    assert rules.verdict(Held(LOCAL, fault="is broken"), "other", "1.2.3.4:443", "") == "is broken"


@pytest.fixture(scope="module")
def authority() -> Pair:
    return x509.new_authority("shop", HOST, datetime.now(UTC))


def test_nothing_is_issued_by_a_clock_that_is_wrong(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    made = x509.new_authority("shop", HOST, datetime.now(UTC) + DAY)
    folder.authority.write_text(made.certificate)
    folder.authority_key.write_text(made.key)
    table = Tls(host=HOST, ingress="shop", secret="shop-tls")  # noqa: S106  its name
    with pytest.raises(DevenvError, match=r"set the clock; nothing was replaced"):
        secret.issue(cast(Api, None), folder, table, "shop", lambda _: None)  # before the cluster is asked
    assert folder.authority.read_text() == made.certificate


def test_a_clock_by_which_the_authority_is_yet_to_be_made_is_told() -> None:
    assert rules.wrong_clock(SEEN) == ""
    assert rules.wrong_clock(replace(SEEN, authority=None, now=NOW - 9 * DAY)) == ""
    early = replace(SEEN, now=AUTHORITY.not_before - DAY)
    assert rules.wrong_clock(early).startswith("this machine's clock says ")
    assert rules.wrong_clock(early).endswith(": set the clock")


def test_a_bundle_of_any_encoding_is_taken(tmp_path: Path, authority: Pair) -> None:
    own = tmp_path / "own.pem"
    own.write_bytes(b"# Autorit\xe9\n" + Path(certifi.where()).read_bytes())
    bundle = trusting(tmp_path, authority, {"SSL_CERT_FILE": str(own)})["SSL_CERT_FILE"]
    port = serve(x509.issue(authority, HOST, datetime.now(UTC)), tmp_path)
    assert accepted(port, HOST, bundle) == ""


def test_what_was_made_reads_back_as_good(authority: Pair) -> None:
    now = datetime.now(UTC)
    held = x509.read_held(LOCAL, x509.issue(authority, HOST, now), authority.certificate)
    assert rules.local_due(HOST, Seen(now, x509.read_authority(authority), held)) == ""


def test_another_authority_of_the_same_name_is_told_apart(authority: Pair) -> None:
    now = datetime.now(UTC)
    other = x509.new_authority("shop", HOST, now)
    held = x509.read_held(LOCAL, x509.issue(authority, HOST, now), other.certificate)
    assert held.certificate
    assert not held.certificate.ours


def test_what_cannot_be_used_is_told(authority: Pair) -> None:
    good, other = (x509.issue(authority, HOST, datetime.now(UTC)) for _ in range(2))

    def fault(certificate: str, key: str) -> str:
        return x509.read_held(LOCAL, Pair(certificate, key), authority.certificate).fault

    assert fault(good.certificate, good.key) == ""
    assert fault("", good.key) == fault("rubbish", good.key) == "holds no certificate that can be read"
    assert fault(good.certificate, "") == fault(good.certificate, "x") == "holds no private key that can be read"
    assert fault(good.certificate, other.key) == "holds a private key that is not the certificate's"
    assert x509.read_authority(Pair(authority.certificate, good.key)) is None
    assert x509.read_authority(good) is None


def serving(pair: Pair, folder: Path) -> ssl.SSLContext:
    chain = folder / "served.pem"
    chain.write_text(pair.certificate + pair.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    return context


def serve(pair: Pair, folder: Path) -> int:
    """Answer handshakes with a certificate, in a thread; return the port."""
    context = serving(pair, folder)
    listener = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        while True:
            plain = listener.accept()[0]
            try:
                with context.wrap_socket(plain, server_side=True) as one:
                    one.recv(1)
            except OSError:
                plain.close()

    threading.Thread(target=answer, daemon=True).start()
    return int(listener.getsockname()[1])


def accepted(port: int, host: str, bundle: str) -> str:
    """Return why a client that trusts the bundle refuses the server, or an empty string."""
    context = ssl.create_default_context(cafile=bundle)
    try:
        with socket.create_connection(("127.0.0.1", port)) as plain, context.wrap_socket(plain, server_hostname=host):
            return ""
    except ssl.SSLCertVerificationError as error:
        return error.verify_message


def trusting(folder: Path, authority: Pair, environ: Mapping[str, str]) -> dict[str, str]:
    where = Folder(folder / "state")
    where.make()
    state.write(where.authority_key, authority.key)
    state.write(where.authority, authority.certificate)
    return trust.exports(where, environ)


def test_a_client_with_the_exported_bundle_accepts_the_host_and_nothing_else(tmp_path: Path, authority: Pair) -> None:
    now = datetime.now(UTC)
    exported = trusting(tmp_path, authority, {})
    assert set(exported) == {"SSL_CERT_FILE", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"}
    bundle = exported["SSL_CERT_FILE"]
    port = serve(x509.issue(authority, HOST, now), tmp_path)
    assert accepted(port, HOST, bundle) == ""
    assert "Hostname mismatch" in accepted(port, "other.internal", bundle)
    assert accepted(port, HOST, certifi.where()) != ""


def test_the_authority_cannot_speak_for_the_rest_of_the_world(tmp_path: Path, authority: Pair) -> None:
    bundle = trusting(tmp_path, authority, {})["SSL_CERT_FILE"]
    port = serve(x509.issue(authority, "bank.example.org", datetime.now(UTC)), tmp_path)
    assert accepted(port, "bank.example.org", bundle) == "permitted subtree violation"


def test_the_key_and_the_bundle_are_private_and_the_bundle_keeps_a_persons_own_authorities(
    tmp_path: Path, authority: Pair
) -> None:
    own = tmp_path / "own.pem"
    own.write_text("# of this company\n")
    exported = trusting(tmp_path, authority, {"SSL_CERT_FILE": str(own)})
    bundle = Path(exported["SSL_CERT_FILE"])
    text = bundle.read_text()
    assert text.startswith("# of this company\n")
    assert authority.certificate in text
    # In a shell that has the settings already, and after the authority was made anew: ours is there once.
    other = x509.new_authority("shop", HOST, datetime.now(UTC))
    trusting(tmp_path, other, exported)
    assert bundle.read_text() == text.replace(authority.certificate, other.certificate)
    for file in (bundle, tmp_path / "state/authority.key"):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_without_an_authority_nothing_is_exported(tmp_path: Path) -> None:
    assert trust.exports(Folder(tmp_path), {}) == {}


def test_the_handshake_tells_whose_certificate_is_served(tmp_path: Path, authority: Pair) -> None:
    pair = x509.issue(authority, HOST, datetime.now(UTC))
    held = x509.read_held(LOCAL, pair, None)
    address = ("127.0.0.1", serve(pair, tmp_path))
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        dead = closed.getsockname()
        found, where, why = served.served(HOST, [dead, address])
        assert (where, why) == (f"127.0.0.1:{address[1]}", "")
        assert held.certificate
        assert found == held.certificate.fingerprint
        assert "refused" in served.served(HOST, [dead])[2]
    assert served.served(HOST, [])[2] == "the ingress has no address"
