"""The Git commit that an image is built from."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from devenv.errors import CommandFailed, DevenvError
from devenv.images import folder, graph
from devenv.system import process


@dataclass(frozen=True)
class Revision:
    """The last commit that changed what an image is made from."""

    commit: str
    at: datetime


def git(root: Path, *args: str) -> str:
    return process.run([process.find("git"), "-C", str(root), *args])


def toplevel(root: Path) -> Path:
    """Return the root of the working tree. Raise DevenvError if its history cannot identify an image's sources."""
    try:
        found = Path(git(root, "rev-parse", "--show-toplevel").strip())
    except CommandFailed as error:
        raise DevenvError(f"{root}: {error.output}\na pushed image names the commit that it was made from") from error
    if git(root, "rev-parse", "--is-shallow-repository").strip() == "true":
        raise DevenvError(
            f"{found}: a shallow clone does not know the commit that an image was last changed by\n"
            "hint: git fetch --unshallow"
        )
    return found


def of_paths(root: Path, paths: Iterable[Path]) -> Revision:
    """Return the last commit that changed any of the paths. Raise DevenvError for uncommitted files.

    Paths outside the working tree are skipped: they belong to another project, such as an installed devenv.
    """
    tree = toplevel(root).resolve()
    ours = sorted({found for p in paths if (found := p.resolve()).is_relative_to(tree)})
    if not ours:
        raise DevenvError(f"{tree}: none of the folders of the image is in this working tree")
    names = [str(path) for path in sorted({*ours, *elsewhere(tree, ours)})]
    if left := uncommitted(git(tree, "status", *STATUS, "--", *names), left_out(tree, ours)):
        shown = "\n  ".join(left)
        raise DevenvError(f"uncommitted files would be pushed:\n  {shown}\nhint: git commit")
    commit, _, at = git(tree, "log", "-1", "--format=%H %ct", "--", *names).strip().partition(" ")
    if not commit:
        raise DevenvError(f"{tree}: nothing is committed in {', '.join(names)}\nhint: git add, git commit")
    return Revision(commit, datetime.fromtimestamp(int(at), UTC))


def elsewhere(tree: Path, paths: Iterable[Path]) -> list[Path]:
    """Return what is in the image though it is in none of its folders. Raise DevenvError for what Git cannot know."""
    found = [file for path in paths if path.is_dir() for file in folder.behind_links(path)]
    if outside := [str(file) for file in found if not file.is_relative_to(tree)]:
        raise DevenvError(
            f"no commit of {tree} has what a link of the image leads to: {', '.join(outside)}\n"
            "hint: put the file itself into the image's folder"
        )
    return found


# A file that Git ignores is none the less a part of the image.
STATUS = ("--porcelain=v1", "-z", "--no-renames", "--untracked-files=all", "--ignored=matching")
NEW = ("??", "!!")  # files that Git does not track, or ignores


def left_out(tree: Path, paths: Iterable[Path]) -> Callable[[str], bool]:
    """Return whether a name of the working tree, which may be that of a whole folder, is in none of the images."""
    sent = {f"{path / name}/" for path in paths if path.is_dir() for name in folder.names(path)}
    files = {f"{path}/" for path in paths if not path.is_dir()}
    return lambda name: not any(kept.startswith(f"{tree / name}/") for kept in sent | files)


def uncommitted(status: str, left_out: Callable[[str], bool]) -> list[str]:
    """Return the uncommitted files, without those that are in no image. One that Git knows counts even there: it may
    be one that is missing.
    """
    lines = [(line[:2], line[3:]) for line in status.split("\0") if line]
    mine = [name for code, name in lines if not (code in NEW and left_out(name))]
    return [name for name in mine if not graph.IGNORED & set(Path(name).parts)]


def origin(root: Path) -> str:
    """Return the public URL of the project's source, or an empty string."""
    try:
        return public(git(root, "remote", "get-url", "origin").strip())
    except CommandFailed:
        return ""


def public(remote: str) -> str:
    """Return a remote's address without credentials, the same for SSH and HTTPS; an empty string for a folder."""
    if "://" not in remote:  # git's short form of SSH: user@host:path
        host, colon, path = remote.rpartition("@")[2].partition(":")
        return f"https://{host}/{path.strip('/')}".removesuffix(".git") if colon and "/" not in host else ""
    parts = urlsplit(remote)
    if parts.scheme not in ("http", "https", "ssh", "git") or not parts.hostname:
        return ""
    host = f"{parts.hostname}:{parts.port}" if parts.port and parts.scheme != "ssh" else parts.hostname
    scheme = "https" if parts.scheme == "ssh" else parts.scheme
    return f"{scheme}://{host}/{parts.path.strip('/')}".removesuffix("/").removesuffix(".git")
