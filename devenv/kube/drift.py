"""Fields that we applied and that somebody else has changed or removed since. Pure.

The API server writes down who set each field (`metadata.managedFields`): a field that we applied and that is not ours
any more was set, or taken away, by another. `f:` is a field, `k:` an item by its keys, `v:` an item by its value.
Source: Kubernetes documentation, "Server-Side Apply: Field management"; structured-merge-diff, fieldpath/serialize.go.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from devenv.kube.objects import MANAGER, Object

# An autoscaler sets the replicas of what it scales, as this manager by this subresource; that is its right.
AUTOSCALER, SCALE = "kube-controller-manager", "scale"
COMPARED_METADATA = ("labels", "annotations", "finalizers", "ownerReferences")
MOST_PATHS = 3

Fields = Mapping[str, Any]
Path = tuple[str, ...]


@dataclass(frozen=True)
class Change:
    """A field that is not ours any more: who has set it since, and when; nobody, where it was removed."""

    path: Path
    manager: str = ""
    time: str = ""


def changes(wanted: Object, living: Object) -> list[Change]:
    """Return what others have changed of an object that was applied as it is wanted."""
    entries = [e for e in living.meta.get("managedFields") or () if isinstance(e, dict)]
    applied = next((e for e in entries if e.get("manager") == MANAGER and e.get("operation") == "Apply"), None)
    if applied is None:
        return []
    found = (holder(path, entries) for path in lost(fields_of(wanted), applied.get("fieldsV1") or {}, ()))
    return [change for change in found if change]


def is_ours(living: Object, path: Path) -> bool:
    """Whether a field is one that we applied and that nobody has set since."""
    entries = [e for e in living.meta.get("managedFields") or () if isinstance(e, dict)]
    found = (e for e in entries if e.get("manager") == MANAGER and e.get("operation") == "Apply")
    return any(sets(e.get("fieldsV1") or {}, path) for e in found)


def fields_of(wanted: Object) -> dict[str, Any]:
    meta = {key: value for key, value in wanted.meta.items() if key in COMPARED_METADATA}
    rest = {key: value for key, value in wanted.raw.items() if key not in ("apiVersion", "kind", "metadata", "status")}
    return {**rest, **({"metadata": meta} if meta else {})}


def lost(wanted: Mapping[str, Any], owned: Fields, path: Path) -> Iterator[Path]:
    """Yield the path of each wanted field that is not owned. What is empty leaves no trace, and is none."""
    for key, value in wanted.items():
        field = f"f:{key}"
        if field in owned:
            yield from within(value, owned[field], (*path, field))
        elif isinstance(value, Mapping):
            yield from lost(value, {}, (*path, field))
        elif not is_empty(value):
            yield (*path, field)


def is_empty(value: Any) -> bool:
    return value is None or value == []


def within(value: Any, owned: Fields, path: Path) -> Iterator[Path]:
    if not owned:  # a scalar, or what is only set as a whole
        return
    if isinstance(value, Mapping):
        yield from lost(value, owned, path)
    elif isinstance(value, list):
        for item in value:
            yield from item_of(item, owned, path)


def item_of(item: Any, owned: Fields, path: Path) -> Iterator[Path]:
    if not isinstance(item, Mapping):
        if f"v:{json.dumps(item)}" not in owned:
            yield (*path, f"v:{json.dumps(item)}")
        return
    for key in owned:
        # The API server has filled in what of its keys is not written, such as the protocol of a port.
        if key.startswith("k:") and all(item.get(name, value) == value for name, value in json.loads(key[2:]).items()):
            yield from lost(item, owned[key], (*path, key))
            return
    yield (*path, f"k:{json.dumps({'name': item['name']} if 'name' in item else dict(item))}")


def holder(path: Path, entries: list[dict[str, Any]]) -> Change | None:
    """Return the change of a field with its new owner; None where that is an autoscaler."""
    for entry in sorted(entries, key=lambda e: str(e.get("time", "")), reverse=True):
        if sets(entry.get("fieldsV1") or {}, path):
            if (entry.get("manager"), entry.get("subresource")) == (AUTOSCALER, SCALE):
                return None
            return Change(path, str(entry.get("manager", "")), str(entry.get("time", "")))
    return Change(path)


def sets(fields: Fields, path: Path) -> bool:
    """Whether a manager sets what is at a path, or something that it is a part of and that is set as a whole."""
    if not path or path[0] not in fields:
        return not path
    inner = fields[path[0]]
    return not inner or sets(inner, path[1:])


def said(found: list[Change]) -> str:
    """Return what a person is told: which fields, who, and when. Values are not: they may be secret."""
    paths = [spelled(change.path) for change in found]
    more = f" and {len(paths) - MOST_PATHS} more" if len(paths) > MOST_PATHS else ""
    newest = max(found, key=lambda change: change.time)
    at = f" at {newest.time}" if newest.time else ""  # `kubectl scale` leaves none
    who = f" by {newest.manager}{at}" if newest.manager else ""
    verb = "changed" if newest.manager else "removed"
    return f"was {verb}{who}: {', '.join(paths[:MOST_PATHS])}{more}"


def spelled(path: Path) -> str:
    """Return a path as a person writes it: `spec.template.spec.containers[c].image`."""
    text = ""
    for step in path:
        kind, _, rest = step.partition(":")
        if kind == "f":
            text += f".{rest}" if text else rest
        else:
            keys = json.loads(rest)
            text += f"[{','.join(map(str, keys.values())) if isinstance(keys, dict) else keys}]"
    return text
