"""What `devenv tls` does, apart from printing: each function returns values that the command line shows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from devenv.certificates import rules, secret, served, trust
from devenv.errors import DevenvError, UsageError
from devenv.project import sources
from devenv.project.schema import LOCAL, Tls
from devenv.reconcile import cert_manager, observe
from devenv.reconcile import plan as planning
from devenv.reconcile.actions import Step
from devenv.reconcile.environment import Environment
from devenv.reconcile.execute import Executor, OnEvent
from devenv.reconcile.handlers import Handlers
from devenv.reconcile.rollout import Waiter
from devenv.system import state
from devenv.system.cancel import Cancel
from devenv.system.wait import poll

Log = Callable[[str], None]
SERVED_WITHIN_S = 30.0


@dataclass(frozen=True)
class Served:
    """What the Secret holds, and why the ingress does not serve it, if it does not."""

    seen: rules.Seen
    address: str
    why: str

    @property
    def done(self) -> bool:
        return not self.why


def table(env: Environment) -> Tls:
    if env.project.tls is None:
        raise UsageError(f"{env.settings.file}: has no table [tool.devenv.tls]; docs/reference.md of devenv shows one")
    return env.project.tls


def up(env: Environment, within_s: float, on_event: OnEvent, log: Log) -> dict[str, Any]:
    """Bring the issuer's certificate into the Secret and see the ingress serve it. What is fine is left alone."""
    tls = table(env)
    url = "" if tls.issuer == LOCAL else rules.directory(tls.issuer, tls.host)
    with state.locked(env.folder, "tls up", log):
        desired = sources.load(env.settings)
        observed = observe.snapshot(desired, env)
        observe.require_running(env, observed.cluster)
        assert observed.certificate
        steps: Sequence[Step] = ()
        if url:
            steps = cert_manager.make_plan(desired, observed, env, tls, url, within_s)
        elif why := rules.switch_due(tls.host, observed.certificate):
            steps = [planning.certificate_step(tls, why)]
        Executor(Handlers(env, "devenv tls up"), on_event).perform(steps)
        # Reported from one observation: while nginx reloads, an old worker may answer the next one.
        return report(env, poll(lambda: look(env, tls), SERVED_WITHIN_S))


def look(env: Environment, tls: Tls) -> Served:
    seen = secret.look(env.api, env.folder, tls)
    fingerprint, address, refused = served.served(tls.host, secret.addresses(env.api, tls))
    return Served(seen, address, rules.verdict(seen.held, fingerprint, address, refused))


def status(env: Environment) -> dict[str, Any]:
    """Return what is in the Secret, and whether the ingress serves that very certificate."""
    tls = table(env)
    observe.require_answers(env)
    return report(env, look(env, tls))


def report(env: Environment, found: Served) -> dict[str, Any]:
    tls, held = table(env), found.seen.held
    return {
        "host": tls.host,
        "secret": tls.secret,
        "namespace": tls.namespace or env.project.namespace,
        "issuer": (held.issuer or "unknown") if held else None,
        "certificate": facts(held.certificate, found.seen) if held and held.certificate else None,
        "authority": env.folder.authority if env.folder.authority.exists() else None,
        "address": found.address or None,
        "served": not found.why,
        "why": found.why,
    }


def facts(certificate: rules.Certificate, seen: rules.Seen) -> dict[str, Any]:
    return {
        "hosts": list(certificate.hosts),
        "signer": certificate.signer,
        "not_before": certificate.not_before.isoformat(),
        "not_after": certificate.not_after.isoformat(),
        "days_left": (certificate.not_after - seen.now).days,
        "sha256": certificate.fingerprint,
    }


def advice(env: Environment) -> str:
    """Return how to trust the environment's own authority for good."""
    seen = secret.look(None, env.folder, table(env))
    if seen.authority is None:
        raise DevenvError(f"{env.project.name} has no authority of its own yet\nhint: devenv tls up")
    return trust.advice(env.folder, env.project.name, seen.authority.hosts)


def down(env: Environment, log: Log) -> list[str]:
    """Remove the Secret, the requests to an ACME authority, and the authority of our own; return what that was."""
    tls = table(env)
    with state.locked(env.folder, "tls down", log):
        observe.require_answers(env)
        return secret.remove(env.api, env.folder, tls, Waiter(env, Cancel(), "devenv tls down").delete)
