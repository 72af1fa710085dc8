"""The hooks of Helm charts, as an order among the objects of a release. Pure.

Source: Helm's documentation, "Chart Hooks". Helm runs a hook at each installation or upgrade, devenv when its source
changed; it deletes none, for a Job that is there tells that it ran.
"""

from collections.abc import Iterable

from devenv.kube.objects import Object

HOOK, WEIGHT = "helm.sh/hook", "helm.sh/hook-weight"  # annotations
RELEASE = "devenv/release"  # our annotation on what a chart rendered: objects of others wait for none of its hooks
BEFORE, AFTER = {"pre-install", "pre-upgrade"}, {"post-install", "post-upgrade"}


def events(obj: Object) -> frozenset[str]:
    text = str((obj.meta.get("annotations") or {}).get(HOOK, ""))
    return frozenset(word.strip() for word in text.split(",")) - {""}


def runs_with_up(obj: Object) -> bool:
    """Whether an object is applied: a test, or what Helm runs when a release goes or goes back, is not."""
    found = events(obj)
    return not found or bool(found & (BEFORE | AFTER))


def comes_first(obj: Object) -> bool:
    """Whether a hook runs before the rest. One for both ends of an installation (`post-install,pre-upgrade`) is for a
    release whose parts are there.
    """
    return bool(events(obj) & BEFORE) and "post-install" not in events(obj)


def comes_last(obj: Object) -> bool:
    return bool(events(obj)) and not comes_first(obj)


def weight(obj: Object) -> int:
    try:
        return int((obj.meta.get("annotations") or {}).get(WEIGHT, 0))
    except ValueError:  # Helm takes it for 0, too
        return 0


def released(obj: Object, release: str) -> Object:
    """Return an object with the name of the release that it is a part of."""
    annotations = {**(obj.meta.get("annotations") or {}), RELEASE: release}
    return Object(obj.id, {**obj.raw, "metadata": {**obj.meta, "annotations": annotations}})


def before(obj: Object, workloads: Iterable[Object]) -> list[Object]:
    """Return the workloads that have to be ready, Jobs complete, before one is applied."""
    hooks = [o for o in same_release(obj, workloads) if o.kind in ("Job", "Pod") and events(o)]
    first = [o for o in hooks if comes_first(o)]
    if comes_first(obj):
        return [o for o in first if weight(o) < weight(obj)]
    return [*first, *(o for o in hooks if comes_last(obj) and comes_last(o) and weight(o) < weight(obj))]


def loaded_before(obj: Object, workloads: Iterable[Object]) -> list[Object]:
    """Return the workloads that have to be applied, ready or not, before one is: Helm loads all of a release first."""
    return [o for o in same_release(obj, workloads) if not events(o)] if comes_last(obj) else []


def same_release(obj: Object, objects: Iterable[Object]) -> list[Object]:
    release = (obj.meta.get("annotations") or {}).get(RELEASE)
    others = (o for o in objects if release and o.id != obj.id)
    return [o for o in others if (o.meta.get("annotations") or {}).get(RELEASE) == release]
