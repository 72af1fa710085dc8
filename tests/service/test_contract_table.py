"""docs/contract.md tells the truth: every sentence has a test, and every test it names is there."""

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
TABLE = (TESTS.parent / "docs/contract.md").read_text()
SECTIONS: dict[str, dict[str, list[str]]] = {}
for section in re.split(r"^## ", TABLE, flags=re.MULTILINE)[1:]:
    title, _, text = section.partition("\n")
    rows = [line.strip("| ").split(" | ") if " | " in line.strip("| ") else [line.strip("| "), ""]
            for line in text.splitlines() if line.startswith("|")][2:]  # fmt: skip
    SECTIONS[title] = {sentence: re.findall(r"`([^`]+::[^`]+)`", tests) for sentence, tests in rows}
NAMED = sorted({test for rows in SECTIONS.values() for tests in rows.values() for test in tests})


def functions(file: Path) -> set[str]:
    return {node.name for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.FunctionDef)}


def test_every_section_is_there() -> None:
    numbers = [title.split()[0].rstrip(".") for title in SECTIONS]
    assert numbers == [*"12345", *(f"6.{n}" for n in range(1, 8)), *"789"]


@pytest.mark.parametrize("section", SECTIONS)
def test_every_sentence_has_a_test(section: str) -> None:
    assert SECTIONS[section]
    assert [sentence for sentence, tests in SECTIONS[section].items() if not tests] == []


def test_every_named_test_exists() -> None:
    there = {file: functions(TESTS / file) for file in {name.split("::")[0] for name in NAMED}}
    assert [name for name in NAMED if name.split("::")[1] not in there[name.split("::")[0]]] == []
