"""The log of the forwards' process: its standard output, a file that does not grow without bound."""

import asyncio
import os
import time
from collections import Counter
from pathlib import Path
from typing import Any

MOST_BYTES = 1 << 20  # then the file goes on as a new one, and the old one is kept beside it
TELL_S = 1.0


class Tally:
    """Counts what would fill a log, and gives it out to be told no sooner than so many seconds after the last time."""

    def __init__(self, each_s: float = TELL_S) -> None:
        self._counts, self._each_s, self._told_at = Counter[str](), each_s, float("-inf")

    def add(self, what: str) -> None:
        self._counts[what] += 1

    def due(self) -> list[tuple[str, int]]:
        """Return what was added since the last time, and how often; nothing where that was a moment ago."""
        if not self._counts or time.monotonic() - self._told_at < self._each_s:
            return []
        self._told_at, told = time.monotonic(), list(self._counts.items())
        self._counts.clear()
        return told


class Journal:
    """Writes lines, each with its time, to the file that standard output and standard error are."""

    def __init__(self, file: Path | None) -> None:
        self.file, self.faults = file, Tally()

    def __call__(self, text: str) -> None:
        print(time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), text, flush=True)
        if self.file and os.fstat(1).st_size > MOST_BYTES:
            self.turn(self.file)

    def turn(self, file: Path) -> None:
        file.replace(file.with_suffix(".old.log"))
        new = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        for stream in (1, 2):
            os.dup2(new, stream)
        os.close(new)

    def fault(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Tell of an exception that nobody caught; of many alike, a line a second with their number."""
        what = str(context.get("message", "")).partition("\n")[0]
        if error := context.get("exception"):
            what = f"{what}: {type(error).__name__}: {error}"
        self.faults.add(what)
        for text, count in self.faults.due():
            self(f"{text}{f' ({count} times)' if count > 1 else ''}")
