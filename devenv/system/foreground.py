"""A command of the person's in the foreground: it has our terminal, and signals are its own.

What ends us ends it, SIGKILL too where the system can see to that; what we do once it has ended is never interrupted.
"""

import os
import select
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from threading import Timer
from time import monotonic
from types import FrameType

from devenv.errors import CannotRun

HEARD = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
GRACE_S = 10.0  # between the request to end and the end by force
# A command may have another use for Ctrl-C, as a debugger has: only so many in a row end it by force.
INSISTING, INSISTING_WITHIN_S = 3, 2.0
SHELL_SIGNAL = 128  # what a shell adds to the number of the signal that ended a command


class Foreground:
    """Hears the signals of a command that is about to run, runs, or has run."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None
        self._deaf = False
        self._interrupts: list[float] = []

    def run(self, argv: Sequence[str], environment: Mapping[str, str]) -> int:
        """Run a command to its end and return its exit code, as a shell has it. Raise CannotRun."""
        try:
            self._child = child = subprocess.Popen([*dying_with_us(), *argv], env=dict(environment))
        except OSError as error:
            raise CannotRun(f"{argv[0]}: cannot be run: {error.strerror}") from error
        try:
            code = ended(child)
        finally:
            if child.poll() is None:
                self._end()
                child.wait()
        return code if code >= 0 else SHELL_SIGNAL - code

    def deafen(self) -> None:
        """Hear no signal any more."""
        self._deaf = True

    def hear(self, number: int, _frame: FrameType | None = None) -> None:
        if self._deaf:
            return
        if self._child is None:
            self._deaf = True  # what this leads to is not to be interrupted
            raise KeyboardInterrupt
        if number != signal.SIGINT:
            self._end()
            return
        now = monotonic()
        self._interrupts = [*(t for t in self._interrupts if now - t < INSISTING_WITHIN_S), now]
        if len(self._interrupts) >= INSISTING:
            self._end()
        elif not from_terminal():
            self._send(signal.SIGINT)

    def _end(self) -> None:
        self._send(signal.SIGTERM)
        late = Timer(GRACE_S, self._send, (signal.SIGKILL,))
        late.daemon = True
        late.start()

    def _send(self, number: int) -> None:
        with suppress(ProcessLookupError):
            if self._child:
                self._child.send_signal(number)


def ended(child: "subprocess.Popen[bytes]") -> int:
    """Return how a command has ended. Signals are heard meanwhile, whichever thread has them and however late.

    Where a signal comes just before waitpid(2), or to another thread, that call goes on, and Python hears of nothing.
    """
    heard, tells = socket.socketpair()
    with heard, tells:
        for end in (heard, tells):
            end.setblocking(False)
        before = signal.signal(signal.SIGCHLD, lambda *_: None)  # Python tells only of signals that have a handler
        former = signal.set_wakeup_fd(tells.fileno(), warn_on_full_buffer=False)
        try:
            while (code := child.poll()) is None:
                select.select([heard], [], [])
                heard.recv(1 << 12)
            return code
        finally:
            signal.set_wakeup_fd(former)
            signal.signal(signal.SIGCHLD, before)


def from_terminal() -> bool:
    """Whether the terminal has sent an interrupt to the command too: it sends it to all in the foreground."""
    try:
        return os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except (OSError, ValueError):  # no terminal; no standard input
        return False


def dying_with_us() -> list[str]:
    """Return the words that have the kernel end a command once we are gone (util-linux's setpriv), or none."""
    found = shutil.which("setpriv") if sys.platform == "linux" else None
    return [found, "--pdeathsig", "TERM", "--"] if found else []


@contextmanager
def guarded() -> Iterator[Foreground]:
    """Yield what hears the signals meanwhile; before its command runs, they are a KeyboardInterrupt."""
    foreground = Foreground()
    before = {number: signal.signal(number, foreground.hear) for number in HEARD}
    try:
        yield foreground
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
