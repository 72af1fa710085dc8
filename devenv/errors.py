"""What can go wrong in a way that a person can act on. Anything else is our bug and keeps its traceback."""

import shlex
from dataclasses import dataclass

# The exit codes of the command line; 130 is the shell's word for an interrupt.
FAILED, WRONG_USAGE, TIMED_OUT, INTERRUPTED = 1, 2, 3, 130


class DevenvError(Exception):
    """The root: its text says what was tried, what came back and what to do next."""

    exit_code = FAILED


class UsageError(DevenvError):
    """The call or the project's configuration is wrong; nothing was changed."""

    exit_code = WRONG_USAGE


class Forbidden(DevenvError):
    """The API server does not let these credentials do it."""


class NotFound(DevenvError):
    """The API server has nothing at this path: no such object, or nothing that it would be in."""


class Invalid(DevenvError):
    """The API server does not take an object as it is."""


class Unreachable(DevenvError):
    """The API server did not answer, or said that it cannot at the moment: the same request may succeed later."""


class Conflict(DevenvError):
    """Another has changed the object meanwhile, or created it."""


class NoSuchNamespace(DevenvError):
    """The namespace of an object is not in the cluster."""


class NoSuchKind(DevenvError):
    """The cluster does not serve objects of a kind, or not yet."""


class CannotRun(DevenvError):
    """The system does not run a program: there is none of this name, or it is none."""


class TimedOut(DevenvError):
    """A wait came to its end and the thing waited for was not there."""

    exit_code = TIMED_OUT


class Interrupted(DevenvError):
    """The person ended the command. The text says what became of what had been done by then."""

    exit_code = INTERRUPTED


@dataclass(eq=False)  # not frozen: Python writes the traceback into the exception
class CommandFailed(DevenvError):
    """A child process ended with a code other than 0. `output` is the end of what it wrote."""

    argv: tuple[str, ...]
    code: int
    output: str

    def __str__(self) -> str:
        return f"{shlex.join(self.argv)} exited with {self.code}\n{self.output.rstrip()}"
