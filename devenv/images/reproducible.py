"""Reproducible images: equal contents give equal bytes, on any machine, at any time.

Layers and configuration are what `docker save` writes, the result is what `docker load` takes (Docker's image
specification v1.2). Layers are on disk, never whole in memory.
"""

import io
import json
import re
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from copy import copy
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from posixpath import dirname, join, normpath
from typing import IO, Any

from devenv.images.layers import BLOCK, CHUNK, Stream, content, entry, header
from devenv.images.saved import described, uncompressed

EPOCH = 315532800  # 1980-01-01, the first day that a zip can express: Python packs files of images into zips
XATTRS = "SCHILY.xattr."  # how a tar of Docker carries extended attributes, such as a program's capabilities
# What rootfs/prepare writes for builds behind a mirror of Debian's packages; apt is not to ask it anywhere else. Known
# by content: a person may have a file of such a name.
MIRROR = {
    "etc/apt/apt.conf.d/10mirror": re.compile(rb'Dir::Etc::sourcelist "mirror\.list";\n'),
    "etc/apt/mirror.list": re.compile(
        rb"deb (\S+)/debian (\S+) main\ndeb \1/debian \2-updates main\ndeb \1/debian-security \2-security main\n"
    ),
}
# What a container is started with. The rest of Docker's `config` is of the container that the build ran in.
CONFIG = (
    "ArgsEscaped", "Cmd", "Entrypoint", "Env", "ExposedPorts", "Healthcheck", "Labels", "OnBuild", "Shell",
    "StopSignal", "User", "Volumes", "WorkingDir",
)  # fmt: skip
PLATFORM = ("architecture", "os", "os.version", "variant")


@dataclass(frozen=True)
class Saved:
    """An image as files: its configuration, its layers from the lowest up."""

    config: bytes
    layers: tuple[Path, ...]


def unpack(saved: Iterable[bytes], folder: Path, layers: Iterable[str] | None = None) -> Saved:
    """Write the image of a `docker save` stream into a folder; of several, that with these layers (diff IDs)."""
    links: dict[str, str] = {}
    files: dict[str, Path] = {}
    with io.BufferedReader(Stream(saved), CHUNK) as raw, tarfile.open(fileobj=raw, mode="r|") as archive:
        for member in archive:
            if member.issym():  # a layer that is there under another name
                links[member.name] = normpath(join(dirname(member.name), member.linkname))
            elif data := archive.extractfile(member):
                files[member.name] = folder / f"{len(files)}"
                with files[member.name].open("wb") as file, uncompressed(data, member.name) as plain:
                    copied(plain, file)
    config, names = described(lambda name: files[name].read_bytes() if name in files else None, layers)
    return Saved(config, tuple(files[links.get(name, name)] for name in names))


def normalised(saved: Saved, folder: Path, made: datetime, labels: Mapping[str, str]) -> Saved:
    """Return the image with only what its contents decide, its new layers in `folder`."""
    layers: list[Path] = []
    digests: list[str] = []
    for number, layer in enumerate(saved.layers):
        layers.append(folder / f"layer-{number}")
        with layer.open("rb") as old, layers[-1].open("wb") as new:
            digests.append(normalise(old, new))
    return Saved(configuration(json.loads(saved.config), digests, made, labels), tuple(layers))


def configuration(seen: Mapping[str, Any], layers: Iterable[str], made: datetime, labels: Mapping[str, str]) -> bytes:
    """Return an image's configuration without its history and the facts of its build."""
    config = {key: value for key in CONFIG if (value := seen["config"].get(key))}
    if named := {**(config.get("Labels") or {}), **labels}:
        config["Labels"] = named
    whole = {
        **{key: seen[key] for key in PLATFORM if seen.get(key)},
        "config": config,
        "created": made.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "rootfs": {"type": "layers", "diff_ids": [*layers]},
    }
    return json.dumps(whole, sort_keys=True, separators=(",", ":")).encode()


