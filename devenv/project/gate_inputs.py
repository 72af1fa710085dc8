"""The files that decide whether a gate runs again: those that its `inputs` name, and what they hold as one digest."""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePath, PurePosixPath
from typing import TYPE_CHECKING

from devenv.errors import UsageError
from devenv.images.graph import IGNORED
from devenv.project.schema import Gate
from devenv.system.digest import digest

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

WILD = frozenset("*?[")
ALL = "**"  # all that is below a folder, which needs no library to tell
SKIPPED = frozenset({*IGNORED, ".git"})  # what is made beside files, and decides nothing


@dataclass(frozen=True)
class Pattern:
    """What a text names: a file, a folder with all that is in it, or what matches `rest` below a folder."""

    text: str
    base: Path
    rest: str = ""

    @classmethod
    def of(cls, root: Path, text: str) -> "Pattern":
        parts = PurePosixPath(text).parts
        fixed = next((n for n, part in enumerate(parts) if WILD & {*part}), len(parts))
        return cls(text, root.joinpath(*parts[:fixed]).resolve(), "/".join(parts[fixed:]))

    def matches(self, path: PurePath) -> bool:
        """Whether a path is one of the files that it names, be it there or not."""
        if not path.is_relative_to(self.base):
            return False
        below = path.relative_to(self.base)
        if SKIPPED & {*below.parts}:
            return False
        return not self.rest or bool(below.parts and (self.rest == ALL or self._spec.match_file(str(below))))

    @cached_property
    def _spec(self) -> "GitIgnoreSpec":
        from pathspec import GitIgnoreSpec

        return GitIgnoreSpec.from_lines([f"/{self.rest}"])

    def files(self) -> Iterator[Path]:
        """Yield the files and links that it names. What a link to a folder leads to is not looked through."""
        if not self.base.is_dir():
            yield from (self.base,) if self.base.exists() and not self.rest else ()
            return
        for here, folders, names in os.walk(self.base):
            links = [name for name in folders if (Path(here) / name).is_symlink()]
            folders[:] = [name for name in folders if name not in SKIPPED]
            yield from (path for name in (*names, *links) if self.matches(path := Path(here) / name))


def patterns(root: Path, gates: Iterable[Gate]) -> tuple[Pattern, ...]:
    """Return what decides about any of these gates."""
    return tuple(Pattern.of(root, text) for gate in gates for text in gate.inputs)


def missing(root: Path, gate: Gate) -> list[str]:
    """Return the inputs of a gate that name no file: what decides would be something else than was meant."""
    return [pattern.text for pattern in patterns(root, [gate]) if next(pattern.files(), None) is None]


def digests(root: Path, gates: Mapping[str, Gate]) -> dict[str, str]:
    """Return the digest of the names and contents of each gate's inputs, for the gates that have some.

    Raise UsageError for inputs that name no file.
    """
    return {name: digest_of(root, name, gate) for name, gate in gates.items() if gate.inputs}


def digest_of(root: Path, name: str, gate: Gate) -> str:
    if lost := missing(root, gate):
        raise UsageError(f"gates: {name}: inputs: {', '.join(lost)}: no such file in {root}")
    found = {path for pattern in patterns(root, [gate]) for path in pattern.files()}
    return digest(field for path in sorted(found) for field in fields(root, path))


def fields(root: Path, path: Path) -> tuple[bytes, ...]:
    """Return what a file is: its name and what it holds. One that was removed meanwhile is nothing."""
    try:
        held = path.read_bytes() if path.is_file() else os.fsencode(path.readlink()) if path.is_symlink() else b""
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}: it decides whether a gate runs again") from error
    return os.fsencode(os.path.relpath(path, root)), held
