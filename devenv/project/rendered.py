"""What kustomize made of a folder, kept in the runtime folder for as long as all that it was made of is the same.

It is kept only where that is known for sure: of a kustomization whose keys are all among those here, and which names
files of this machine alone. What reads more, such as remote bases, charts, plugins or variables of the environment, is
rendered each time; so is what has a Secret.
"""

import errno
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import Any

from devenv.kube import documents
from devenv.kube.documents import Fault
from devenv.system import state
from devenv.system.digest import digest

KUSTOMIZATION = ("kustomization.yaml", "kustomization.yml", "Kustomization")  # as kustomize itself looks for it
# Source: kustomize v5, api/types/kustomization.go. The keys that name no file, and those that do.
PLAIN = {
    "apiVersion", "kind", "metadata", "namespace", "namePrefix", "nameSuffix", "labels", "commonLabels",
    "commonAnnotations", "images", "replicas", "generatorOptions", "sortOptions",
}  # fmt: skip
FOLDERS = {"resources", "components"}
PATCH = {"path", "patch", "target", "options"}
TABLES = {
    "patches": PATCH,
    "patchesJson6902": PATCH,
    "replacements": {"path", "source", "targets"},
    "configMapGenerator": {"name", "namespace", "behavior", "files", "literals", "options"},  # `envs` reads variables
}
KNOWN = PLAIN | FOLDERS | TABLES.keys() | {"patchesStrategicMerge"}
LOCAL = re.compile(r"[\w./-]+")  # a folder that kustomize cannot take for a repository; none of these has `git` in it
SECRET = re.compile(r"^kind: [\"']?Secret\b", re.MULTILINE)
NO_NAME = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG)
KEPT = 4  # folders
LARGEST = 1 << 24  # bytes of a file: a greater one is hardly meant, and takes longer to read than kustomize does


class UnknownInputs(Exception):
    """What a rendering is made of cannot be told."""


def kept(file: Path, folder: Path, argv: Sequence[str], render: Callable[[], str]) -> str:
    """Return what `render` does, which runs argv for the folder; from the file where nothing of it has changed."""
    try:
        mark = made_of(folder, argv) if file.parent.is_dir() else None
    except (UnknownInputs, OSError, RecursionError):
        mark = None
    if mark is None:
        return render()
    known = state.read_json(file)
    known = known if isinstance(known, dict) else {}
    match known.get(str(folder)):
        case {"mark": seen, "text": str(text)} if seen == mark:
            return text
    text = render()
    with suppress(UnknownInputs, OSError):  # it only saves time
        if not SECRET.search(text) and made_of(folder, argv) == mark:  # nothing was changed meanwhile
            others = {name: entry for name, entry in known.items() if name != str(folder)}
            latest = [*others.items(), (str(folder), {"mark": mark, "text": text})][-KEPT:]
            state.write_json(file, dict(latest))
    return text


def made_of(folder: Path, argv: Sequence[str]) -> str:
    """Return the digest of all that decides about a rendering. Raise UnknownInputs, or OSError."""
    return digest([*map(os.fsencode, argv), *program(Path(argv[0])), *inputs(folder)])


def program(path: Path) -> Iterator[bytes]:
    """Yield what tells a kubectl from another: Google's hands over to one of those beside it."""
    path = path.resolve()
    with path.open("rb") as file:
        if file.read(2) == b"#!":
            raise UnknownInputs("a script, such as asdf's, may run any")
    if "KUBERC" in os.environ or Path("~/.kube/kuberc").expanduser().exists():
        raise UnknownInputs("defaults for flags")
    for one in (path, *sorted(path.parent.glob(f"{path.name}.*"))):
        seen = one.stat()
        yield repr((str(one), seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns)).encode()


def inputs(top: Path) -> Iterator[bytes]:
    """Yield the places, kinds and contents of all that a kustomize folder is rendered from.

    Every text of a kustomization that may be the name of a file is looked up, so that one which comes later is seen.
    """
    seen, left = set[str](), [os.path.realpath(top)]
    while left:
        if (here := left.pop()) in seen:
            continue
        seen.add(here)
        found = [name for name in KUSTOMIZATION if Path(here, name).exists()]
        if len(found) != 1:
            raise UnknownInputs(here)
        data = Path(here, found[0]).read_bytes()
        yield from (os.fsencode(here), found[0].encode(), data)
        for word in dict.fromkeys(names(here, parsed(data))):
            path = os.path.normpath(os.path.join(here, word))  # noqa: PTH118  as Go's filepath.Join: links come later
            kind, content = looked_up(path)
            yield from (os.fsencode(path), kind, content)
            if kind == b"folder" and any(Path(path, name).exists() for name in KUSTOMIZATION):
                left.append(os.path.realpath(path))


def looked_up(path: str) -> tuple[bytes, bytes]:
    """Return what a path stands for, and what it holds."""
    try:
        seen = os.stat(path)  # noqa: PTH116  the path is no Path's: it may be no name at all
    except ValueError:  # a NUL
        return b"nothing", b""
    except OSError as error:
        if error.errno in NO_NAME:
            return b"nothing", b""
        raise
    if S_ISREG(seen.st_mode) and seen.st_size <= LARGEST:
        return b"file", Path(path).read_bytes()
    if S_ISDIR(seen.st_mode):
        return b"folder", b""
    raise UnknownInputs(path)


def parsed(data: bytes) -> Mapping[str, Any]:
    """Return a kustomization of which every key is known."""
    try:
        found = [document for _, document in documents.read(data.decode())]
    except (Fault, UnicodeDecodeError) as error:
        raise UnknownInputs(str(error)) from error
    if len(found) != 1 or not isinstance(found[0], dict) or not found[0].keys() <= KNOWN:
        raise UnknownInputs("keys")
    for key, entries in TABLES.items():
        for entry in items(found[0], key):
            if not isinstance(entry, dict) or not entry.keys() <= entries:
                raise UnknownInputs(key)
    return found[0]


def names(here: str, kustomization: Mapping[str, Any]) -> Iterator[str]:
    """Yield what may be the name of a file. Raise UnknownInputs for what is not of this machine."""
    for word in (word for key in FOLDERS for word in items(kustomization, key)):
        there = isinstance(word, str) and looked_up(os.path.normpath(os.path.join(here, word)))[0]  # noqa: PTH118
        if there == b"folder" and LOCAL.fullmatch(word) and "git" not in word.lower():
            continue
        if there != b"file":
            raise UnknownInputs(str(word))
    for word in texts(kustomization):
        if "://" in word:
            raise UnknownInputs(word)
        yield from {word, word.partition("=")[2], word.rpartition("=")[2]} - {""}


def items(kustomization: Mapping[str, Any], key: str) -> list[Any]:
    found = kustomization.get(key, [])
    if not isinstance(found, list):
        raise UnknownInputs(key)
    return found


def texts(value: Any) -> Iterator[str]:
    """Yield every text in a value, a number as it is likely to be written too."""
    match value:
        case dict():
            for inner in value.values():
                yield from texts(inner)
        case list():
            for inner in value:
                yield from texts(inner)
        case None:
            return
        case _:
            yield str(value)
