"""What git ignores, by the .gitignore files from a path up to its repository's top."""

from functools import cache
from pathlib import Path

from pathspec import GitIgnoreSpec


def ignores(path: Path) -> bool:
    """Whether git ignores a path, be it there or not. A deeper .gitignore has the last word; without a repository, the
    files up to the root of the file system count.
    """
    for folder in path.parents:
        file = folder / ".gitignore"
        if (stamp := changed(file)) is not None:
            said = spec(file, stamp).check_file(str(path.relative_to(folder))).include
            if said is not None:
                return said
        if (folder / ".git").exists():
            break
    return False


def changed(file: Path) -> int | None:
    """Return when a file was last changed, or None where there is none."""
    try:
        return file.stat().st_mtime_ns
    except OSError:
        return None


@cache
def spec(file: Path, stamp: int) -> GitIgnoreSpec:  # noqa: ARG001  another text has another time
    return GitIgnoreSpec.from_lines(file.read_text(errors="surrogateescape").splitlines())
