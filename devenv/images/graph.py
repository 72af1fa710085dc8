"""The graph of images: what Dockerfiles name are its edges, content its names. Pure."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from devenv.errors import UsageError
from devenv.images.dockerfile import bases, decoded
from devenv.system.digest import digest

COMMON = "linux/amd64"  # the platform that is not in a tag
IGNORED = {"__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis"}  # caches: no part of any folder
REGISTRY = "devenv.local"  # a host that no resolver knows: such an image is never pulled by mistake
OWN = "devenv."  # begins the names of the tool's own images: no table can have one with a dot
BASE = f"{REGISTRY}/base"  # how a project's Dockerfile names the one image of the tool's own that it may build on
DOCKERFILE = "Dockerfile"


class Kind(Enum):
    """What a name in an image's folder stands for."""

    FILE, LINK, FOLDER = "file", "link", "empty folder"


@dataclass(frozen=True)
class File:
    """A name in an image's folder: everything of it that the build sees. The data of a link is where it leads."""

    path: str
    data: bytes = b""
    executable: bool = False
    kind: Kind = Kind.FILE

    @property
    def mark(self) -> bytes:
        return {Kind.LINK: b"l", Kind.FOLDER: b"d"}.get(self.kind, b"x" if self.executable else b"-")


@dataclass(frozen=True)
class Context:
    """A folder beside the image's own, which its Dockerfile knows by a name."""

    name: str
    folder: Path
    files: tuple[File, ...] = ()


@dataclass(frozen=True)
class Source:
    """Where an image comes from, as its table or the tool's own list says."""

    pull: str | None = None
    folder: Path | None = None
    files: tuple[File, ...] = ()
    args: tuple[tuple[str, str], ...] = ()
    platform: str = COMMON
    own: bool = False  # of the tool's own list
    file: str = DOCKERFILE  # its path, from the folder
    outside: tuple[File, ...] = ()  # the Dockerfile and what it ignores, where they do not lie in the folder
    target: str | None = None  # the stage that is the image, where it is not the last one
    builder: str | None = None  # what its table says
    contexts: tuple[Context, ...] = ()

    @property
    def dockerfile(self) -> str:
        return next((decoded(f.data) for f in (*self.outside, *self.files) if f.path == self.file), "")

    @property
    def paths(self) -> list[Path]:
        """The folders and files that the image is built from."""
        found = [self.folder, *(self.folder / f.path for f in self.outside)] if self.folder else []
        return [*found, *(context.folder for context in self.contexts)]


@dataclass(frozen=True)
class Image:
    """An image with its name by content: `ref` changes exactly when an input of it does."""

    name: str
    ref: str
    source: Source
    bases: tuple[str, ...] = ()

    @property
    def tag(self) -> str:
        return self.ref.rpartition(":")[2]


def resolve(sources: Mapping[str, Source]) -> dict[str, Image]:
    """Return every image with its reference, bases first. Raise UsageError if the graph has a cycle."""
    needs = {name: needed(sources, name) for name in sources}
    try:
        order = list(TopologicalSorter(needs).static_order())
    except CycleError as error:
        raise UsageError(f"images depend on each other: {' ← '.join(error.args[1])}") from None
    images: dict[str, Image] = {}
    for name in order:
        source = sources[name]
        tag = content_tag(source, [images[base].ref for base in needs[name]])
        images[name] = Image(name, f"{REGISTRY}/{name.removeprefix(OWN)}:{tag}", source, needs[name])
    return images


def needed(sources: Mapping[str, Source], name: str) -> tuple[str, ...]:
    """Return the images that one is built from, in the order in which its Dockerfile names them."""
    source, known = sources[name], meanings(sources, name)
    return tuple(known[word] for word in bases(source.dockerfile, known, dict(source.args)))


def meanings(sources: Mapping[str, Source], name: str) -> dict[str, str]:
    """Return the words by which a Dockerfile can mean an image here. Of the tool's own a project knows one, by a name
    that nobody else's image has: its `FROM base` and `FROM node` are Docker's to find.
    """
    if sources[name].own:
        return {n.removeprefix(OWN): n for n, source in sources.items() if source.own and n != name}
    own = {BASE: f"{OWN}base"} if f"{OWN}base" in sources else {}
    beside = {context.name for context in sources[name].contexts}
    return own | {n: n for n, source in sources.items() if not source.own and n != name and n not in beside}


def content_tag(source: Source, base_refs: Iterable[str]) -> str:
    """Return the tag of an image: equal inputs give equal tags."""
    fields = [(source.pull or "").encode(), *(ref.encode() for ref in base_refs)]
    for file in sorted(source.files, key=lambda f: f.path):
        fields += [os.fsencode(file.path), file.mark, file.data]
    fields += [b"args", *(word.encode() for pair in sorted(source.args) for word in pair)]
    # From its end the sequence can be read back in one way only: no file's fields pass for arguments.
    if source.args:
        fields.append(b"%d args" % len(source.args))
    if source.platform != COMMON:
        fields += [source.platform.encode(), b"platform"]
    if chosen := settings(source):
        fields += [*chosen, b"%d settings" % len(chosen)]
    return digest(fields)


def settings(source: Source) -> list[bytes]:
    """Return what else of its table an image is made by, as words; none where the table says nothing of it."""
    named = {"file": source.file if source.file != DOCKERFILE else None}
    named |= {"target": source.target, "builder": source.builder}
    words = [word.encode() for key, value in named.items() if value is not None for word in (key, value)]
    beside = [(c.name, c.files) for c in source.contexts]
    for name, files in [*([("", source.outside)] if source.outside else []), *beside]:
        words += [b"context", name.encode(), b"%d" % len(files)]
        for file in sorted(files, key=lambda f: f.path):
            words += [os.fsencode(file.path), file.mark, file.data]
    return words


def closure(images: Mapping[str, Image], name: str) -> list[str]:
    """Return the image and everything it is built from, bases first."""
    below = [b for base in images[name].bases for b in closure(images, base)]
    return list(dict.fromkeys([*below, name]))
