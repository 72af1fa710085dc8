"""How what is there differs from what is wanted, although nothing tells so by its source: asked by a dry run.

Only what gives a reason for it is asked about: fields that are not ours any more, and objects whose source has changed.
"""

import re
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

from devenv.errors import DevenvError, Invalid
from devenv.kube import drift
from devenv.kube.api import Api
from devenv.kube.objects import RUN_AGAIN, Id, Object
from devenv.reconcile import guards
from devenv.reconcile.changes import shown
from devenv.reconcile.observed import Differences

# Words of the API server's validation (k8s.io/apimachinery, pkg/api/validation; k8s.io/kubernetes, pkg/apis) for what a
# living object does not let be changed.
FIXED = re.compile(r"immutable|updates to .* (?:are|is) forbidden|updates to \w+ spec|cannot change|may not change")
# Of a webhook that refuses, and of one that does not answer (k8s.io/apiserver, pkg/admission/plugin/webhook).
WEBHOOK = re.compile(r'admission webhook ".*" denied the request|(failed calling webhook)')
VALUE = re.compile(r"Invalid value: .*: (?=field is immutable|cannot change|may not change)", re.DOTALL)


def look(api: Api, objects: Iterable[Object], living: Mapping[Id, Object]) -> Differences:
    """Return the differences of objects that are there and stay there."""
    found = [*objects]
    guarded = {o.id for o in guards.order(found).guarded}
    pairs = [(o, living[o.id]) for o in found if o.id in living and not living[o.id].leaves]
    asked = [(wanted, there) for wanted, there in pairs if wanted.kind not in RUN_AGAIN and is_suspect(wanted, there)]
    with ThreadPoolExecutor() as pool:
        return Differences.of(pool.map(lambda pair: compared(api, pair[0], pair[1], pair[0].id in guarded), asked))


def is_suspect(wanted: Object, there: Object) -> bool:
    return wanted.source != there.source or bool(drift.changes(wanted, there))


def compared(api: Api, wanted: Object, there: Object, guarded: bool) -> tuple[Id, str, str]:
    """Return what a dry run of the object says of it: a kind of difference, and why.

    One that is `guarded` by a webhook of ours is for that to judge once it is as it is to be: it may be changed too.
    """
    try:
        after = api.preview(wanted)
    except DevenvError as error:
        return (wanted.id, *refusal(error, guarded))
    if wanted.source != there.source or shown(after.raw) == shown(there.raw):
        return wanted.id, "", ""
    return wanted.id, "drifted", drift.said(drift.changes(wanted, there))


def refusal(error: DevenvError, guarded: bool) -> tuple[str, str]:
    """Return what kind of difference a refused dry run tells of, and why. Raise the error where it tells of none."""
    text = str(error)
    if said := WEBHOOK.search(text):
        # Where a webhook does not answer, `up` may be the way out.
        return ("", "") if said[1] or guarded else ("invalid", text)
    if not isinstance(error, Invalid):
        raise error
    text = VALUE.sub("", text.partition(" is invalid: ")[2] or text)
    return "fixed" if FIXED.search(text) else "invalid", text
