"""The files of an image that are sent, compared: what is to be put and what is gone, as an archive. Pure."""

import io
import os
import tarfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from devenv.images.graph import File, Kind

Tree = Mapping[str, File]  # by their paths within the image's folder


@dataclass(frozen=True)
class Delta:
    """What leads from one tree to another."""

    put: tuple[File, ...] = ()
    gone: tuple[str, ...] = ()  # files, and whole folders instead of all that was in them

    def __bool__(self) -> bool:
        return bool(self.put or self.gone)


def difference(old: Tree, new: Tree, tops: Iterable[PurePosixPath] = ()) -> Delta:
    """Return what has to be put and removed so that what has `old` has `new`.

    A folder that has nothing left is gone with all that is in it: a package of which only byte code is left could still
    be imported. What lies above `tops` is none of our affair.
    """
    put = tuple(new[path] for path in sorted(new) if old.get(path) != new[path])
    folders = {str(parent) for path in new for parent in PurePosixPath(path).parents}
    folders |= {str(p) for top in tops for p in (top, *top.parents)}
    return Delta(put, tuple(sorted({highest(path, folders) for path in old if path not in new})))


def highest(path: str, folders: Collection[str]) -> str:
    """Return the highest folder above a path, or the path itself, that is none of those given."""
    there = PurePosixPath(path)
    while there.parent.name and str(there.parent) not in folders:
        there = there.parent
    return str(there)


def count(old: Tree, new: Tree) -> int:
    """Return how many files differ between two trees."""
    return sum(old.get(path) != new.get(path) for path in {*old, *new})


def uncompilable(files: Iterable[File]) -> Iterator[str]:
    """Yield what is wrong with each Python file that does not compile here."""
    for file in files:
        if file.kind is Kind.FILE and file.path.endswith(".py"):
            try:
                compile(file.data, file.path, "exec", dont_inherit=True)
            except SyntaxError as error:
                yield f"{file.path}: line {error.lineno}: {error.msg}"
            except ValueError as error:  # such as null bytes
                yield f"{file.path}: {error}"


def archive(files: Iterable[tuple[str, File]], now: int) -> bytes:
    """Return a tar archive of files under names of their own, all of one time: byte code is told by that from its
    source, so it has to be another one each time.
    """
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=tarfile.GNU_FORMAT, errors="surrogateescape") as tar:
        for name, file in files:
            member = tarfile.TarInfo(name)
            member.mtime = now
            member.mode = 0o755 if file.executable or file.kind is Kind.FOLDER else 0o644
            if file.kind is Kind.LINK:
                member.type, member.linkname = tarfile.SYMTYPE, os.fsdecode(file.data)
            elif file.kind is Kind.FOLDER:
                member.type = tarfile.DIRTYPE
            else:
                member.size = len(file.data)
            tar.addfile(member, io.BytesIO(file.data) if member.isreg() else None)
    return data.getvalue()
