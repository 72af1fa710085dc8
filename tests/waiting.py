"""Waiting for what comes a moment later."""

import time
from collections.abc import Callable

SOON_S = 30.0


def eventually(holds: Callable[[], bool], within_s: float = SOON_S, what: str = "it holds") -> float:
    """Wait until something holds, see that it does, and return how long it took."""
    begin = time.monotonic()
    while not holds():
        assert time.monotonic() - begin < within_s, f"not within {within_s:g} s: {what}"
        time.sleep(0.02)
    return time.monotonic() - begin
