#!/usr/bin/env python3
"""Prints the table of values for the chart's README: names and meanings of the schema, defaults of values.yaml."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

CHART = Path(__file__).parents[1] / "k8s/chart"
Row = tuple[str, str, str]


def described(schema: dict[str, Any], defaults: Any, prefix: str = "") -> Iterator[Row]:
    """Yield name, default and description of each value. Where a name is free, `NAME` stands for it."""
    for name, wanted in schema.get("properties", {}).items():
        default = defaults.get(name) if isinstance(defaults, dict) else None
        shown = "" if default is None or (isinstance(default, dict) and default) else f"`{json.dumps(default)}`"
        yield f"{prefix}{name}", shown, wanted["description"]
        yield from described(wanted, default, f"{prefix}{name}.")
        if isinstance(free := wanted.get("additionalProperties"), dict):
            yield from described(free, None, f"{prefix}{name}.NAME.")


def table() -> str:
    schema = json.loads((CHART / "values.schema.json").read_text())
    defaults = yaml.safe_load((CHART / "values.yaml").read_text())
    rows = [f"| `{name}` | {default} | {text} |" for name, default, text in described(schema, defaults)]
    return "\n".join(["| value | default | meaning |", "| --- | --- | --- |", *rows])


if __name__ == "__main__":
    print(table())
