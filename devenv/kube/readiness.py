"""How ready an object is: a value, and when it is believed. Pure; the rules that find it are in verdict.py.

The whole is as ready as its least ready part: max(parts). FAILED means that waiting longer cannot help.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Any

from devenv.kube.objects import Id, Object

Document = Mapping[str, Any]


class Level(IntEnum):
    READY, PENDING, ABSENT, FAILED = range(4)


@dataclass(frozen=True, order=True)
class Readiness:
    level: Level
    what: str
    why: str = ""
    culprit: Id | None = field(default=None, compare=False)  # the pod whose log tells more, where there is one
    lasts_s: float = field(default=0.0, compare=False)  # how long a failure must have been seen to be believed

    @property
    def done(self) -> bool:
        """Whether waiting longer changes nothing."""
        return self.level in (Level.READY, Level.FAILED)


@dataclass
class Patience:
    """Believes a failure that may pass only once it has been seen for as long as it says."""

    since: float | None = None

    def judged(self, seen: Readiness, now: float) -> Readiness:
        """Return what is to be believed of what was seen at a moment, in seconds of any clock."""
        if seen.level is not Level.FAILED:
            self.since = None
            return seen
        self.since = now if self.since is None else self.since
        return seen if now - self.since >= seen.lasts_s else replace(seen, level=Level.PENDING)


def told(obj: Object) -> dict[str, Document]:
    """Return the conditions of an object, whether they hold or not, by their types."""
    found = status_of(obj).get("conditions")
    return {c["type"]: c for c in found if isinstance(c, dict) and "type" in c} if isinstance(found, list) else {}


def conditions(obj: Object) -> dict[str, Document]:
    """Return the conditions of an object that hold, by their types."""
    return {type_: c for type_, c in told(obj).items() if c.get("status") == "True"}


def why_of(condition: Document) -> str:
    """Return the reason and the message of a condition, as far as it has them."""
    return ": ".join(str(condition[key]) for key in ("reason", "message") if condition.get(key))


def spec_of(obj: Object) -> Document:
    return dict(obj.raw.get("spec") or {})


def status_of(obj: Object) -> Document:
    return dict(obj.raw.get("status") or {})


def owned(objects: Iterable[Object], owner: Object) -> list[Object]:
    uid = owner.meta["uid"]
    return [o for o in objects if any(by["uid"] == uid for by in o.meta.get("ownerReferences") or ())]
