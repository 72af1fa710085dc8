"""The folder of an image, read as the build sees it: what Docker would send of it, links as links."""

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from devenv.errors import UsageError
from devenv.images.graph import IGNORED, File, Kind

# What directs the build is read before it, through a link if it is one, and no .dockerignore leaves it out.
DIRECTIONS = ("Dockerfile", "prepare", ".dockerignore")


def read_folder(folder: Path) -> tuple[File, ...]:
    """Return what an image's folder holds but caches and what its .dockerignore leaves out.

    A link is kept as one: what lies behind it is in the image only if it is in the folder too. Raise UsageError for
    what cannot be read.
    """
    return tuple(file for name in contents(folder) if (file := read(folder, name)))


def contents(folder: Path) -> list[str]:
    """Return the names of what an image's folder holds: files, links and empty folders."""
    if not folder.is_dir():
        return []
    sent = names(folder)
    filled = {str(parent) for name in sent for parent in PurePosixPath(name).parents}
    return [name for name in sorted(sent - filled) if not IGNORED & set(PurePosixPath(name).parts)]


def names(folder: Path) -> set[str]:
    """Return the names below a folder that Docker sends."""
    from docker.utils.build import exclude_paths

    kept = [f"!{name}" for name in DIRECTIONS if (folder / name).is_file()]
    return exclude_paths(str(folder), [*left_out(folder), *kept])


def leaves_out(folder: Path, name: str) -> bool:
    """Whether the folder's .dockerignore leaves out a name below it, be it there or not."""
    from docker.utils.build import PatternMatcher

    patterns = [*left_out(folder), *(f"!{name}" for name in DIRECTIONS)]
    return bool(PatternMatcher(patterns).matches(name))  # type: ignore[arg-type]  # it takes texts alone


def left_out(folder: Path) -> Iterator[str]:
    """Yield the patterns of the folder's .dockerignore."""
    file = folder / ".dockerignore"
    if not file.exists():
        return
    try:
        text = file.read_text("utf-8-sig", errors="surrogateescape")
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror}") from error
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            yield line.strip()


def read(folder: Path, name: str) -> File | None:
    """Return what a name stands for; None for sockets, pipes and devices. Nothing of a folder is sent but itself."""
    path = folder / name
    try:
        if path.is_symlink() and name not in DIRECTIONS:
            return File(name, os.fsencode(path.readlink()), kind=Kind.LINK)
        if path.is_file():
            return File(name, path.read_bytes(), os.access(path, os.X_OK))
        if path.is_dir():
            # One that held nothing but caches is not there at all where no cache was written.
            return None if IGNORED & {p.name for p in path.iterdir()} else File(name, kind=Kind.FOLDER)
        if path.is_symlink():
            raise UsageError(f"{path}: a link to {path.readlink()}, which does not exist")
    except OSError as error:
        raise UsageError(
            f"{path}: {error.strerror}\nhint: what the image does not need can be named in {folder / '.dockerignore'}"
        ) from error
    return None


def write(file: File, folder: Path) -> None:
    """Write what was read of an image's folder into another, with modes that are not the builder's to choose."""
    target = folder / file.path
    target.parent.mkdir(parents=True, exist_ok=True)
    if file.kind is Kind.LINK:
        target.symlink_to(os.fsdecode(file.data))
    elif file.kind is Kind.FOLDER:
        target.mkdir()
    else:
        target.write_bytes(file.data)
        target.chmod(0o755 if file.executable else 0o644)


def behind_links(folder: Path) -> list[Path]:
    """Return what directs the build of a folder and lies elsewhere."""
    return [(folder / name).resolve() for name in DIRECTIONS if (folder / name).is_symlink()]
