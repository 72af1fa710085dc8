"""The `devenv attach` of an environment, one at a time: it holds a lock, whose file says who it is."""

import fcntl
import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from typing import IO

from devenv.errors import DevenvError
from devenv.system import process, state, wait
from devenv.system.state import Folder

ENDS_WITHIN_S, KILLED_WITHIN_S = 45.0, 5.0  # its command has its time to end, and the cluster is asked


@dataclass(frozen=True)
class Holder:
    """Who has taken the place of which workload."""

    process: int
    workload: str
    uid: str = ""  # of the workload, once its place is taken

    def __str__(self) -> str:
        return f"`devenv attach` of {self.workload} (process {self.process})"


@dataclass(frozen=True)
class Ended:
    done: bool


def holder(folder: Folder) -> Holder | None:
    """Return who has taken a place and is alive; None where nobody is."""
    if not state.is_locked(folder.attach_lock):
        return None
    told = state.read_json(folder.attach_lock)
    known = told if isinstance(told, dict) else {}
    pid = known.get("process")
    return Holder(pid if isinstance(pid, int) else 0, str(known.get("workload", "?")), str(known.get("uid", "")))


@contextmanager
def held(folder: Folder, workload: str) -> Iterator[Callable[[str], None]]:
    """Be the environment's only `devenv attach`. Yield what is called with the UID of the workload once it is known.

    Raise DevenvError where there is another.
    """
    folder.make()
    with open(folder.attach_lock, "a+", opener=process.private) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DevenvError(f"{holder(folder)} is under way\nhint: end that one first, by Ctrl-C") from None
        write(file, Holder(os.getpid(), workload))
        try:
            yield lambda uid: write(file, Holder(os.getpid(), workload, uid))
        finally:
            file.truncate(0)


def write(file: IO[str], about: Holder) -> None:
    file.seek(0)
    file.truncate()
    file.write(json.dumps(asdict(about)))
    file.flush()


def end(folder: Folder, log: Callable[[str], None]) -> None:
    """Have the `devenv attach` that runs give its place back and end, and see it gone."""
    if not (who := holder(folder)) or not who.process:
        return
    log(f"ending {who}")
    for word, within_s in ((signal.SIGTERM, ENDS_WITHIN_S), (signal.SIGKILL, KILLED_WITHIN_S)):
        with suppress(ProcessLookupError):
            os.kill(who.process, word)
        if wait.poll(lambda: Ended(not state.is_locked(folder.attach_lock)), within_s).done:
            return
    raise DevenvError(f"{who} does not end")


def remove_files(folder: Folder) -> None:
    """Remove the mounted files: they may be secret."""
    shutil.rmtree(folder.attached, ignore_errors=True)
