"""Cancelling a command: the command owns a Cancel and passes it down."""

import subprocess
import threading
from collections.abc import Callable
from contextlib import suppress

Child = subprocess.Popen[bytes]


class Cancel:
    """Whether a command is cancelled, and the child processes to end then."""

    def __init__(self) -> None:
        self._event, self._guard = threading.Event(), threading.Lock()
        self._children: dict[Child, Callable[[Child], None]] = {}

    @property
    def requested(self) -> bool:
        return self._event.is_set()

    def wait(self, within_s: float) -> bool:
        """Sleep, at most until the work is cancelled; return whether it is."""
        return self._event.wait(within_s)

    def add(self, child: Child, end: Callable[[Child], None]) -> None:
        """Have a child ended when the work is cancelled; at once, where it is already."""
        with self._guard:
            self._children[child] = end
        if self.requested:
            end(child)

    def discard(self, child: Child) -> None:
        with self._guard:
            self._children.pop(child, None)

    def request(self) -> None:
        """Cancel the work and end every child under way."""
        self._event.set()
        with self._guard:
            children = list(self._children.items())
        for child, end in children:
            with suppress(ProcessLookupError):
                end(child)
