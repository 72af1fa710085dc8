"""What `devenv tls` does, apart from printing: each function returns values that cli.py shows."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from devenv import cert_manager, execute, handshake, observe, process, provider, provision, sources, state, tls, trust
from devenv import plan as planning
from devenv.config import Settings
from devenv.errors import DevenvError, UsageError
from devenv.execute import Tell
from devenv.kube import Api
from devenv.plan import Cluster
from devenv.state import Folder
from devenv.table import LOCAL, Tls
from devenv.wait import settle

Say = Callable[[str], None]
SERVED_WITHIN_S = 30.0


@dataclass(frozen=True)
class Served:
    """What the Secret holds, and why the ingress does not serve it, if it does not."""

    seen: tls.Seen
    address: str
    why: str

    @property
    def settled(self) -> bool:
        return not self.why


def table(settings: Settings) -> Tls:
    if settings.project.tls is None:
        raise UsageError(f"{settings.file}: has no table [tool.devenv.tls]; docs/reference.md of devenv shows one")
    return settings.project.tls


def up(settings: Settings, within_s: float, tell: Tell, say: Say) -> dict[str, Any]:
    """Bring the issuer's certificate into the Secret and see the ingress serve it. What is fine is left alone."""
    wanted, where = table(settings), provider.place(settings)
    url = "" if wanted.issuer == LOCAL else tls.directory(wanted.issuer, wanted.host)
    with state.locked(where, "tls up", say):
        want = sources.load(settings)
        have = observe.snapshot(want, where)
        if have.cluster is not Cluster.RUNNING or have.certificate is None:
            raise DevenvError(f"cluster {settings.project.name} is not running; next: devenv up")
        if url:
            cert_manager.request(want, have, where, url, within_s, tell)
        elif why := tls.switch_due(wanted.host, have.certificate):
            execute.perform([planning.certificate_step(wanted.host, why)], want, where, tell)
        api = observe.connect(settings, where)
        # What was seen is told: while nginx reloads, a worker of before may answer whoever asks again.
        return report(settings, settle(lambda: served(api, where, wanted), SERVED_WITHIN_S, process.called_off()))


def served(api: Api, where: Folder, wanted: Tls) -> Served:
    seen = provision.look(api, where, wanted)
    fingerprint, address, refused = handshake.served(wanted.host, provision.addresses(api, wanted))
    return Served(seen, address, tls.verdict(seen.held, fingerprint, address, refused))


def status(settings: Settings) -> dict[str, Any]:
    """Return what is in the Secret, and whether the ingress serves that very certificate."""
    wanted, where = table(settings), provider.place(settings)
    return report(settings, served(observe.connect(settings, where), where, wanted))


def report(settings: Settings, found: Served) -> dict[str, Any]:
    wanted, where = table(settings), provider.place(settings)
    held = found.seen.held
    return {
        "host": wanted.host,
        "secret": wanted.secret,
        "namespace": wanted.namespace or settings.project.namespace,
        "issuer": (held.issuer or "somebody else") if held else None,
        "certificate": facts(held.certificate, found.seen) if held and held.certificate else None,
        "authority": where.authority if where.authority.exists() else None,
        "address": found.address or None,
        "served": not found.why,
        "why": found.why,
    }


def facts(certificate: tls.Certificate, seen: tls.Seen) -> dict[str, Any]:
    return {
        "hosts": list(certificate.hosts),
        "signer": certificate.signer,
        "not_before": certificate.not_before.isoformat(),
        "not_after": certificate.not_after.isoformat(),
        "days_left": (certificate.not_after - seen.now).days,
        "sha256": certificate.fingerprint,
    }


def advice(settings: Settings) -> str:
    """Return how to trust the environment's own authority for good."""
    wanted, where = table(settings), provider.place(settings)
    seen = provision.look(None, where, wanted)
    if seen.authority is None:
        raise DevenvError(f"{settings.project.name} has no authority of its own yet; next: devenv tls up")
    return trust.advice(where, settings.project.name, seen.authority.hosts)


def down(settings: Settings, say: Say) -> list[str]:
    """Remove the Secret, what asks an ACME authority, and the authority of our own; return what that was."""
    wanted, where = table(settings), provider.place(settings)
    with state.locked(where, "tls down", say):
        return provision.remove(observe.connect(settings, where), where, wanted)