class Hashing:
    """A file that hashes what is written to it."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._hashed = file, sha256()

    def write(self, data: bytes) -> int:
        self._hashed.update(data)
        return self._file.write(data)

    @property
    def digest(self) -> str:
        return f"sha256:{self._hashed.hexdigest()}"


def normalise(layer: IO[bytes], target: IO[bytes]) -> str:
    """Rewrite a layer with sorted names, one timestamp and numeric owners. Return its digest."""
    hashing = Hashing(target)
    with (
        tarfile.open(fileobj=layer) as old,
        tarfile.open(fileobj=hashing, mode="w|", format=tarfile.PAX_FORMAT) as new,  # type: ignore[call-overload]
    ):
        for member, source in members(old):
            new.addfile(without_metadata(member), old.extractfile(source) if source else None)
    return hashing.digest


def members(layer: tarfile.TarFile) -> Iterator[tuple[tarfile.TarInfo, tarfile.TarInfo | None]]:
    """Yield what to write in its order, each with the member whose data it has, if any.

    Of several names of one file the first carries the data: which one was found first is left to chance.
    """
    whole = {m.name: m for m in layer}
    left_out = mirror_files(layer, whole)
    found = {name: member for name, member in whole.items() if name not in left_out}
    named: dict[str, list[str]] = {}
    for name, member in found.items():
        named.setdefault(file_of(found, member), []).append(name)
    for name in sorted(found, key=path):
        file = file_of(found, found[name])
        member, first = copy(found[file]), min(named[file], key=path)
        member.name = name
        if name == first:
            yield member, found[file] if member.isreg() else None
        else:
            member.type, member.linkname, member.size = tarfile.LNKTYPE, first, 0
            yield member, None


def mirror_files(layer: tarfile.TarFile, found: Mapping[str, tarfile.TarInfo]) -> set[str]:
    """Return the names of the files that point apt to the builder's mirror: both, or none."""
    here = {name: MIRROR[plain(name)] for name in found if plain(name) in MIRROR and found[name].isreg()}
    ours = {name for name, text in here.items() if (data := layer.extractfile(name)) and text.fullmatch(data.read())}
    return ours if len(ours) == len(MIRROR) else set()


def file_of(found: Mapping[str, tarfile.TarInfo], member: tarfile.TarInfo) -> str:
    """Return the name of the member that has the data of this one."""
    while member.islnk() and member.linkname in found:
        member = found[member.linkname]
    return member.name


def without_metadata(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Return a member of a tar without times and names of owners."""
    new = copy(member)
    new.mtime, new.uname, new.gname = EPOCH, "", ""
    new.pax_headers = {key: value for key, value in sorted(member.pax_headers.items()) if key.startswith(XATTRS)}
    if new.isreg():
        new.type = tarfile.REGTYPE
    return new


def plain(name: str) -> str:
    return name.removeprefix("./")


def path(name: str) -> list[str]:
    return name.split("/")


def loadable(image: Saved, name: str) -> Iterator[bytes]:
    """Yield the image under a name as `docker load` takes it."""
    config = f"{sha256(image.config).hexdigest()}.json"
    layers = {digest: layer for digest, layer in zip(diff_ids(image), image.layers, strict=True)}
    listed = [{"Config": config, "RepoTags": [name], "Layers": [f"{d[7:]}.tar" for d in diff_ids(image)]}]
    yield from entry(config, image.config)
    for digest, layer in layers.items():
        yield header(f"{digest[7:]}.tar", layer.stat().st_size)
        yield from content(layer)
    yield from entry("manifest.json", json.dumps(listed).encode())
    yield bytes(2 * BLOCK)


def created(image: Saved) -> datetime:
    """Return when an image says that it was made, to the second."""
    return datetime.fromisoformat(json.loads(image.config)["created"][:19]).replace(tzinfo=UTC)


def diff_ids(image: Saved) -> list[str]:
    return [*json.loads(image.config)["rootfs"]["diff_ids"]]


def copied(source: IO[bytes], target: IO[bytes]) -> None:
    while chunk := source.read(CHUNK):
        target.write(chunk)
