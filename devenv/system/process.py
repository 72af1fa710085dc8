"""Child processes: run to their end, with a log, a limit, and an early end when the work is cancelled."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile
from time import CLOCK_BOOTTIME, clock_gettime, monotonic, sleep
from typing import IO

from devenv.errors import CannotRun, CommandFailed, DevenvError, TimedOut
from devenv.system.cancel import Cancel

TAIL_BYTES = 4096  # what an error shows of a child's output
ADVICE = {errno.EACCES: "\nhint: chmod +x", errno.ENOEXEC: "\nhint: its first line is to name its shell: #!/bin/sh"}
GRACE_S = 5.0  # between the request to end and the end by force

STARTED_FIELD = 19  # of /proc/PID/stat, behind the name: the start in ticks since boot (proc_pid_stat(5))

# The lock files that children hold on to with us: a child that outlives a killed parent keeps its lock until it ends.
_held: set[int] = set()


def age() -> float:
    """Return the seconds since this process started, to a hundredth; 0 where the kernel does not tell."""
    try:
        ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[STARTED_FIELD])
    except OSError:
        return 0.0
    return max(0.0, clock_gettime(CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK"))


def search_path(extra: Iterable[Path] = ()) -> str:
    """Return PATH, preceded by the virtual environment's programs: pytest, kind and kubectl may be there."""
    # An empty entry would be the working folder.
    return os.pathsep.join([*map(str, extra), str(Path(sys.executable).parent), os.environ.get("PATH") or os.defpath])


def find(program: str, extra: Iterable[Path] = ()) -> str:
    """Return the path of a program. Raise DevenvError that says how to get it."""
    if path := shutil.which(program, path=search_path(extra)):
        return path
    raise DevenvError(f"{program}: not found on PATH; install it, or run scripts/setup.sh of a devenv checkout")


def run(
    argv: Sequence[str],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: bytes | Iterable[bytes] = b"",
    log: Path | None = None,
    within_s: float = 60,
    cancel: Cancel | None = None,
    holds: bool = True,
) -> str:
    """Run a program to its end and return its standard output; with `log`, both streams go there instead.

    `stdin` is what the child reads: bytes, or an iterable of chunks; what that raises is raised here. Raises
    CommandFailed, or TimedOut after `within_s` seconds. Whatever the end, the child and its own children are dead then.
    Our locks are held until it has ended too, unless it is none of their affair.
    """
    cancel = cancel or Cancel()
    if cancel.requested:
        raise DevenvError(f"{argv[0]}: cancelled")
    environment = {**os.environ, "PATH": search_path(), **(env or {})}
    with TemporaryFile() as out, TemporaryFile() as err, open_log(log) as logged:
        try:
            child = subprocess.Popen(
                argv, cwd=cwd, env=environment, stdin=subprocess.PIPE, pass_fds=tuple(_held) if holds else (),
                stdout=logged or out, stderr=logged or err, start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            raise CannotRun(f"{argv[0]}: cannot be run: {error.strerror}{ADVICE.get(error.errno or 0, '')}") from error
        cancel.add(child, kill)
        try:
            feeding, end = Feeding(child, stdin), monotonic() + within_s
            feeding.start()
            code = ended(child, within_s)
            kill(child)  # its own children may still hold the pipe that is written to
            feeding.join(max(0.0, end - monotonic()))
        except subprocess.TimeoutExpired:
            raise TimedOut(f"{argv[0]} {' '.join(argv[1:3])}: timed out after {within_s:.0f} s") from None
        finally:
            kill(child)
            cancel.discard(child)
        if feeding.error:  # before the code: a child that was ended for it says nothing of why
            raise feeding.error
        if code:
            raise CommandFailed(tuple(argv), code, tail(logged) if logged else tail(err) or tail(out))
        out.seek(0)
        return out.read().decode(errors="replace")


def ended(child: subprocess.Popen[bytes], within_s: float) -> int:
    """Return the exit code of a child as soon as it has ended: with a limit, `wait` itself only looks every 50 ms."""
    waiting = threading.Thread(target=child.wait, daemon=True)
    waiting.start()
    waiting.join(within_s)
    return child.wait(0)


def open_log(log: Path | None) -> IO[bytes]:
    if log is None:
        return _NoLog()  # type: ignore[return-value]
    log.parent.mkdir(parents=True, exist_ok=True)
    return open(log, "w+b", opener=private)  # a Path has no opener


def private(path: str, flags: int) -> int:
    """Open a file that nobody else may read, whatever the umask: what a program says may be secret."""
    return os.open(path, flags, 0o600)


class _NoLog:
    """Stands in for a log file, and is false."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        return None


class Feeding(threading.Thread):
    """Writes a child's input. `error` is what the source of the input raised."""

    def __init__(self, child: subprocess.Popen[bytes], stdin: bytes | Iterable[bytes]) -> None:
        super().__init__(daemon=True)
        self._child, self._chunks = child, [stdin] if isinstance(stdin, bytes) else stdin
        self.error: Exception | None = None

    def run(self) -> None:
        pipe = self._child.stdin
        assert pipe
        try:
            for chunk in self._chunks:
                try:
                    pipe.write(chunk)
                except BrokenPipeError:  # a child that ends early says why by its exit code; this is only its shadow
                    break
        except Exception as error:
            self.error = error
            kill(self._child)  # while the pipe is open: the child must not take half an input for the whole
        finally:
            with suppress(BrokenPipeError):
                pipe.close()


def tail(stream: IO[bytes]) -> str:
    end = stream.seek(0, os.SEEK_END)
    stream.seek(max(0, end - TAIL_BYTES))
    return stream.read().decode(errors="replace").strip()


def kill(child: subprocess.Popen[bytes]) -> None:
    """End a child and all that it started, also where the child itself has ended."""
    end = monotonic() + GRACE_S
    with suppress(ProcessLookupError, PermissionError):  # nobody is left; macOS says so of dead ones by the second
        os.killpg(child.pid, signal.SIGTERM)
        while monotonic() < end:
            child.poll()
            os.killpg(child.pid, 0)
            sleep(0.01)
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def hold(descriptor: int) -> None:
    """Let every child started from now on hold this lock file open too."""
    _held.add(descriptor)


def release(descriptor: int) -> None:
    _held.discard(descriptor)
