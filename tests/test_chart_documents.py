"""The chart tells what it can be set to: every value has a description, a comment and a row in its README."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.rendering import CHARTED, CHECKOUT, IMAGES
from tests.test_chart import CHART, helm, images

SCHEMA = json.loads((CHART / "values.schema.json").read_text())
TEXT = (CHART / "values.yaml").read_text()
VALUES = yaml.safe_load(TEXT)


def properties(schema: Any, where: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every property of a schema, wherever it stands, but for the conditions of `allOf`."""
    if isinstance(schema, dict):
        for name, wanted in schema.get("properties", {}).items():
            yield f"{where}.{name}", wanted
        for key, inner in schema.items():
            if key != "allOf":
                yield from properties(inner, f"{where}.{key}")
    elif isinstance(schema, list):
        for inner in schema:
            yield from properties(inner, where)


def test_every_value_has_a_description_in_the_schema() -> None:
    seen = dict(properties(SCHEMA))
    assert len(seen) > 40
    for where, wanted in seen.items():
        assert re.fullmatch(r"[A-Z`].*\.", wanted.get("description", "")), where


def test_every_value_that_can_be_set_has_a_default_and_a_comment_before_it() -> None:
    assert VALUES.keys() == SCHEMA["properties"].keys() - {"global"}
    for name in ("postgres", "ingress", "priorityClasses"):
        assert VALUES[name].keys() == SCHEMA["properties"][name]["properties"].keys()
    lines = TEXT.splitlines()
    for number, line in enumerate(lines):
        if re.match(r" *\w+:", line):
            indent = len(line) - len(line.lstrip())
            assert lines[number - 1].startswith(" " * indent + "# "), line


def test_the_readme_has_every_value() -> None:
    argv = [sys.executable, str(CHECKOUT / "scripts/chart_values.py")]
    table = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    assert (CHART / "README.md").read_text().endswith(f"\n\n{table}"), "./scripts/chart_values.py prints the table"


def test_the_chart_says_who_made_it_and_what_it_looks_like() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert re.fullmatch(r"\d+\.\d+\.\d+", chart["version"])
    assert chart["icon"]
    assert all(maintainer["name"] for maintainer in chart["maintainers"])


@pytest.mark.parametrize("environment", CHARTED)
def test_helm_s_review_has_nothing_to_say(environment: str) -> None:
    done = helm(environment, *images(IMAGES[environment]), "--strict", verb="lint")
    assert done.returncode == 0, done.stdout + done.stderr
    assert not re.search(r"\[(INFO|WARNING|ERROR)\]", done.stdout), done.stdout
