"""When each part of a run began and ended, and the chain of parts that its whole time hangs on. Pure.

A part is a step of a plan, or a phase: what a command does before, between and after its plans.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

STARTED, CUT_OFF = "started", "cut off"


@dataclass(frozen=True)
class Mark:
    """A part that started, or that ended as `state` says, at a time of the monotonic clock."""

    name: str
    state: str
    at: float
    needs: tuple[str, ...] | None = None  # of a step; a phase comes after everything before it


@dataclass(frozen=True)
class Span:
    """A part of a run. Times are seconds since the run began."""

    name: str
    start: float
    end: float
    state: str  # as the executor's events have it; "cut off" if the run ended before it did
    needs: tuple[int, ...] = ()  # the spans that had to end first, by their place in the run


@dataclass(frozen=True)
class Timeline:
    """A run: its verb, when it began (seconds since 1970), how long it took, its spans in the order of their start."""

    verb: str
    began: float
    seconds: float
    outcome: str  # done, failed, interrupted
    spans: tuple[Span, ...]
    namespaces: tuple[str, ...] = ()  # where the objects are


@dataclass(frozen=True)
class Link:
    """A span on the critical path, the one that it followed, and the seconds between the two."""

    span: Span
    after: Span | None
    gap: float


def spans(marks: Iterable[Mark], began: float, ended: float) -> tuple[Span, ...]:
    """Return the spans of a run. A step needs what it names of what came before it, and the phase before its plan."""
    found: list[Span] = []
    latest: dict[str, int] = {}
    phase = 0  # the last one; all that came before it has ended
    for mark in marks:
        if mark.state != STARTED:
            number = latest[mark.name]
            found[number] = replace(found[number], end=mark.at - began, state=mark.state)
            continue
        number = len(found)
        if mark.needs is None:
            needs, phase = set(range(phase, number)), number
        else:
            needs = {latest[name] for name in mark.needs if name in latest} | ({phase} if found else set())
        latest[mark.name] = number
        found.append(Span(mark.name, mark.at - began, ended - began, CUT_OFF, tuple(sorted(needs))))
    return tuple(found)


def critical_path(found: tuple[Span, ...]) -> list[Link]:
    """Return the chain that ends with the last span to end. Each link follows the one of its needs that ended last."""
    links: list[Link] = []
    at = max(range(len(found)), key=lambda n: (found[n].end, n), default=None)
    while at is not None:
        span = found[at]
        # What was cut off can outlast a span that needs it only to take it back.
        ended = [n for n in span.needs if found[n].end <= span.start]
        before = max(ended, key=lambda n: (found[n].end, n), default=None)
        after = None if before is None else found[before]
        links.append(Link(span, after, span.start - (after.end if after else 0.0)))
        at = before
    return links[::-1]


def rest(run: Timeline) -> float:
    """Return the seconds between the end of the last span and the end of the run."""
    return run.seconds - max((span.end for span in run.spans), default=0.0)


def as_json(run: Timeline) -> dict[str, Any]:
    return asdict(run)


def parse(value: Any) -> Timeline | None:
    """Return the run that `as_json` was given, or None for anything else: a file of another version, half a file."""
    try:
        found = tuple(Span(**{**span, "needs": tuple(span["needs"])}) for span in value["spans"])
        return Timeline(**{**value, "spans": found, "namespaces": tuple(value["namespaces"])})
    except (KeyError, TypeError):
        return None
