"""Where the table is: in pyproject.toml, or in a file of its own; and its JSON schema."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from jsonschema.exceptions import ValidationError  # type: ignore[import-untyped]

from devenv.errors import UsageError
from devenv.project import schema, settings
from devenv.project.table import OWN_FILE

ROOT = Path(__file__).parent.parent
TABLES = [ROOT / "pyproject.toml", *sorted((ROOT / "tests/projects").glob("*/*.toml"))]
TABLE = 'name = "shop"\nmanifests = "k8s.yaml"\n[images.app]\npull = "app:1"\n'


def in_folder(root: Path, **files: str) -> Path:
    """Write pyproject.toml and the table's own file, and return the one that is looked for."""
    (root / "k8s.yaml").touch()
    for name, text in files.items():
        (root / {"pyproject": "pyproject.toml", "own": OWN_FILE}[name]).write_text(text)
    return root / "pyproject.toml"


@pytest.mark.parametrize("others", [{}, {"pyproject": "[project]\nname = 'x'\n"}, {"pyproject": "[tool.devenvy]\n"}])
def test_a_table_of_its_own_is_found_where_pyproject_has_none(tmp_path: Path, others: dict[str, str]) -> None:
    found = settings.load(in_folder(tmp_path, own=TABLE, **others), {}, {})
    assert found.file == tmp_path / OWN_FILE
    assert found.project.images["app"].pull == "app:1"


@pytest.mark.parametrize("pyproject", ["[tool.devenv]\nname = 'x'\n", "[tool.devenv.images.app]\n"])
def test_two_tables_are_told(tmp_path: Path, pyproject: str) -> None:
    with pytest.raises(UsageError, match=r"both have a table of devenv's\nhint: keep one of them"):
        settings.load(in_folder(tmp_path, own=TABLE, pyproject=pyproject), {}, {})


def test_any_file_may_be_the_table_or_have_it(tmp_path: Path) -> None:
    in_folder(tmp_path)
    for name, text in (("a.toml", TABLE), ("b.toml", '[tool.devenv]\nname = "shop"\nmanifests = "k8s.yaml"\n')):
        (tmp_path / name).write_text(text)
        assert settings.load(tmp_path / name, {}, {}).project.name == "shop"


def test_the_faults_of_a_table_of_its_own_have_their_lines(tmp_path: Path) -> None:
    text = TABLE.replace('"shop"', '"Shop"') + "colour = 1\n[forwards.api]\nservice = 'a'\n[secrets]\nx = 1\n"
    with pytest.raises(UsageError) as told:
        settings.load(in_folder(tmp_path, own=text), {}, {})
    first, *faults = str(told.value).splitlines()
    assert first == f"{tmp_path / OWN_FILE}: 4 faults"
    assert sorted(fault.split(": ")[0].strip() + " " + fault.split(": ")[1] for fault in faults) == [
        "line 1 name",
        "line 5 images.app.colour",
        "line 6 forwards.api.ports",
        "line 9 secrets.x",
    ]


def test_without_any_table_both_names_are_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"no such file\nhint: .*{OWN_FILE}"):
        settings.load(tmp_path / "pyproject.toml", {}, {})


def test_the_published_schema_is_that_of_the_models() -> None:
    published = (Path(schema.__file__).parent / "schema.json").read_text()
    assert published == schema.as_json(), "devenv schema > devenv/project/schema.json"


def table_of(file: Path) -> Any:
    data = tomllib.loads(file.read_text())
    return data["tool"]["devenv"] if "tool" in data else data


@pytest.mark.parametrize("file", TABLES, ids=lambda f: f.parent.name)
def test_the_schema_takes_the_tables_that_there_are(file: Path) -> None:
    Draft202012Validator(json.loads(schema.as_json())).validate(table_of(file))


@pytest.mark.parametrize(
    "change",
    [
        {"manifests": []}, {"manifests": {"command": []}}, {"gates": "job/x"}, {"colour": 1}, {"name": None},
        {"images": {"a": {"then": "signal"}}}, {"images": {"a": {"builder": "other"}}},
    ],
)  # fmt: skip
def test_the_schema_refuses_what_the_models_refuse(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Draft202012Validator(json.loads(schema.as_json())).validate({"name": "x", "manifests": "k8s", **change})
