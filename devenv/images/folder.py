"""The folder of an image, read as the build sees it: what Docker would send of it, links as links."""

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from devenv.errors import UsageError
from devenv.images.graph import DOCKERFILE, IGNORED, File, Kind

# The history of a repository is hardly ever meant: it would make another image of each commit. `!.git` brings it back.
HISTORY = ".git"
DIRECTIONS = (DOCKERFILE, "prepare", ".dockerignore")
LARGEST = 1 << 30  # bytes of a folder: it is read into memory, and hardly meant


def directions(dockerfile: str = DOCKERFILE) -> tuple[str, ...]:
    """Return what directs a build: it is read before it, through a link if it is one, and always sent."""
    return (dockerfile, *DIRECTIONS[1:], f"{dockerfile}.dockerignore")


def read_folder(folder: Path, dockerfile: str = DOCKERFILE) -> tuple[File, ...]:
    """Return what an image's folder holds but caches and what its .dockerignore leaves out.

    A link is kept as one: what lies behind it is in the image only if it is in the folder too. Raise UsageError for
    what cannot be read.
    """
    found = contents(folder, dockerfile)
    if (size := sum((folder / name).lstat().st_size for name in found)) > LARGEST:
        raise UsageError(
            f"{folder}: {size / 1e9:.1f} GB would be sent to build an image\n"
            f"hint: name in {folder / '.dockerignore'} what the image does not need"
        )
    return tuple(file for name in found if (file := read(folder, name, dockerfile)))


def read_outside(folder: Path, dockerfile: str) -> tuple[File, ...]:
    """Return a Dockerfile that does not lie in the image's folder, and the list of what it ignores."""
    if within(folder, dockerfile):
        return ()
    names = (dockerfile, f"{dockerfile}.dockerignore")
    return tuple(File(name, (folder / name).read_bytes()) for name in names if (folder / name).is_file())


def within(folder: Path, name: str) -> bool:
    return Path(os.path.normpath(folder / name)).is_relative_to(os.path.normpath(folder))


def contents(folder: Path, dockerfile: str = DOCKERFILE) -> list[str]:
    """Return the names of what an image's folder holds: files, links and empty folders."""
    if not folder.is_dir():
        return []
    sent = names(folder, dockerfile)
    filled = {str(parent) for name in sent for parent in PurePosixPath(name).parents}
    return [name for name in sorted(sent - filled) if not IGNORED & set(PurePosixPath(name).parts)]


def names(folder: Path, dockerfile: str = DOCKERFILE) -> set[str]:
    """Return the names below a folder that Docker sends."""
    from docker.utils.build import exclude_paths

    kept = [f"!{name}" for name in directions(dockerfile) if within(folder, name) and (folder / name).is_file()]
    return exclude_paths(str(folder), [HISTORY, *left_out(folder, dockerfile), *kept])


def leaves_out(folder: Path, name: str, dockerfile: str = DOCKERFILE) -> bool:
    """Whether the folder's .dockerignore leaves out a name below it, be it there or not."""
    from docker.utils.build import PatternMatcher

    kept = (f"!{one}" for one in directions(dockerfile) if within(folder, one))
    patterns = [HISTORY, *left_out(folder, dockerfile), *kept]
    return bool(PatternMatcher(patterns).matches(name))  # type: ignore[arg-type]  # it takes texts alone


def ignoring(folder: Path, dockerfile: str = DOCKERFILE) -> Path:
    """Return the file that says what is not sent: the Dockerfile's own, else that of the folder."""
    own = folder / f"{dockerfile}.dockerignore"
    return own if own.is_file() else folder / ".dockerignore"


def left_out(folder: Path, dockerfile: str = DOCKERFILE) -> Iterator[str]:
    """Yield the patterns of what is not sent."""
    file = ignoring(folder, dockerfile)
    if not file.exists():
        return
    try:
        text = file.read_text("utf-8-sig", errors="surrogateescape")
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror}") from error
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            yield line.strip()


def read(folder: Path, name: str, dockerfile: str = DOCKERFILE) -> File | None:
    """Return what a name stands for; None for sockets, pipes and devices. Nothing of a folder is sent but itself."""
    path = folder / name
    try:
        if path.is_symlink() and name not in directions(dockerfile):
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
