"""What a program loads. Which room may import which is kept by import-linter's contracts (pyproject.toml, check.sh)."""

import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "devenv"
HEAVY = {"urllib3", "docker", "requests", "httpx", "yaml", "cryptography", "cyclonedx", "psutil"}
TABLE = {"pydantic", "zoneinfo"}  # what reading [tool.devenv] takes


def loaded(statement: str) -> set[str]:
    """Return the names of all modules that a fresh interpreter has after a statement."""
    code = f"import sys\n{statement}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def libraries(statement: str) -> set[str]:
    return {name.split(".")[0] for name in loaded(statement)}


def test_help_and_the_version_load_no_heavy_library_and_nothing_for_the_table() -> None:
    assert not (HEAVY | TABLE | {"rich"}) & libraries("import devenv.cli.app")
    shown = "import contextlib, io; from devenv.cli.app import app\nwith contextlib.redirect_stdout(io.StringIO()): app"
    for word in ("--help", "--version"):
        assert not (HEAVY | TABLE | {"rich"}) & libraries(f"{shown}(['{word}'], standalone_mode=False)")


def test_what_a_verb_is_made_of_loads_a_heavy_library_only_where_it_is_used() -> None:
    """But for YAML, which every verb reads."""
    verbs = "from devenv.cli import output; from devenv.commands import status, up, forward; "
    assert not (HEAVY - {"yaml"} | {"rich"}) & libraries(verbs + "from devenv.reconcile import environment")


def test_what_matches_patterns_is_loaded_only_for_a_pattern() -> None:
    assert "pathspec" not in libraries("import devenv.project.sources")


def test_data_is_printed_without_the_library_for_progress_and_errors() -> None:
    status = "Status('n', 'n', 'RUNNING', True, [], [], [], '')"
    printed = f"output.status({status}, True); output.status({status}, False); output.steps([]); output.as_json([])"
    silent = "import contextlib, io; from devenv.cli import output; from devenv.commands.status import Status"
    assert "rich" not in libraries(f"{silent}\nwith contextlib.redirect_stdout(io.StringIO()): {printed}")
    assert "rich" not in libraries(f"{silent}\nwith output.performing(): output.log('already up to date')")
    assert "rich" in libraries(f"{silent}\noutput.error('x')")


def test_the_forwards_process_loads_its_own_room_and_no_heavy_library() -> None:
    names = loaded("import devenv.forwarder.__main__")
    others = {name for name in names if name.startswith("devenv.") and not name.startswith("devenv.forwarder")}
    readers = ("access", "address", "credentials", "yaml_fault")
    assert others == {"devenv.kube", *(f"devenv.kube.{name}" for name in readers)}
    assert not (HEAVY - {"yaml"} | {"pydantic", "rich", "typer"}) & {name.split(".")[0] for name in names}


def test_python_m_devenv_is_the_command_line() -> None:
    done = subprocess.run([sys.executable, "-m", "devenv", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("devenv ")


def test_the_tool_knows_nothing_of_the_stack() -> None:
    for path in PACKAGE.rglob("*"):
        if path.is_file() and path.suffix not in (".pyc", ".sum"):
            text = path.read_text().lower()
            assert not any(word in text for word in ("somabrain", "9696", "55432", "sb-redis")), path
