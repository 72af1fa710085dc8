"""Child processes: run to their end, with a log, a limit, and an end when the work is called off."""

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
from typing import IO

from devenv.errors import CommandFailed, DevenvError, TimedOut

TAIL_BYTES = 4096  # what an error shows of a child's output

# The children under way, so that an interrupt can end them, and the lock files that they hold on to with us:
# a child that outlives a killed parent keeps its lock until it ends.
_running: set[subprocess.Popen[bytes]] = set()
_held: set[int] = set()
_guard = threading.Lock()
_called_off = threading.Event()


def search_path(extra: Iterable[Path] = ()) -> str:
    """Return PATH with the environment that we run in before it: pytest, kind and kubectl may be there."""
    return os.pathsep.join([*map(str, extra), str(Path(sys.executable).parent), os.environ.get("PATH", "")])


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
) -> str:
    """Run a program to its end and return its standard output; with `log`, both streams go there instead.

    `stdin` is what the child reads: bytes, or an iterable of chunks. Raises CommandFailed, or TimedOut after
    `within_s` seconds; the child and its own children are dead then.
    """
    if _called_off.is_set():
        raise DevenvError(f"{argv[0]}: called off")
    environment = {**os.environ, "PATH": search_path(), **(env or {})}
    with TemporaryFile() as out, TemporaryFile() as err, open_log(log) as logged:
        child = subprocess.Popen(
            argv, cwd=cwd, env=environment, stdin=subprocess.PIPE, pass_fds=tuple(_held),
            stdout=logged or out, stderr=logged or err, start_new_session=True,
        )  # fmt: skip
        with _guard:
            _running.add(child)
        try:
            feeding = threading.Thread(target=feed, args=(child, stdin), daemon=True)
            feeding.start()
            code = child.wait(within_s)
            feeding.join(within_s)
        except subprocess.TimeoutExpired:
            raise TimedOut(f"{argv[0]} {' '.join(argv[1:3])}: no end after {within_s:.0f} s") from None
        finally:
            kill(child)
            with _guard:
                _running.discard(child)
        if code:
            raise CommandFailed(tuple(argv), code, tail(logged) if logged else tail(err) or tail(out))
        out.seek(0)
        return out.read().decode(errors="replace")


def open_log(log: Path | None) -> IO[bytes]:
    if log is None:
        return _NoLog()  # type: ignore[return-value]
    log.parent.mkdir(parents=True, exist_ok=True)
    return log.open("w+b")


class _NoLog:
    """Stands where a log file would, and is false."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        return None


def feed(child: subprocess.Popen[bytes], stdin: bytes | Iterable[bytes]) -> None:
    assert child.stdin
    # A child that ends early says why by its exit code; the broken pipe is only its shadow.
    with suppress(BrokenPipeError), child.stdin as pipe:
        for chunk in [stdin] if isinstance(stdin, bytes) else stdin:
            pipe.write(chunk)


def tail(stream: IO[bytes]) -> str:
    end = stream.seek(0, os.SEEK_END)
    stream.seek(max(0, end - TAIL_BYTES))
    return stream.read().decode(errors="replace").strip()


def kill(child: subprocess.Popen[bytes]) -> None:
    """End a child with all that it started; one that has ended is left alone."""
    if child.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGTERM)
        try:
            child.wait(5)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()


def hold(descriptor: int) -> None:
    """Let every child started from now on hold this lock file open too."""
    _held.add(descriptor)


def release(descriptor: int) -> None:
    _held.discard(descriptor)


def call_off() -> None:
    """End every child under way and start none any more: the work was interrupted or has failed elsewhere."""
    _called_off.set()
    with _guard:
        children = list(_running)
    for child in children:
        kill(child)


def called_off() -> threading.Event:
    return _called_off
