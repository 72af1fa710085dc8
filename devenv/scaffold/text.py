"""YAML and TOML as a person writes them: one object a document, no anchors, comments where they help. Pure."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from devenv.kube import documents

WIDEST = 10**9
# What a block keeps as it is: printable to YAML, and no line end but \n.
BLOCK = re.compile(r"[^\s][\t\n\x20-\x7e\xa0-\ud7ff\ue000-\ufefe]*\n?")
INDENT = "  "
BARE = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True)
class Commented:
    """A value with a comment, which goes on the line above."""

    value: Any
    comment: str


def as_yaml(objects: Iterable[Mapping[str, Any]], head: str = "") -> str:
    """Return the objects as one file."""
    texts = ["\n".join(yaml_lines(obj)) + "\n" for obj in objects]
    return "".join(f"# {line}\n" for line in head.splitlines()) + "---\n".join(texts)


def yaml_lines(value: Any, pad: str = "") -> Iterator[str]:
    """Yield the lines of a mapping or a list."""
    for key, one in value.items() if isinstance(value, Mapping) else ((None, item) for item in value):
        inner = one
        if isinstance(one, Commented):
            inner = one.value
            yield from (f"{pad}# {line}" for line in one.comment.splitlines())
        if key is None:
            yield from item_lines(inner, pad)
        else:
            yield from entry_lines(f"{pad}{scalar(key)}:", inner, pad)


def entry_lines(start: str, value: Any, pad: str) -> Iterator[str]:
    if isinstance(value, Mapping | list | tuple) and value:
        yield start
        yield from yaml_lines(value, pad + INDENT)
    elif isinstance(value, str) and "\n" in value[:-1] and BLOCK.fullmatch(value):
        yield f"{start} |{'' if value.endswith(chr(10)) else '-'}"
        yield from (f"{pad}{INDENT}{line}" if line else "" for line in value.removesuffix("\n").split("\n"))
    else:
        yield f"{start} {scalar(value)}"


def item_lines(value: Any, pad: str) -> Iterator[str]:
    if not (isinstance(value, Mapping) and value):
        yield from entry_lines(f"{pad}-", value, pad)
        return
    begun = False
    for line in yaml_lines(value, pad + INDENT):
        if not begun and line.lstrip().startswith("#"):
            yield line.removeprefix(INDENT)
        else:
            yield line if begun else f"{pad}- {line[len(pad) + len(INDENT) :]}"
            begun = True


def scalar(value: Any) -> str:
    """Return a scalar, in quotes where any reader could take it for something else."""
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str):
        return json.dumps(value) if isinstance(value, int | float) else "{}" if isinstance(value, Mapping) else "[]"
    plain: str = yaml.safe_dump(value, width=WIDEST, allow_unicode=True).removesuffix("\n...\n").removesuffix("\n")
    if value and plain == value and documents.plain(value) == value:
        return value
    quoted: str = yaml.safe_dump(value, width=WIDEST, allow_unicode=True, default_style='"')
    return quoted.removesuffix("\n")


def toml_string(text: str) -> str:
    # JSON's strings are TOML's, but for DEL.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def toml_key(*path: str) -> str:
    return ".".join(key if BARE.fullmatch(key) else toml_string(key) for key in path)


def toml_value(value: Any) -> str:
    match value:
        case Mapping():
            entries = [f"{toml_key(key)} = {toml_value(inner)}" for key, inner in value.items()]
            return f"{{ {', '.join(entries)} }}" if entries else "{}"
        case list() | tuple():
            return f"[{', '.join(map(toml_value, value))}]"
        case bool():
            return str(value).lower()
        case int() | float():
            return str(value)
    return toml_string(str(value))


def as_toml(
    top: tuple[str, ...], values: Mapping[str, Any], tables: Mapping[tuple[str, ...], Mapping[str, Any]]
) -> str:
    """Return a table: its own values, then the tables within it, each under its header."""
    blocks = ["\n".join([*([f"[{toml_key(*top)}]"] if top else []), *toml_lines(values)])]
    blocks += ["\n".join([f"[{toml_key(*top, *path)}]", *toml_lines(table)]) for path, table in tables.items() if table]
    return "\n\n".join(blocks) + "\n"


def toml_lines(values: Mapping[str, Any]) -> Iterator[str]:
    for key, one in values.items():
        value = one
        if isinstance(one, Commented):
            value = one.value
            yield from (f"# {line}" for line in one.comment.splitlines())
        if value is not None:
            yield f"{toml_key(key)} = {toml_value(value)}"
