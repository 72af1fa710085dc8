"""Where a key stands in a TOML file: the parser of the standard library does not say."""

import re
from typing import Any


def place(text: str, loc: tuple[Any, ...]) -> str:
    """Return `line N: key.path`: the line of the key, else of the nearest table above it that is written."""
    keys = [str(part) for part in loc]
    lines = text.splitlines()
    for depth in range(len(keys), -1, -1):
        at = header_line(lines, ["tool", "devenv", *keys[:depth]])
        if at is not None:
            rest = keys[depth:]
            at = next((n for n in range(at + 1, end_of_table(lines, at)) if names_key(lines[n], rest)), at)
            return f"line {at + 1}: {'.'.join(keys) or 'tool.devenv'}"
    return ".".join(keys)


def header_line(lines: list[str], path: list[str]) -> int | None:
    wanted = f"[{'.'.join(path)}]"
    return next((n for n, line in enumerate(lines) if line.replace('"', "").replace(" ", "").startswith(wanted)), None)


def end_of_table(lines: list[str], start: int) -> int:
    return next((n for n in range(start + 1, len(lines)) if lines[n].startswith("[")), len(lines))


def names_key(line: str, rest: list[str]) -> bool:
    return bool(rest) and re.match(rf"""["']?{re.escape(rest[0])}["']?\s*[.=]""", line.strip()) is not None
