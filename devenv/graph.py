"""The graph of images: FROM lines are its edges, content its names. Pure."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from devenv.digest import digest
from devenv.errors import UsageError

FROM = re.compile(r"^(FROM\s+(?:--\S+\s+)*)(\S+)", re.MULTILINE | re.IGNORECASE)
REGISTRY = "devenv.local"  # a host that no resolver knows: such an image is never pulled by mistake


@dataclass(frozen=True)
class File:
    """A file of an image's folder: everything of it that the build sees."""

    path: str
    data: bytes
    executable: bool = False


@dataclass(frozen=True)
class Source:
    """Where an image comes from, as its table or the tool's own list says."""

    pull: str | None = None
    folder: Path | None = None
    files: tuple[File, ...] = ()
    args: tuple[tuple[str, str], ...] = ()

    @property
    def dockerfile(self) -> str:
        return next((f.data.decode() for f in self.files if f.path == "Dockerfile"), "")


@dataclass(frozen=True)
class Image:
    """An image with its name by content: `ref` changes exactly when an input of it does."""

    name: str
    ref: str
    source: Source
    bases: tuple[str, ...] = ()


def bases(dockerfile: str, names: Iterable[str]) -> tuple[str, ...]:
    """Return the images of `names` that the Dockerfile is built from, each once, in its order."""
    known = set(names)
    return tuple(dict.fromkeys(found for _, found in FROM.findall(dockerfile) if found in known))


def with_bases(dockerfile: str, refs: Mapping[str, str]) -> str:
    """Return the Dockerfile with the names in its FROM lines replaced by references."""
    return FROM.sub(lambda line: line[1] + refs.get(line[2], line[2]), dockerfile)


def resolve(sources: Mapping[str, Source]) -> dict[str, Image]:
    """Return every image with its reference, bases first. Raise UsageError where the graph has a circle."""
    needs = {name: bases(source.dockerfile, set(sources) - {name}) for name, source in sources.items()}
    try:
        order = list(TopologicalSorter(needs).static_order())
    except CycleError as error:
        raise UsageError(f"images are built from each other: {' ← '.join(error.args[1])}") from None
    images: dict[str, Image] = {}
    for name in order:
        source = sources[name]
        tag = content_tag(source, [images[base].ref for base in needs[name]])
        images[name] = Image(name, f"{REGISTRY}/{name}:{tag}", source, needs[name])
    return images


def content_tag(source: Source, base_refs: Iterable[str]) -> str:
    files = (x for f in sorted(source.files, key=lambda f: f.path) for x in (f.path.encode(), mode(f), f.data))
    args = (x.encode() for pair in sorted(source.args) for x in pair)
    return digest([(source.pull or "").encode(), *base_fields(base_refs), *files, b"args", *args])


def mode(file: File) -> bytes:
    return b"x" if file.executable else b"-"


def base_fields(refs: Iterable[str]) -> list[bytes]:
    return [ref.encode() for ref in refs]


def closure(images: Mapping[str, Image], name: str) -> list[str]:
    """Return the image and everything it is built from, bases first."""
    below = [b for base in images[name].bases for b in closure(images, base)]
    return list(dict.fromkeys([*below, name]))
