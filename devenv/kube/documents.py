"""YAML as kubectl reads it (sigs.k8s.io/yaml, which is YAML 1.1 as Go's yaml.v2 has it, and then JSON). Pure.

PyYAML alone reads more into a plain scalar: `22:30` is 1350 to it, `2026-01-01` a date, `=` an error; and of two equal
keys it takes the last without a word.
"""

import re
from base64 import b64decode
from collections.abc import Iterator
from contextlib import suppress
from math import isfinite
from typing import Any

import yaml

from devenv.kube import yaml_fault

PLAIN = "tag:devenv,2026:plain"
MERGE = "tag:yaml.org,2002:merge"
NULLS = frozenset(("", "~", "null", "Null", "NULL"))
BOOLS = {
    word: value
    for value, words in ((True, "y yes true on"), (False, "n no false off"))
    for plain in words.split()
    for word in (plain, plain.title(), plain.upper())
}
SPECIAL = {
    f"{sign}{word}": float(f"{sign}inf") for word in (".inf", ".Inf", ".INF") for sign in ("", "+", "-")
} | dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan"))
# Go's strconv.ParseInt with base 0, and the floats of yaml.v2 (resolve.go), after "_" was dropped.
INT = re.compile(r"[-+]?(0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO]?[0-7]+|0|[1-9][0-9]*)")
FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
LARGEST = 2**64 - 1


class Fault(ValueError):
    """What is wrong with a text, and the line where."""

    def __init__(self, line: int, what: str) -> None:
        super().__init__(f"line {line}: {what}")


# libyaml's parser where PyYAML was built with it, ten times as fast.
Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Loader(Base):  # type: ignore[misc]
    """Reads plain scalars as `plain` has them, and mappings whose keys are all different."""

    def resolve(self, kind: Any, value: Any, implicit: Any) -> Any:
        if kind is yaml.ScalarNode and implicit[0]:
            return MERGE if value == "<<" else PLAIN
        return super().resolve(kind, value, implicit)

    def plain_scalar(self, node: yaml.ScalarNode) -> Any:
        found = plain(node.value)
        if isinstance(found, float) and not isfinite(found):
            raise Fault(node.start_mark.line + 1, "a number that JSON does not have; put it in quotes")
        return found

    def binary(self, node: yaml.ScalarNode) -> str:
        try:
            return b64decode(node.value).decode()
        except ValueError:
            raise Fault(node.start_mark.line + 1, "!!binary that is no text") from None

    def as_written(self, node: yaml.ScalarNode) -> str:
        return str(node.value)

    def no_json(self, node: yaml.Node) -> Any:
        raise Fault(node.start_mark.line + 1, f"{node.tag.rpartition(':')[2]} is a type that JSON does not have")

    def whole_mapping(self, node: yaml.MappingNode) -> dict[str, Any]:
        return {key: value for key, value in self.entries(node).items() if value is not None}

    def entries(self, node: yaml.MappingNode) -> dict[str, Any]:
        own = [key for key, _ in node.value if key.tag != MERGE]
        seen: dict[str, int] = {}
        for key in own:
            line, name = key.start_mark.line + 1, self.key(key)
            if name in seen:
                raise Fault(line, f"the key {name} is there twice, first in line {seen[name]}")
            seen[name] = line
        self.flatten_mapping(node)
        # What is merged stands before what the mapping has itself, which wins.
        return {self.key(key): self.construct_object(value, deep=True) for key, value in node.value}

    def key(self, node: yaml.Node) -> str:
        found = self.construct_object(node, deep=True)
        if isinstance(found, bool):
            return str(found).lower()
        if isinstance(found, str | int | float):
            return str(found)
        raise Fault(node.start_mark.line + 1, "a key that is neither text nor a number")


Loader.add_constructor(PLAIN, Loader.plain_scalar)
Loader.add_constructor("tag:yaml.org,2002:float", Loader.plain_scalar)
Loader.add_constructor("tag:yaml.org,2002:map", Loader.whole_mapping)
Loader.add_constructor("tag:yaml.org,2002:binary", Loader.binary)
Loader.add_constructor("tag:yaml.org,2002:timestamp", Loader.as_written)
for name in ("set", "omap", "pairs"):
    Loader.add_constructor(f"tag:yaml.org,2002:{name}", Loader.no_json)


class WithNulls(Loader):
    """Keeps the keys without a value, which kubectl drops: to others than Kubernetes they may say something."""


WithNulls.add_constructor("tag:yaml.org,2002:map", Loader.entries)


def plain(text: str) -> Any:
    """Return the value of a scalar without quotes."""
    if text in NULLS:
        return None
    for table in (BOOLS, SPECIAL):
        if text in table:
            return table[text]
    if text[0] not in "+-.0123456789":
        return text
    digits = text.replace("_", "")
    if INT.fullmatch(digits):
        with suppress(ValueError):
            value = int(re.sub(r"^([-+]?)0(?=[0-7])", r"\g<1>0o", digits), 0)
            if -(2**63) <= value <= LARGEST:
                return value
    return float(digits) if FLOAT.fullmatch(digits) else text


def read(text: str, reader: type[Loader] = Loader) -> Iterator[tuple[int, Any]]:
    """Yield each document that holds something, with the number of its first line. Raise Fault."""
    loader = reader(text)
    try:
        while loader.check_node():
            node = loader.get_node()
            if (found := loader.construct_document(node)) is not None:
                yield node.start_mark.line + 1, found
    except yaml.YAMLError as error:
        raise Fault(*yaml_fault.told(error)) from error
    except RecursionError:
        raise Fault(1, "nested too deeply") from None
    finally:
        loader.dispose()
