"""What is installed in an image, read from its layers: Debian packages, Python distributions, Go modules.

Sources: deb-control(5) and dpkg's own status file; Debian's copyright format 1.0; the core metadata of Python packages;
what the Go linker writes into a program (debug/buildinfo).
"""

import json
import logging
import re
import tarfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO, Any

from devenv.images.layers import CHUNK

DPKG = ("var/lib/dpkg/status", "var/lib/dpkg/status.d/")  # the second is where images without dpkg keep it
COPYRIGHT = re.compile(r"usr/share/doc/([^/]+)/copyright")
OS_RELEASE = ("etc/os-release", "usr/lib/os-release")
# What says that there are things that are not read here.
UNREAD = {
    "apk": re.compile(r"(usr/)?lib/apk/db/installed"),
    "rpm": re.compile(r"(var/lib/rpm|usr/lib/sysimage/rpm)/(rpmdb\.sqlite|Packages(\.db)?)"),
    "npm": re.compile(r"(.*/)?node_modules/(@[^/]+/)?[^/]+/package\.json"),
    "jar": re.compile(r".*\.[jwe]ar"),
}
WHITEOUT, OPAQUE = ".wh.", ".wh..wh..opq"  # OCI image specification, layer.md: what a layer deletes of those below
GO_MARK = b"\xff Go buildinf:"
GO_WITHIN_S = 60.0

BuildInfo = Callable[[Path], str]  # a Go program to what `go version -m -json` says of it


@dataclass(frozen=True, order=True)
class Part:
    """A thing that is installed. `kind` is the type of its package URL."""

    kind: str
    name: str
    version: str
    licences: tuple[str, ...] = ()
    architecture: str = ""


@dataclass(frozen=True)
class File:
    """What one file of an image says."""

    parts: tuple[Part, ...] = ()
    licences: tuple[str, ...] = ()
    distribution: tuple[str, str] = ("", "")
    unread: str = ""


@dataclass(frozen=True)
class Contents:
    """All that is installed, and the distribution's name and version, such as debian 12."""

    parts: tuple[Part, ...] = ()
    distribution: tuple[str, str] = field(default=("debian", ""))
    unread: tuple[str, ...] = ()  # kinds of packages that are in the image, and not among the parts

    @property
    def gap(self) -> str:
        """What the parts leave out, or an empty string."""
        if self.unread:
            return f"{', '.join(self.unread)} packages"
        return "" if self.parts else "anything: no package of a known kind was found"


def read(layers: Iterable[Path], build_info: BuildInfo) -> Contents:
    """Return what is in an image whose layers these are, the lowest first."""
    files: dict[str, File] = {}
    for layer in layers:
        with tarfile.open(layer) as archive:
            above = dict(seen(archive, build_info))
        files = {name: file for name, file in files.items() if not hidden(name, above)}
        files |= {name: file for name, file in above.items() if file}
    licences = {match[1]: f.licences for name, f in files.items() if (match := COPYRIGHT.fullmatch(name))}
    parts = {p for file in files.values() for p in file.parts}
    named = (f.distribution for name in OS_RELEASE if (f := files.get(name)))
    found = [replace(p, licences=licences.get(p.name, ())) if p.kind == "deb" else p for p in parts]
    unread = {f.unread for f in files.values() if f.unread}
    return Contents(tuple(sorted(found)), next((d for d in named if d[0]), ("debian", "")), tuple(sorted(unread)))


def seen(layer: tarfile.TarFile, build_info: BuildInfo) -> Iterator[tuple[str, File | None]]:
    """Yield every name of a layer, with what its file says where that is of use."""
    for member in layer:
        name = member.name.removeprefix("./")
        yield name, said(layer, member, name, build_info)


def hidden(name: str, above: dict[str, File | None]) -> bool:
    """Whether a file is no longer there under a layer: replaced, or deleted with a folder above it or alone."""
    *folders, last = name.split("/")
    if name in above or "/".join([*folders, WHITEOUT + last]) in above:
        return True
    for depth in range(len(folders)):
        parent, folder = folders[:depth], folders[depth]
        if "/".join([*parent, WHITEOUT + folder]) in above or "/".join([*parent, folder, OPAQUE]) in above:
            return True
    return False


