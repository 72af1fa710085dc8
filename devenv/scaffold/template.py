"""`${VAR:-default}` as Compose has it: a text taken apart, and put together again with values. Pure.

Source: the Compose specification, "Interpolation". `string.Template` and `os.path.expandvars` know no defaults.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
OPERATORS = (":-", ":?", ":+", "-", "?", "+")
DEEPEST = 20  # defaults within defaults


@dataclass(frozen=True)
class Variable:
    """A place for a variable: what counts where it is not set, or empty (`:`)."""

    name: str
    operator: str = ""
    word: tuple["str | Variable", ...] = ()

    def is_set(self, values: Mapping[str, str]) -> bool:
        return bool(values.get(self.name)) if self.operator.startswith(":") else self.name in values


Parts = tuple[str | Variable, ...]


def parse(text: str, depth: int = 0) -> Parts:
    """Return the parts of a text. Raise ValueError for what Compose refuses."""
    found: list[str | Variable] = []
    at = 0
    while (start := text.find("$", at)) >= 0:
        found.append(text[at:start])
        part, at = parse_one(text, start, depth)
        found.append(part)
    return tuple(part for part in (*found, text[at:]) if part)


def parse_one(text: str, start: int, depth: int) -> tuple[str | Variable, int]:
    """Return what a dollar begins, and where that ends."""
    if text.startswith("$$", start):
        return "$", start + 2
    if plain := NAME.match(text, start + 1):
        return Variable(plain[0]), plain.end()
    if not text.startswith("${", start):
        raise ValueError("a $ that begins no variable; write $$ for the sign itself")
    name, end = NAME.match(text, start + 2), closing(text, start + 2)
    if name is None or depth == DEEPEST:
        raise ValueError("${ that begins no variable; write $${ for the signs themselves")
    rest = text[name.end() : end]
    if not rest:
        return Variable(name[0]), end + 1
    operator = next((o for o in OPERATORS if rest.startswith(o)), None)
    if operator is None:
        raise ValueError(f"${{{name[0]}…}} has something other than :-, -, :?, ?, :+ or + after its name")
    return Variable(name[0], operator, parse(rest[len(operator) :], depth + 1)), end + 1


def closing(text: str, at: int) -> int:
    """Return where the brace that closes a variable is."""
    depth = 1
    while depth:
        opened, closed = text.find("${", at), text.find("}", at)
        if closed < 0:
            raise ValueError("${ without its }")
        inner = 0 <= opened < closed
        depth, at = (depth + 1, opened + 2) if inner else (depth - 1, closed + 1)
    return at - 1


def joined(parts: Parts, values: Mapping[str, str], literal: Callable[[str], str] = str) -> str:
    """Return the text with its values. A variable that is not set is empty. Raise ValueError for a required one."""
    return "".join(literal(value_of(part, values)) for part in parts)


def value_of(part: str | Variable, values: Mapping[str, str]) -> str:
    if isinstance(part, str):
        return part
    there = part.is_set(values)
    match part.operator.removeprefix(":"):
        case "+":
            return joined(part.word, values) if there else ""
        case "?" if not there:
            raise ValueError(f"{part.name} is required, and not set")
        case "-" if not there:
            return joined(part.word, values)
    return values.get(part.name, "")


def names(parts: Parts) -> set[str]:
    """Return the variables in a text, those of defaults too."""
    variables = [part for part in parts if isinstance(part, Variable)]
    return {v.name for v in variables} | {name for v in variables for name in names(v.word)}
