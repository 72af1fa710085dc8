"""Events of the API as what a person reads of them, in order of time. Pure.

Source: the Kubernetes API, Event v1 (core): newer clients have the time in `eventTime`, and repetitions in `series`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from devenv.kube import parts
from devenv.kube.logs import canonical
from devenv.kube.objects import Document, Id, Object


@dataclass(frozen=True, order=True)
class Told:
    """What happened to an object, as it was told last. `time` is in UTC, in a form that sorts."""

    time: str
    object: str  # pod/api-0, with its namespace where that is not the project's
    namespace: str
    type: str  # Normal or Warning
    reason: str
    message: str
    count: int
    source: str  # who tells it

    @property
    def key(self) -> tuple[str | int, ...]:
        """What tells it from every other, and from what was told of the same before."""
        return (self.time, self.object, self.namespace, self.reason, self.message, self.count)


def told(event: Document, home: str) -> Told:
    series = event.get("series") or {}
    stamps = (series.get("lastObservedTime"), event.get("lastTimestamp"), event.get("eventTime"))
    made = (event.get("metadata") or {}).get("creationTimestamp")
    about = of(event, home)
    source = event.get("reportingComponent") or (event.get("source") or {}).get("component") or ""
    return Told(
        time=next((canonical(str(stamp)) for stamp in (*stamps, made) if stamp), ""),
        object=str(about),
        namespace=about.namespace,
        type=str(event.get("type") or ""),
        reason=str(event.get("reason") or ""),
        message=str(event.get("message") or "").strip(),
        count=int(series.get("count") or event.get("count") or 1),
        source=str(source),
    )


def of(event: Document, home: str) -> Id:
    """Return what an Event is about."""
    about = event.get("involvedObject") or {}
    found = parts.id_of(about, str(about.get("namespace") or ""))
    return Id(found.group, found.kind, found.namespace, found.name, home)


def wanted(events: Iterable[Object], objects: Iterable[Id], home: str) -> list[Told]:
    """Return what is told of some objects and of all that was made for them, in order of time."""
    known = [*objects]
    about = (e for e in events if any(parts.made_by(id_, of(e.raw, home)) for id_ in known))
    return sorted(told(event.raw, home) for event in about)


def row(event: Told) -> tuple[str, ...]:
    """Return the columns that a person reads: the time of day is that of this machine."""
    moment = datetime.fromisoformat(f"{event.time[:19]}+00:00").astimezone() if event.time else None
    count = f" (x{event.count})" if event.count > 1 else ""
    when = f"{moment:%Y-%m-%d %H:%M:%S}" if moment else "-"
    return when, event.type, event.reason, event.object, " ".join(f"{event.message}{count}".split())
