"""Logs of containers: which there are, their lines, and several of them in order of time. Pure.

Source: the Kubernetes API, PodLogOptions and ContainerStatus. While a container waits to run again, the kubelet has the
log of its last run for `previous` and for the current one alike.
"""

import heapq
import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from operator import itemgetter
from typing import NamedTuple

from devenv.kube.objects import Document, Id, Object

LONGEST = 1 << 18  # bytes of a line; a longer one comes in pieces
STATUSES = ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses")
USUAL = len("2026-01-01T00:00:00.000000000Z")
STAMP = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)")
FIRST = ""  # before every time


@dataclass(frozen=True)
class Source:
    """A run of a container, whose log can be asked for."""

    part: Id
    pod: Id
    container: str
    run: str  # the container's ID
    previous: bool  # the run before the one that the pod has now
    runs: bool  # whether it goes on

    @property
    def label(self) -> str:
        """What stands before its lines: the pod in short, the container where it is named otherwise than the part."""
        pod = self.pod.name
        if pod.startswith(f"{self.part.name}-"):
            pod = f"{self.part.name}-{pod.rpartition('-')[2]}"
        container = f"/{self.container}" if self.container != self.part.name else ""
        return f"{pod}{container}{' (previous)' if self.previous else ''}"


class Line(NamedTuple):
    """A line of a log. `time` is in UTC, in a form that sorts."""

    time: str
    text: str
    source: Source


def sources(part: Id, pod: Object) -> list[Source]:
    """Return the runs of a pod's containers that have a log: of each the one that goes on or ended last, and the one
    before.
    """
    status: Document = pod.raw.get("status") or {}
    found = []
    for container in (c for key in STATUSES for c in status.get(key) or ()):
        name, state = container["name"], container.get("state") or {}
        last = ((container.get("lastState") or {}).get("terminated") or {}).get("containerID")
        if last:
            found.append(Source(part, pod.id, name, last, True, False))
        now = container.get("containerID") if "running" in state else (state.get("terminated") or {}).get("containerID")
        if now:
            found.append(Source(part, pod.id, name, now, False, "running" in state))
    return found


def split(chunks: Iterable[bytes], longest: int = LONGEST) -> Iterator[bytes]:
    """Yield the lines of a stream without their ends, wherever its pieces begin; one that never ends, in pieces."""
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        yield from whole
        while len(rest) > longest:
            yield rest[:longest]
            rest = rest[longest:]
    if rest:
        yield rest


def lines(raw: Iterable[bytes], source: Source, after: str = FIRST) -> Iterator[Line]:
    """Yield the lines of a log that was asked for with times, those later than `after`.

    What has no time of its own, as the rest of a line that came in pieces, has that of the line before.
    """
    last = FIRST
    for data in raw:
        text = data.decode(errors="replace")
        stamp, _, said = text.partition(" ")
        if moment := canonical(stamp):
            last, text = moment, said
        if last > after or not after:
            yield Line(last, text, source)


def canonical(stamp: str) -> str:
    """Return a time of RFC 3339 in UTC with nine digits, which sorts as text; an empty string for what is none."""
    if len(stamp) == USUAL and stamp[10] == "T" and stamp[19] == "." and stamp[-1] == "Z":
        return stamp
    if not (match := STAMP.fullmatch(stamp)):
        return ""
    second, digits, zone = match.groups()
    try:
        moment = datetime.fromisoformat(f"{second}{'+00:00' if zone == 'Z' else zone}").astimezone(UTC)
    except (ValueError, OverflowError):
        return ""
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{(digits or '').ljust(9, '0')}Z"


def merged(streams: Iterable[Iterator[Line]]) -> Iterator[Line]:
    """Yield the lines of several logs in order of time; of each log no more than a line is held."""
    return heapq.merge(*streams, key=itemgetter(0))


@dataclass
class Window:
    """Puts lines that come from several logs at once in order of time, as far as they come within `hold_s`.

    None is held for longer, and never more than `limit` of them.
    """

    hold_s: float
    limit: int = 10_000
    _heap: list[tuple[str, int, Line]] = field(default_factory=list)
    _arrived: deque[tuple[float, int]] = field(default_factory=deque)
    _count: int = 0
    _gone: set[int] = field(default_factory=set)  # released, and not yet the first of those that arrived

    def add(self, line: Line, now: float) -> None:
        heapq.heappush(self._heap, (line.time, self._count, line))
        self._arrived.append((now, self._count))
        self._count += 1

    def due(self, now: float) -> Iterator[Line]:
        """Yield what has been held for long enough, and all that is earlier."""
        while self._heap and (len(self._heap) > self.limit or self._oldest + self.hold_s <= now):
            _, number, line = heapq.heappop(self._heap)
            self._gone.add(number)
            yield line

    @property
    def _oldest(self) -> float:
        """When the line that has been held longest arrived."""
        while self._arrived[0][1] in self._gone:
            self._gone.discard(self._arrived.popleft()[1])
        return self._arrived[0][0]
