"""What the last lines of a log say: how a program ended, in the words of its language. Pure.

Sources: Python's traceback module, Go's runtime (panic.go), Node's uncaught exceptions, Java's Throwable.
"""

import json
import re
from collections.abc import Iterable, Sequence

TRACEBACK = "Traceback (most recent call last):"
PANIC = re.compile(r"^(panic|fatal error): ")
# `TypeError: x is not a function`, `psycopg.OperationalError: …`, `Error: …`; with or without a logger's prefix.
RAISED = re.compile(
    r"^(?:Uncaught |Caused by: )?(?:[A-Za-z_$][\w$]*[.:])*[A-Z]\w*(?:Error|Exception|Interrupt|Exit)\b(?::.*)?$"
)
BARE = re.compile(r"^\[?(?:[Ee]rror|ERROR|[Ff]atal|FATAL|CRITICAL|emerg)\b\]?:? .+")
JAVA = re.compile(r'^Exception in thread "[^"]*" (?P<what>\S+.*)$')
# What a logger puts before a line: the time, Postgres also its zone and process.
PREFIX = re.compile(r"^\d{4}-\d\d-\d\d[T ][\d:.,]+(?:Z|[+-]\d\d:?\d\d)?\s+(?:[A-Z]{3,4}\s+(?=\[))?(?:\[\d+\]\s+)?")
NOTHING = re.compile(r"^(?:npm (?:ERR!|error)|Node\.js v|exit status|goroutine |\(Background on this error)")


def last_words(lines: Sequence[str]) -> str:
    """Return the line that tells best why a program ended: its exception, else its last line; empty without lines."""
    said = [line.rstrip() for line in lines]
    for find in (exception_of_python, panic_of_go, exception_of_others):
        if found := find(said):
            return found
    told = [line.strip() for line in said if line.strip() and not NOTHING.match(line.strip())]
    return next(reversed([line for line in told if BARE.match(bare(line))]), "") or (told[-1] if told else "")


def exception_of_python(lines: Sequence[str]) -> str:
    """Return the exception of the last traceback: the first line after it that is not indented."""
    begun = [n for n, line in enumerate(lines) if line.endswith(TRACEBACK)]
    if not begun:
        return ""
    start = lines[begun[-1]]
    margin = start[: len(start) - len(TRACEBACK)]
    for line in lines[begun[-1] + 1 :]:
        text = line.removeprefix(margin) if margin.strip() in ("", "|", "+") else line
        if text and not text[0].isspace() and not text.startswith(("|", "+")):
            return text
    return ""


def panic_of_go(lines: Sequence[str]) -> str:
    return next((line for line in lines if PANIC.match(line)), "")


def exception_of_others(lines: Sequence[str]) -> str:
    """Return the exception of Node or Java: one that stack frames follow, of Java's causes the last."""
    found = ""
    for line, after in zip(lines, [*lines[1:], ""], strict=False):
        text = JAVA.sub(r"\g<what>", line.strip())
        if RAISED.match(text) and (after.lstrip().startswith(("at ", "...")) or line.startswith("Exception in")):
            found = text.removeprefix("Caused by: ")
    return found


def bare(line: str) -> str:
    """Return a line without the time that a logger puts before it."""
    return PREFIX.sub("", line.strip(), count=1) or line.strip()


def entries(lines: Iterable[str]) -> list[dict[str, object]]:
    """Return the lines that are JSON objects."""
    found = []
    for line in lines:
        if line.lstrip().startswith("{"):
            try:
                value = json.loads(line)
            except ValueError:
                continue
            found += [value] if isinstance(value, dict) else []
    return found
