"""Waiting: every wait has an end, looks once more at the end, and returns what it saw."""

import re
from collections.abc import Callable
from time import monotonic
from typing import Protocol, TypeVar

from devenv.errors import Unreachable
from devenv.system.cancel import Cancel


class Pollable(Protocol):
    @property
    def done(self) -> bool:
        """Whether polling longer changes nothing."""


Seen = TypeVar("Seen", bound=Pollable)

# A failure is told within a second of its happening: half a second between looks leaves room for the look itself.
LONGEST_PAUSE_S = 0.5


def poll(probe: Callable[[], Seen], within_s: float, cancel: Cancel | None = None) -> Seen:
    """Probe until what is seen is done, `within_s` seconds have passed or it is cancelled; return the last sight.

    A probe may find the API server unreachable; only where the last one does is that raised.
    """
    end, pause, cancel = monotonic() + within_s, 0.05, cancel or Cancel()
    while True:
        lost: Unreachable | None = None
        try:
            if (seen := probe()).done:
                return seen
        except Unreachable as error:
            lost = error
        if (left := end - monotonic()) <= 0 or cancel.wait(min(pause, left)):
            break
        pause = min(2 * pause, LONGEST_PAUSE_S)
    if lost:
        raise lost
    return seen


UNITS_S = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}


def seconds(text: str) -> float:
    """Return a duration such as 90, 60s, 5m or 1h in seconds. Raise ValueError for anything else."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text)
    if not match:
        raise ValueError(f"{text!r} is not a duration such as 60s, 5m or 1h")
    return float(match[1]) * UNITS_S[match[2]]
