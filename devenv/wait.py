"""Waiting: every wait has an end, looks once more at the end, and returns what it saw."""

import re
from collections.abc import Callable
from threading import Event
from time import monotonic
from typing import Protocol, TypeVar


class Settles(Protocol):
    @property
    def settled(self) -> bool: ...


Seen = TypeVar("Seen", bound=Settles)

# A failure is told within a second of its happening: half a second between looks leaves room for the look itself.
LONGEST_PAUSE_S = 0.5


def settle(probe: Callable[[], Seen], within_s: float, stop: Event) -> Seen:
    """Probe until what is seen is settled, `within_s` seconds have passed or `stop` is set; return the last sight."""
    end, pause = monotonic() + within_s, 0.05
    while not (seen := probe()).settled and (left := end - monotonic()) > 0:
        if stop.wait(min(pause, left)):
            break
        pause = min(2 * pause, LONGEST_PAUSE_S)
    return seen


UNITS_S = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}


def seconds(text: str) -> float:
    """Return a duration such as 90, 60s, 5m or 1h in seconds. Raise ValueError for anything else."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text)
    if not match:
        raise ValueError(f"{text!r} is not a duration such as 60s, 5m or 1h")
    return float(match[1]) * UNITS_S[match[2]]
