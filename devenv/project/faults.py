"""How a fault of [tool.devenv] is told: with its place, and without what may be a password. Pure."""

import re
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

# The keys whose refused value is told: names, and what is no place for a password. Of others only the type is.
SHOWN = {
    *("name", "namespace", "context", "service", "ports", "probe", "hold_s", "ready-within-s"),
    *("registry", "host", "ingress", "secret", "ingress-class", "issuer"),
}
NAMED_BY_PERSON = {"secrets", "env", "tests", "args"}  # tables whose keys are a person's own, and may be any of SHOWN
TYPES = {str: "string", bool: "boolean", int: "number", float: "number", list: "list", dict: "table"}


TABLE = ("tool", "devenv")  # where the table is in a file that has others too


def listed(file: Path, faults: list[str], top: tuple[str, ...] = TABLE) -> str:
    count = f"{len(faults)} fault" + ("s" if len(faults) > 1 else "")
    return "\n  ".join([f"{file}: {count}{' in [tool.devenv]' if top else ''}", *faults])


def said(error: Any) -> str:
    match error["type"]:
        case "extra_forbidden":
            return "unknown key"
        case "missing":
            return "is missing"
        case "string_pattern_mismatch":
            return f"{value(error)} does not match {error['ctx']['pattern']}"
        case _:
            return f"{error['msg'].removeprefix('Value error, ')} (it is {value(error)})"


def told(text: str, errors: Iterable[Any], top: tuple[str, ...] = TABLE) -> list[str]:
    """Return each fault with its place in the text. A key that is itself at fault is not told, be it as the place of
    another: it may be a misplaced password.
    """
    found = [*errors]
    broken = {e["loc"][:-1] for e in found if e["loc"][-1:] == ("[key]",)}
    return [f"{place(text, keys_of(e['loc'], broken), top)}: {said(e)}" for e in found]


def keys_of(loc: tuple[Any, ...], broken: Collection[tuple[Any, ...]]) -> tuple[Any, ...]:
    """Return the keys that lead to a fault, as far as none of them is itself at fault."""
    return next((loc[: n - 1] for n in range(1, len(loc) + 1) if loc[:n] in broken), loc)


def value(error: Any) -> str:
    """Return the value at fault as it may be shown: itself where no password can stand, else its type."""
    loc, given = error["loc"], error["input"]
    # A URL may have a password before @, or a token after ?.
    plain = isinstance(given, int | float) or (isinstance(given, str) and not set(given) & set("@?"))
    if plain and set(loc[-1:]) & SHOWN and not set(loc) & NAMED_BY_PERSON:
        return repr(given)
    return f"a {TYPES.get(type(given), 'value')} that is not shown"


def place(text: str, loc: tuple[Any, ...], top: tuple[str, ...] = TABLE) -> str:
    """Return `line N: key.path`: the line of the key, else of the nearest table above it that is written.

    `top` is where the table is in its file: nowhere, if the file is the table.
    """
    keys = [str(part) for part in loc]
    lines = text.splitlines()
    for depth in range(len(keys), -1, -1):
        path = [*top, *keys[:depth]]
        at = header_line(lines, path) if path else -1
        if at is not None:
            rest = keys[depth:]
            at = next((n for n in range(at + 1, end_of_table(lines, at)) if names_key(lines[n], rest)), at)
            return f"line {max(at, 0) + 1}: {'.'.join(keys) or 'tool.devenv'}"
    return ".".join(keys)


def header_line(lines: list[str], path: list[str]) -> int | None:
    wanted = f"[{'.'.join(path)}]"
    heads = (line.replace('"', "").replace(" ", "") for line in lines)
    return next((n for n, head in enumerate(heads) if head.startswith((wanted, f"[{wanted}"))), None)


def end_of_table(lines: list[str], start: int) -> int:
    return next((n for n in range(start + 1, len(lines)) if lines[n].startswith("[")), len(lines))


def names_key(line: str, rest: list[str]) -> bool:
    return bool(rest) and re.match(rf"""["']?{re.escape(rest[0])}["']?\s*[.=]""", line.strip()) is not None
