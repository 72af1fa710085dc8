"""How what is there differs from what is wanted, although nothing tells so by its source: asked by a dry run.

Only what gives a reason for it is asked about: fields that are not ours any more, and objects whose source has changed.
"""

import re
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

from devenv.errors import Invalid
from devenv.kube import drift
from devenv.kube.api import Api
from devenv.kube.objects import RUN_AGAIN, Id, Object
from devenv.reconcile.changes import shown
from devenv.reconcile.observed import Differences

# Words of the API server's validation (k8s.io/apimachinery, pkg/api/validation; k8s.io/kubernetes, pkg/apis) for what a
# living object does not let be changed.
FIXED = re.compile(r"immutable|updates to .* (?:are|is) forbidden|updates to \w+ spec|cannot change|may not change")
VALUE = re.compile(r"Invalid value: .*: (?=field is immutable|cannot change|may not change)", re.DOTALL)


def look(api: Api, objects: Iterable[Object], living: Mapping[Id, Object]) -> Differences:
    """Return the differences of objects that are there and stay there."""
    pairs = [(o, living[o.id]) for o in objects if o.id in living and not living[o.id].leaves]
    asked = [(wanted, there) for wanted, there in pairs if wanted.kind not in RUN_AGAIN and is_suspect(wanted, there)]
    with ThreadPoolExecutor() as pool:
        return Differences.of(pool.map(lambda pair: compared(api, *pair), asked))


def is_suspect(wanted: Object, there: Object) -> bool:
    return wanted.source != there.source or bool(drift.changes(wanted, there))


def compared(api: Api, wanted: Object, there: Object) -> tuple[Id, str, str]:
    """Return what a dry run of the object says of it: a kind of difference, and why."""
    try:
        after = api.preview(wanted)
    except Invalid as error:
        text = VALUE.sub("", str(error).partition(" is invalid: ")[2] or str(error))
        return wanted.id, "fixed" if FIXED.search(text) else "invalid", text
    if wanted.source != there.source or shown(after.raw) == shown(there.raw):
        return wanted.id, "", ""
    return wanted.id, "drifted", drift.said(drift.changes(wanted, there))