def said(layer: tarfile.TarFile, member: tarfile.TarInfo, name: str, build_info: BuildInfo) -> File | None:
    data = layer.extractfile(member) if member.isreg() else None
    if data is None:
        return None
    with closing(data):
        if unread := kind_unread(name):
            return File(unread=unread)
        if name == DPKG[0] or name.startswith(DPKG[1]):
            return File(parts=tuple(debian(text(data))))
        if COPYRIGHT.fullmatch(name):
            return File(licences=debian_licences(text(data)))
        if name.endswith(".dist-info/METADATA"):
            return File(parts=(python(text(data)),))
        if name in OS_RELEASE:
            return File(distribution=distribution(text(data)))
        return File(parts=go_parts(data, build_info)) if member.mode & 0o111 else None


def kind_unread(name: str) -> str:
    """Return the kind of packages that a file tells of and that are not read here, or an empty string."""
    if name.rpartition("/")[2].startswith(WHITEOUT):
        return ""
    return next((kind for kind, names in UNREAD.items() if names.fullmatch(name)), "")


def text(data: IO[bytes]) -> str:
    return data.read().decode(errors="replace")


def debian(status: str) -> Iterator[Part]:
    from debian.deb822 import Packages

    for package in Packages.iter_paragraphs(status, use_apt_pkg=False):
        if package.get("Status", "install ok installed").endswith(" installed"):
            yield Part("deb", package["Package"], package["Version"], architecture=package.get("Architecture", ""))


def debian_licences(text: str) -> tuple[str, ...]:
    """Return the licences that a machine-readable copyright file names; others are prose, and name none."""
    from debian.copyright import Copyright, Error

    # The library remarks on each file whose Format is spelled in an older way.
    logging.getLogger("debian.copyright").setLevel(logging.ERROR)
    try:
        found = Copyright(text.splitlines(), strict=False)
        licences: list[Any] = [paragraph.license for paragraph in found.all_paragraphs()]
        names = {licence.synopsis for licence in licences if licence and licence.synopsis}
    except (Error, ValueError):
        return ()
    return tuple(sorted(names))


def python(text: str) -> Part:
    """Return a distribution; its licence by expression, else by classifier, else by the one line that names it."""
    from packaging.metadata import parse_email
    from packaging.utils import canonicalize_name

    head, _ = parse_email(text)
    classified = [c.split(" :: ")[-1] for c in head.get("classifiers", ()) if c.startswith("License ::")]
    named = head.get("license", "").strip()
    short = [named] if named and "\n" not in named else []
    licences = [head["license_expression"]] if "license_expression" in head else classified or short
    return Part("pypi", canonicalize_name(head["name"]), head["version"], tuple(licences))


def distribution(release: str) -> tuple[str, str]:
    """Return name and version of os-release. By hand: `platform.freedesktop_os_release` reads this host's file only."""
    fields = dict(re.findall(r'^(\w+)="?([^"\n]*)', release, re.MULTILINE))
    return fields.get("ID", ""), fields.get("VERSION_ID", "")


def go_parts(data: IO[bytes], build_info: BuildInfo) -> tuple[Part, ...]:
    """Return the modules of a program, if it is one of Go's."""
    if not marked(data):
        return ()
    with NamedTemporaryFile() as program:
        data.seek(0)
        while chunk := data.read(CHUNK):
            program.write(chunk)
        program.flush()
        return tuple(go_modules(build_info(Path(program.name))))


def marked(data: IO[bytes]) -> bool:
    head = data.read(4)
    if head != b"\x7fELF":
        return False
    kept = head
    while chunk := data.read(CHUNK):
        if GO_MARK in kept + chunk:
            return True
        kept = chunk[-len(GO_MARK) :]
    return False


def go_modules(said: str) -> Iterator[Part]:
    """Yield the modules that `go version -m -json` tells of: only Go knows how they are written into a program."""
    info = json.loads(said)
    yield Part("golang", "stdlib", info["GoVersion"].removeprefix("go").partition(" ")[0])
    for module in chain([info["Main"]] if info.get("Main") else [], info.get("Deps") or ()):
        used = module.get("Replace") or module
        version = used.get("Version") or ""
        yield Part("golang", used["Path"], "" if version == "(devel)" else version)
