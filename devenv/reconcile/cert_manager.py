"""A certificate of an ACME authority, as steps: cert-manager installed where it is absent, asked, and waited for."""

from collections.abc import Iterator

from devenv.certificates import acme
from devenv.kube.objects import Object
from devenv.project import sources
from devenv.project.schema import Tls
from devenv.project.stack import Stack
from devenv.reconcile import observe
from devenv.reconcile.actions import AwaitCertificate, DefineKinds, RequestCertificate, Step
from devenv.reconcile.environment import Environment
from devenv.reconcile.image_steps import load_steps, obtain_steps
from devenv.reconcile.observed import Observed
from devenv.reconcile.plan import changed_objects, object_steps, ordered


def make_plan(desired: Stack, observed: Observed, env: Environment, tls: Tls, url: str, within_s: float) -> list[Step]:
    """Return the steps to a certificate from a directory. What is there already is left alone; then there are none."""
    authorities = env.settings.path(tls.ca_bundle).read_bytes() if tls.ca_bundle else b""
    asked, certificate = (o.claimed() for o in acme.objects(tls, url, authorities, env.project.namespace))
    definition = env.api.get(acme.DEFINITION)
    install = [] if acme.is_foreign(definition) else [*install_steps(desired, observed, env, definition)]
    there = env.api.get(asked) if definition else None
    found = env.api.get(certificate) if definition else None
    if not (why := acme.due(asked, there, certificate, found)):
        return [*ordered(install)]
    recreate = found is not None and not acme.is_ready(found)
    # The controllers come after their kinds: they end where one is missing.
    needs = tuple(step.name for step in install)
    request = Step(f"request {tls.host}", RequestCertificate(asked, certificate, recreate), why, 90, needs)
    answer = AwaitCertificate(certificate, tls)
    return [
        *ordered(install),
        request,
        Step(f"certificate {tls.host}", answer, f"from {url}", within_s, (request.name,)),
    ]


def install_steps(desired: Stack, observed: Observed, env: Environment, definition: Object | None) -> Iterator[Step]:
    """Yield the steps that bring our cert-manager to its desired state: its image, its kinds, its controllers."""
    image, ref = desired.images[acme.IMAGE], desired.ref(acme.IMAGE)
    objects = [o.claimed() for o in sources.cert_manager(ref, env.project.namespace)]
    lacking = acme.lacking(definition, ref)
    on_node = env.provider.images([ref])
    if lacking or ref not in on_node:
        yield from obtain_steps(desired, observed, [acme.IMAGE])
        yield from load_steps(desired, on_node, [acme.IMAGE])
    if lacking:
        yield Step("kinds", DefineKinds(image), lacking, 60, (f"image {acme.IMAGE}",))
    there = {o.id: o for o in env.api.there(objects)}
    seen = Observed(
        sources={id_: o.source for id_, o in there.items()},
        readiness={o.id: observe.look(env.api, o) for o in objects if o.runs},
    )
    needs = ("kinds", f"{desired.delivery.verb} {acme.IMAGE}")
    yield from object_steps(objects, changed_objects(objects, seen), seen, env.project.ready_within_s, lambda _: needs)
