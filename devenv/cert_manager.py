"""A certificate of an ACME authority, as steps: cert-manager installed where it is absent, asked, and waited for."""

from dataclasses import replace

from devenv import acme, execute, manifest, observe, provider, sources
from devenv import plan as planning
from devenv.acts import AwaitCertificate, DefineKinds, RequestCertificate, Step
from devenv.execute import Tell
from devenv.kube import Api
from devenv.manifest import Document
from devenv.plan import Observed
from devenv.stack import Stack
from devenv.state import Folder


def request(want: Stack, have: Observed, where: Folder, url: str, within_s: float, tell: Tell) -> None:
    """Have cert-manager ask a directory for the certificate, and wait for the answer. What is there already is left."""
    settings = want.settings
    assert settings.project.tls
    table, api = settings.project.tls, observe.connect(settings, where)
    definition = api.get(acme.DEFINITION)
    if not acme.is_foreign(definition):
        install(api, want, have, where, acme.lacking(definition, want.images[acme.IMAGE].ref), tell)
    authorities = settings.path(table.ca_bundle).read_bytes() if table.ca_bundle else b""
    written = acme.objects(table, url, authorities)
    issuer, certificate = (manifest.claimed(manifest.at_home(o, settings.project.namespace)) for o in written)
    found = api.get(certificate)
    if why := acme.due(issuer, api.get(issuer), certificate, found):
        keys = manifest.key(issuer), manifest.key(certificate)
        anew = found is not None and not acme.is_ready(found)
        ask = Step(f"request {table.host}", RequestCertificate(*keys, anew), why, 90)
        answer = Step(f"certificate {table.host}", AwaitCertificate(keys[1]), f"from {url}", within_s, (ask.name,))
        execute.perform([ask, answer], replace(want, objects=(issuer, certificate)), where, tell)


def install(api: Api, want: Stack, have: Observed, where: Folder, lacking: str, tell: Tell) -> None:
    """Bring our cert-manager to its wanted state: its image, its kinds (`lacking` says why), its controllers."""
    ref = want.ref(acme.IMAGE)
    objects = tuple(manifest.claimed(o) for o in sources.cert_manager(ref))
    mine = apart(want, objects)
    seen = {manifest.key(o): found for o in objects if (found := api.get(o))}
    there = replace(
        have,
        node_images=provider.of(want.settings, where).images([ref]),
        sources={key: manifest.source(obj) for key, obj in seen.items()},
        readiness={manifest.key(o): observe.look(api, o) for o in objects if o["kind"] in manifest.RUNS},
        strays=(),
    )
    steps = [*planning.image_plan(mine, there, [acme.IMAGE])] if lacking or ref not in there.node_images else []
    if lacking:
        steps.append(Step("kinds", DefineKinds(acme.IMAGE), lacking, 60, (f"image {acme.IMAGE}",)))
    # The controllers come after their kinds: they end where one is missing.
    execute.perform(steps, mine, where, tell)
    changed = {manifest.key(o): why for o in objects if (why := planning.change(o, there))}
    execute.perform(planning.ordered(planning.object_steps(mine, there, changed)), mine, where, tell)


def apart(want: Stack, objects: tuple[Document, ...]) -> Stack:
    """Return these objects with their image as a stack of its own: what the project waits for is not in it."""
    project = want.settings.project.model_copy(update={"gates": ()})
    settings = want.settings.model_copy(update={"project": project})
    return replace(want, settings=settings, objects=objects, wanted_images=(acme.IMAGE,), aliases={acme.IMAGE: ()})
