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
BASE = "base"  # the image of the tool's own that projects build on
IGNORED = {"__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis"}  # caches: no part of any folder
REGISTRY = "devenv.local"  # a host that no resolver knows: such an image is never pulled by mistake


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
class Source:
    """Where an image comes from, as its table or the tool's own list says."""

    pull: str | None = None
    folder: Path | None = None
    files: tuple[File, ...] = ()
    args: tuple[tuple[str, str], ...] = ()
    platform: str = COMMON
    own: bool = False  # of the tool's own list

    @property
    def dockerfile(self) -> str:
        return next((decoded(f.data) for f in self.files if f.path == "Dockerfile"), "")


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
    needs = {n: bases(s.dockerfile, known(sources, n), dict(s.args)) for n, s in sources.items()}
    try:
        order = list(TopologicalSorter(needs).static_order())
    except CycleError as error:
        raise UsageError(f"images depend on each other: {' ← '.join(error.args[1])}") from None
    images: dict[str, Image] = {}
    for name in order:
        source = sources[name]
        tag = content_tag(source, [images[base].ref for base in needs[name]])
        images[name] = Image(name, f"{REGISTRY}/{name}:{tag}", source, needs[name])
    return images


def known(sources: Mapping[str, Source], name: str) -> set[str]:
    """Return the images that a Dockerfile can mean. Of the tool's own a project knows one: its `FROM node` is no node
    of Kubernetes.
    """
    by_tool = sources[name].own
    return {n for n, source in sources.items() if n != name and (by_tool or not source.own or n == BASE)}


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
    return digest(fields)


def closure(images: Mapping[str, Image], name: str) -> list[str]:
    """Return the image and everything it is built from, bases first."""
    below = [b for base in images[name].bases for b in closure(images, base)]
    return list(dict.fromkeys([*below, name]))
