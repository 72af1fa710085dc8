"""A command run while somebody else looks at the list of processes, as every user of the machine may."""

import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread
from time import sleep
from uuid import uuid4

LOOKS_EACH_S = 0.001
SIGN = "WATCHED_BY_A_TEST"  # in the environment of a command and of all that it starts


@dataclass
class Seen:
    """What a command said, and the arguments of every process that it was or started."""

    code: int = 0
    out: str = ""
    err: str = ""
    arguments: set[str] = field(default_factory=set)


def run(argv: list[str], cwd: Path, env: Mapping[str, str], within_s: float = 120, text: str = "") -> Seen:
    sign, ended, seen = uuid4().hex, Event(), Seen()
    watch = Thread(target=look, args=(f"{SIGN}={sign}".encode(), processes(), ended, seen.arguments))
    watch.start()
    try:
        done = subprocess.run(
            argv, cwd=cwd, env={**env, SIGN: sign}, input=text, capture_output=True, text=True, check=False,
            timeout=within_s,
        )  # fmt: skip
    finally:
        ended.set()
        watch.join()
    seen.code, seen.out, seen.err = done.returncode, done.stdout, done.stderr
    return seen


def look(sign: bytes, others: set[Path], ended: Event, found: set[str]) -> None:
    """Note the arguments of the processes with this sign, but those of before, until that is over, and once more.

    A process is looked at each time: it is another one once it has called a program in its place.
    """
    while True:
        over = ended.is_set()
        there = processes()
        others &= there
        for process in there - others:
            with suppress(OSError):  # it has ended, or is another user's
                if sign in (process / "environ").read_bytes().split(b"\0"):
                    found.add((process / "cmdline").read_bytes().decode(errors="replace"))
        if over:
            return
        sleep(LOOKS_EACH_S)


def processes() -> set[Path]:
    return {path for path in Path("/proc").iterdir() if path.name.isdigit()}
