"""The files that decide whether a gate runs again: which are meant, and what of them counts."""

import ast
import os
from pathlib import Path

import pytest

from devenv.errors import UsageError
from devenv.project import gate_inputs, settings
from devenv.project.gate_inputs import Pattern
from devenv.project.schema import Gate

ROOT = Path(__file__).parents[1]
FILES = ("alembic/env.py", "alembic/versions/1.py", "alembic.ini", "src/schema.py", "src/schemas.py", "src/a/schema.py")
MEANT = {
    "alembic/**": {"alembic/env.py", "alembic/versions/1.py"},
    "alembic": {"alembic/env.py", "alembic/versions/1.py"},
    "alembic/*.py": {"alembic/env.py"},
    "alembic.ini": {"alembic.ini"},
    "src/schema*.py": {"src/schema.py", "src/schemas.py"},
    "src/**/schema.py": {"src/schema.py", "src/a/schema.py"},
    "**/schema.py": {"src/schema.py", "src/a/schema.py"},
    "sr[c]/schema.py": {"src/schema.py"},
    "../shop/alembic.ini": {"alembic.ini"},
    "./src/a/*": {"src/a/schema.py"},
    "*.py": set[str](),
    "alembic.ini/**": set[str](),
    "gone/**": set[str](),
    "alembi": set[str](),
}


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    root = tmp_path.resolve() / "shop"
    for name in (*FILES, "alembic/__pycache__/env.pyc", "src/.git/schema.py"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    return root


def digest(root: Path, *globs: str) -> str:
    return gate_inputs.digests(root, {"job/m": Gate(inputs=globs)})["job/m"]


@pytest.mark.parametrize(("text", "meant"), MEANT.items())
def test_a_glob_names_the_same_files_whether_they_are_read_or_followed(shop: Path, text: str, meant: set[str]) -> None:
    pattern = Pattern.of(shop, text)
    assert {str(path.relative_to(shop)) for path in pattern.files()} == meant
    everything = {path for path in shop.rglob("*") if path.is_file()}
    assert {str(path.relative_to(shop)) for path in everything if pattern.matches(path)} == meant


def test_a_file_that_is_not_there_yet_is_known_by_its_name(shop: Path) -> None:
    pattern = Pattern.of(shop, "alembic/**/*.py")
    assert pattern.matches(shop / "alembic/versions/2.py")
    assert not pattern.matches(shop / "alembic/versions/2.txt")


def test_the_digest_follows_names_and_contents_of_what_is_named_and_nothing_else(shop: Path) -> None:
    seen = [digest(shop, "alembic/**", "alembic.ini")]

    def changed() -> bool:
        seen.append(digest(shop, "alembic/**", "alembic.ini"))
        return seen[-1] != seen[-2]

    (shop / "src/schema.py").write_text("other")
    (shop / "alembic/__pycache__/env.pyc").write_text("other")
    os.utime(shop / "alembic/env.py", (1, 1))
    assert not changed()
    (shop / "alembic/env.py").write_text("other")
    assert changed()
    (shop / "alembic/versions/1.py").rename(shop / "alembic/versions/2.py")
    assert changed()
    (shop / "alembic/versions/3.py").touch()
    assert changed()
    (shop / "alembic/versions/3.py").unlink()
    assert changed()
    assert seen[-1] == seen[-3], "what is undone is as it was"
    (shop / "alembic/extra").symlink_to("../src")
    assert changed()


def test_no_two_files_pass_for_others(shop: Path) -> None:
    """Names and contents are framed: what moves from one to the next is a change."""
    (shop / "alembic/env.py").write_text("ab")
    (shop / "alembic/versions/1.py").write_text("c")
    one = digest(shop, "alembic/**")
    (shop / "alembic/env.py").write_text("a")
    (shop / "alembic/versions/1.py").write_text("bc")
    assert digest(shop, "alembic/**") != one
    assert digest(shop, "alembic") == digest(shop, "alembic/**", "alembic/env.py")


def test_the_digest_is_that_of_the_project_wherever_it_lies(shop: Path) -> None:
    here = digest(shop, "alembic/**", "alembic.ini")
    assert digest(shop.rename(shop.with_name("moved")), "alembic/**", "alembic.ini") == here


def test_a_glob_that_names_nothing_is_told_with_its_place(shop: Path) -> None:
    file = shop / "pyproject.toml"
    (shop / "k8s").mkdir()
    gate = '[[tool.devenv.gates]]\njob = "job/m"\ninputs = ["alembic/**", "alembik/**", "src/*.sql"]\n'
    file.write_text(f'[tool.devenv]\nname = "shop"\nmanifests = "k8s"\n{gate}')
    with pytest.raises(UsageError) as told:
        settings.load(file, {}, {})
    assert "line 4: gates.job/m.inputs: alembik/**: no such file" in str(told.value)
    assert "src/*.sql: no such file" in str(told.value)
    with pytest.raises(UsageError, match=r"gates: job/m: inputs: alembik/\*\*: no such file"):
        digest(shop, "alembic/**", "alembik/**")


def test_an_input_that_cannot_be_read_is_told(shop: Path) -> None:
    (shop / "alembic/loop").symlink_to("loop")
    assert digest(shop, "alembic/**"), "a link that leads nowhere is what it says"
    (shop / "alembic/long.py").symlink_to("x" * 255 + "/y")
    assert digest(shop, "alembic/**")


# What the migration's modules import without being decided by it: the first words a failure, of the settings only the
# API's own pool has something, and the last two they bring with them.
IDLE = {"__init__", "errors", "settings", "embedding", "learning"}


def test_this_stack_s_migration_names_all_that_decides_about_it() -> None:
    home = ROOT / "k8s/images/somabrain"

    def imported(file: Path) -> set[str]:
        nodes = [n for n in ast.walk(ast.parse(file.read_text())) if isinstance(n, ast.ImportFrom)]
        found = [(str(node.module).partition("somabrain."), node.names) for node in nodes]
        names = {module for (before, at, module), _ in found if at and not before}
        return names | {a.name for (before, _, _), of in found if before == "somabrain" for a in of}

    left, decides = [*sorted((home / "alembic").rglob("*.py")), home / "somabrain/migrate.py"], set[Path]()
    while left:
        if (file := left.pop()) not in decides:
            decides.add(file)
            left += [home / f"somabrain/{name}.py" for name in imported(file) - IDLE]
    table = settings.load(ROOT / "pyproject.toml", {}, {}).project
    named = gate_inputs.patterns(ROOT, table.gates.values())
    files = {path for pattern in named for path in pattern.files()}
    assert {f for f in files if f.suffix == ".py"} == decides
    assert {f.name for f in files - decides} == {"alembic.ini", "script.py.mako", "requirements.lock"}
