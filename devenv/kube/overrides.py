"""Files of an application that a ConfigMap replaces for a while: which are in force, by whom, and why. Pure."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import PurePosixPath

from devenv.errors import UsageError
from devenv.kube.objects import Document, Object

NOTES = "devenv/overrides"  # an annotation: what is known of each key, as JSON
KEY = re.compile(r"[-._a-zA-Z0-9]{1,253}")  # of a ConfigMap (Kubernetes documentation, "ConfigMaps")


@dataclass(frozen=True)
class Note:
    """Who has put a file in the place of another, when (RFC 3339), why, and until which day."""

    who: str = ""
    when: str = ""
    why: str = ""
    until: str = ""


@dataclass(frozen=True)
class Override:
    key: str
    path: str  # of the file that it replaces
    text: str
    note: Note

    def said(self, today: date) -> str:
        """Return what a person reads of it in a line."""
        late = f", which was to end on {self.note.until}" if is_over(self.note, today) else ""
        return self.path + (f" ({self.note.why}{late})" if self.note.why or late else "")


def is_over(note: Note, today: date) -> bool:
    return bool(note.until) and note.until < today.isoformat()


def key_of(path: str) -> str:
    """Return the key of a file: its path with dots for slashes, for a key has none. Raise UsageError where that would
    lead to another file.
    """
    key = ".".join(PurePosixPath(path).parts)
    if not KEY.fullmatch(key) or path_of(key) != path:
        raise UsageError(
            f"{path}: a ConfigMap has no key for it: letters, digits, - and _, and one dot before the suffix"
        )
    return key


def path_of(key: str) -> str:
    """Return the path that a key stands for: the last dot starts the suffix, each other one is a slash."""
    stem, dot, suffix = key.rpartition(".")
    return f"{stem.replace('.', '/')}{dot}{suffix}"


def in_force(living: Object | None, own: Object | None) -> list[Override]:
    """Return the files that a ConfigMap replaces and that its manifest does not have."""
    if living is None:
        return []
    there, written = (dict(o.raw.get("data") or {}) if o else {} for o in (living, own))
    known = notes(living)
    return [Override(k, path_of(k), str(there[k]), known.get(k, Note())) for k in sorted(there.keys() - written.keys())]


def notes(living: Object) -> dict[str, Note]:
    """Return what is known of each key; nothing of what somebody has spoilt."""
    try:
        found = json.loads((living.meta.get("annotations") or {}).get(NOTES, "{}"))
        return {str(key): Note(**{k: str(v) for k, v in note.items()}) for key, note in found.items()}
    except (ValueError, TypeError, AttributeError):
        return {}


def patch(living: Object, texts: Mapping[str, str | None], note: Note) -> Document:
    """Return the merge patch that puts texts in place, and takes out the keys that are to have none."""
    known = {key: asdict(one) for key, one in notes(living).items() if key not in texts}
    known |= {key: asdict(note) for key, text in texts.items() if text is not None}
    return {"data": dict(texts), "metadata": {"annotations": {NOTES: json.dumps(known) if known else None}}}


def back(living: Object, keys: Iterable[str]) -> Document:
    """Return the merge patch that brings these keys, and what is known of them, back to what they are now."""
    there = living.raw.get("data") or {}
    before = (living.meta.get("annotations") or {}).get(NOTES)
    return {"data": {key: there.get(key) for key in keys}, "metadata": {"annotations": {NOTES: before}}}
