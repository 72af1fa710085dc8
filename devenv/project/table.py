"""The file that has the table: pyproject.toml, one of its own, or the one that a person names."""

import re
import tomllib
from pathlib import Path
from typing import Any

from devenv.errors import UsageError
from devenv.project.faults import TABLE

PYPROJECT = "pyproject.toml"
# The table of a project that is not Python's. Not devenv.* nor .devenv*: names of cachix's devenv begin so, and where
# it was set up, git ignores the latter.
OWN_FILE = "devenv-stack.toml"
TABLE_HEADER = re.compile(r"^\s*\[\s*tool\s*\.\s*devenv\s*[].]", re.MULTILINE)


def located(file: Path) -> Path:
    """Return the file that has the table: OWN_FILE beside a pyproject.toml that has none, or is not there.

    Raise UsageError where both have one: each could be the one that is meant.
    """
    own = file.with_name(OWN_FILE)
    if file.name != PYPROJECT or not own.is_file():
        return file
    if file.is_file() and TABLE_HEADER.search(file.read_text(errors="replace")):
        raise UsageError(f"{file} and {own} both have a table of devenv's\nhint: keep one of them, or pass -f FILE")
    return own


def read(file: Path) -> tuple[str, Any, tuple[str, ...]]:
    """Return the text of a file, its table, and the keys that lead to it. Raise UsageError where there is none."""
    try:
        text = file.read_text()
        data = tomllib.loads(text)
        if file.name != PYPROJECT and "tool" not in data and data:
            return text, data, ()
        return text, data["tool"]["devenv"], TABLE
    except FileNotFoundError:
        raise UsageError(
            f"{file}: no such file\nhint: run devenv in the project's folder, write {OWN_FILE}, or pass -f FILE"
        ) from None
    except KeyError:
        raise UsageError(f"{file}: has no table [tool.devenv]; docs/reference.md of devenv shows one") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise UsageError(f"{file}: {error}") from error
    except TypeError:
        raise UsageError(f"{file}: [tool] or [tool.devenv] is no table") from None
