"""Which way a changed file takes into the running stack: from the layout of a project to a way for each path. Pure."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import PurePath, PurePosixPath

from devenv.images.graph import Image as Built
from devenv.project.schema import Then

# What editors write beside a file for a moment: vim's swap files, backups and 4913; Emacs' locks and backups; the safe
# writes of JetBrains and GNOME; Kate's swap files.
TEMPORARY = re.compile(r"\..*\.sw[a-z]{1,2}|\..*\.kate-swp|4913|.*~|\.#.*|#.*#|.*___jb_(tmp|old)___|\.goutputstream-.*")
CACHES = ("__pycache__", ".git", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis")
DIRECTIONS = ("Dockerfile", "prepare", ".dockerignore")  # at the top of an image's folder: they make the image
RESTART = Then()


class Kind(IntEnum):
    """The ways, in the order in which one does the work of those before it."""

    IGNORED, TEST, SYNC, BUILD, MANIFEST, ENV, TABLE = range(7)


@dataclass(frozen=True)
class Way:
    kind: Kind
    why: str
    images: frozenset[str] = frozenset()  # those whose containers get the file, where it is sent


@dataclass(frozen=True)
class Synced:
    """A folder or a file that is sent, and its place in the containers."""

    path: PurePath
    to: PurePosixPath


@dataclass(frozen=True)
class Folder:
    """An image, as far as its files go."""

    name: str
    path: PurePath
    synced: tuple[Synced, ...] = ()
    then: Then = RESTART
    bases: tuple[str, ...] = ()
    runs: bool = True  # whether the manifests run it
    beside: tuple[PurePath, ...] = ()  # what else it is built from: a Dockerfile elsewhere, other contexts


def nothing(path: PurePath) -> bool:  # noqa: ARG001
    return False


@dataclass(frozen=True)
class Watched:
    """The files of a project, by what they are to it. All paths are absolute."""

    table: PurePath
    env_file: PurePath
    manifests: frozenset[PurePath] = frozenset()  # files, and folders whose files count
    folders: tuple[Folder, ...] = ()
    by_docker: Callable[[PurePath], bool] = field(default=nothing, compare=False)  # what .dockerignore leaves out
    by_git: Callable[[PurePath], bool] = field(default=nothing, compare=False)  # what .gitignore does
    inputs: frozenset[PurePath] = frozenset()  # files and folders that decide about gates
    by_gate: Callable[[PurePath], bool] = field(default=nothing, compare=False)  # which of their files do
    tests: frozenset[PurePath] = frozenset()  # files and folders of the suite that runs after each change

    @property
    def live(self) -> frozenset[str]:
        """The images that something runs, and those that they are built on."""
        bases = {f.name: f.bases for f in self.folders}
        left, found = [f.name for f in self.folders if f.runs], set[str]()
        while left:
            if (name := left.pop()) not in found:
                found.add(name)
                left += bases.get(name, ())
        return frozenset(found)

    def built_on(self, name: str) -> list[str]:
        """Return the live images that are built on one."""
        return sorted(f.name for f in self.folders if name in f.bases and f.name in self.live)


def way_of(path: PurePath, watched: Watched) -> Way:
    """Return the way of one changed path: of all that it is to the project, the one that does the work of the rest."""
    if TEMPORARY.fullmatch(path.name):
        return Way(Kind.IGNORED, "an editor's temporary file")
    if cache := next((part for part in path.parts if part in CACHES), None):
        return Way(Kind.IGNORED, f"lies in {cache}")
    if path == watched.table:
        return Way(Kind.TABLE, "has the table [tool.devenv]")
    if path == watched.env_file:
        return Way(Kind.ENV, "is the env-file")
    found = [of_image(path, folder, watched) for folder in watched.folders if path.is_relative_to(folder.path)]
    found += [
        Way(Kind.BUILD, f"image {folder.name} is built with it")
        for folder in watched.folders
        if folder.name in watched.live and any(path.is_relative_to(one) for one in folder.beside)
    ]
    if any(path.is_relative_to(one) for one in watched.manifests):
        found.append(Way(Kind.MANIFEST, "the manifests are read from it"))
    if watched.by_gate(path):
        # Sent into containers alone it would be there before the gate has run.
        found.append(Way(Kind.BUILD, "decides whether a gate runs again"))
    if any(path.is_relative_to(one) for one in watched.tests) and not watched.by_git(path):
        found.append(Way(Kind.TEST, "the suite of tests is read from it"))
    return merged(found) if found else Way(Kind.IGNORED, "nothing of the stack is made of it")


def of_image(path: PurePath, folder: Folder, watched: Watched) -> Way:
    """Return the way of a path within an image's folder, as far as this image goes."""
    if folder.name not in watched.live:
        return Way(Kind.IGNORED, f"nothing runs image {folder.name}")
    if path.parent == folder.path and path.name in DIRECTIONS:
        return Way(Kind.BUILD, f"directs the build of image {folder.name}")
    if watched.by_docker(path):
        return Way(Kind.IGNORED, f"{folder.path / '.dockerignore'} leaves it out")
    place = next((s for s in folder.synced if path.is_relative_to(s.path)), None)
    if place is None:
        return Way(Kind.BUILD, f"is part of image {folder.name}")
    if above := watched.built_on(folder.name):
        return Way(Kind.BUILD, f"is part of image {folder.name}, and {', '.join(above)} is built on that")
    if watched.by_git(path):
        return Way(Kind.IGNORED, "git ignores it; the next build takes it")
    target = place.to / path.relative_to(place.path)
    return Way(Kind.SYNC, f"goes to {target} of image {folder.name}, {then(folder.then)}", frozenset({folder.name}))


def then(how: Then) -> str:
    match how.kind:
        case "restart":
            return "whose containers restart"
        case "signal":
            return f"whose processes get SIG{how.words[0]}"
        case "command":
            return f"where {' '.join(how.words)} runs then"
        case _:
            return "and nothing restarts"


def merged(found: Iterable[Way]) -> Way:
    """Return the one way for several: the strongest, with all that is sent where nothing is stronger than sending."""
    ways = [*found]
    kind = max((way.kind for way in ways), default=Kind.IGNORED)
    chosen = [way for way in ways if way.kind is kind]
    whys = dict.fromkeys(way.why for way in chosen)
    return Way(kind, "; ".join(whys), frozenset().union(*(way.images for way in chosen)))


def folders_of(images: Mapping[str, Built]) -> dict[str, PurePath]:
    """Return the folders of the images that have one."""
    return {name: image.source.folder for name, image in images.items() if image.source.folder}
