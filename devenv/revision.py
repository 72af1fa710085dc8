"""What Git knows of the folders that an image is made from: their last commit, and whether that is all of them."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from devenv import process
from devenv.errors import CommandFailed, DevenvError
from devenv.sources import IGNORED


@dataclass(frozen=True)
class Revision:
    """The last commit that changed what an image is made from."""

    commit: str
    at: datetime


def git(root: Path, *args: str) -> str:
    return process.run([process.find("git"), "-C", str(root), *args])


def toplevel(root: Path) -> Path:
    """Return the folder of the working tree. Raise DevenvError where no commit can say what an image was made from."""
    try:
        found = Path(git(root, "rev-parse", "--show-toplevel").strip())
    except CommandFailed as error:
        raise DevenvError(f"{root}: {error.output}\na pushed image names the commit that it was made from") from error
    if git(root, "rev-parse", "--is-shallow-repository").strip() == "true":
        raise DevenvError(
            f"{found}: a shallow clone does not know the commit that an image was last changed by\n"
            "next: git fetch --unshallow"
        )
    return found


def of_paths(root: Path, paths: Iterable[Path]) -> Revision:
    """Return the last commit that changed any of the paths. Raise DevenvError where they hold what no commit has.

    Paths outside the working tree are not asked for: they are another project's, such as an installed devenv's.
    """
    tree = toplevel(root)
    ours = sorted({str(p.resolve()) for p in paths if p.resolve().is_relative_to(tree.resolve())})
    if not ours:
        raise DevenvError(f"{tree}: none of the folders of the image is in this working tree")
    if found := uncommitted(git(tree, "status", *STATUS, "--", *ours)):
        shown = "\n  ".join(found)
        raise DevenvError(f"what is pushed must be found again, and no commit has:\n  {shown}\nnext: git commit")
    commit, _, at = git(tree, "log", "-1", "--format=%H %ct", "--", *ours).strip().partition(" ")
    if not commit:
        raise DevenvError(f"{tree}: no commit has {', '.join(ours)}\nnext: git add, git commit")
    return Revision(commit, datetime.fromtimestamp(int(at), UTC))


# A file that Git ignores is none the less a part of the image.
STATUS = ("--porcelain=v1", "-z", "--no-renames", "--untracked-files=all", "--ignored=matching")


def uncommitted(status: str) -> list[str]:
    """Return the files that the last commit does not have as they are, but caches, which no image has."""
    names = [line[3:] for line in status.split("\0") if line]
    return [name for name in names if not IGNORED & set(Path(name).parts)]


def origin(root: Path) -> str:
    """Return where the project's source is, for anybody, or nothing."""
    try:
        return public(git(root, "remote", "get-url", "origin").strip())
    except CommandFailed:
        return ""


def public(remote: str) -> str:
    """Return a remote's address without credentials, the same for a clone by SSH and by HTTPS; nothing for a folder."""
    if "://" not in remote:  # git's short form of SSH: user@host:path
        host, colon, path = remote.rpartition("@")[2].partition(":")
        return f"https://{host}/{path.strip('/')}".removesuffix(".git") if colon and "/" not in host else ""
    parts = urlsplit(remote)
    if parts.scheme not in ("http", "https", "ssh", "git") or not parts.hostname:
        return ""
    host = f"{parts.hostname}:{parts.port}" if parts.port and parts.scheme != "ssh" else parts.hostname
    scheme = "https" if parts.scheme == "ssh" else parts.scheme
    return f"{scheme}://{host}/{parts.path.strip('/')}".removesuffix("/").removesuffix(".git")
