"""An environment of a checkout's own: a cluster name and a block of local ports, by the path of its table. Pure."""

import os
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from devenv.errors import UsageError

AUTO = "auto"  # the name that stands for one by the path
LONGEST = 40  # of a cluster's name (schema.Name)
# Below the ports that Linux gives to connections (32768) and those that Kubernetes gives to Services (30000).
FIRST, END = 20000, 30000
BLOCK = 20  # ports that an environment has for itself, or a multiple of them


@dataclass(frozen=True)
class Isolation:
    """What a checkout has for itself."""

    root: Path  # the folder of its table
    base: int  # the first port of its block
    size: int  # the number of its ports
    auto: bool = False  # whether the table itself asks for it, by its name

    @property
    def ports(self) -> range:
        return range(self.base, self.base + self.size)


def marked(name: str, root: Path) -> str:
    """Return a cluster's name with the mark of a path. What is too long for kind loses the end of the name."""
    mark = path_hash(root)[:6]
    return f"{name[: LONGEST - len(mark) - 1].rstrip('-')}-{mark}"


def folder_name(root: Path) -> str:
    """Return the name of a folder as a cluster may have it."""
    return re.sub(r"[^a-z0-9]+", "-", root.name.lower()).strip("-") or "project"


def path_hash(root: Path) -> str:
    return sha256(os.fsencode(root)).hexdigest()


def size_for(count: int) -> int:
    """Return the size of a block that holds so many ports: one block, or as many as are needed side by side."""
    return max(1, -(-count // BLOCK)) * BLOCK


def bases(root: Path, size: int) -> Iterator[int]:
    """Yield where a block of this size may begin: first by the path, then each place behind it, and round."""
    places = range(FIRST, END - size + 1, BLOCK)
    start = int(path_hash(root)[6:16], 16) % len(places)
    yield from (places[(start + n) % len(places)] for n in range(len(places)))


def block(root: Path, count: int, taken: Collection[int]) -> range:
    """Return the first block of a path with no port that is taken. Raise UsageError where there is none."""
    size, used = size_for(count), frozenset(taken)
    if size <= END - FIRST:
        for base in bases(root, size):
            if used.isdisjoint(range(base, base + size)):
                return range(base, base + size)
    raise UsageError(
        f"no {size} ports in a row are left from {FIRST} to {END - 1}\n"
        "hint: devenv list shows which environment has them"
    )


def isolated(table: dict[str, Any], own: Isolation, fixed: Collection[str]) -> dict[str, Any]:
    """Return the table with the checkout's own name and ports: the k-th forward has the k-th port of the block.

    Forwards that are `fixed` keep the port that a variable gives them.
    """
    laid, name = dict(table), table.get("name")
    if isinstance(name, str) and name:
        laid["name"] = marked(folder_name(own.root) if name == AUTO else name, own.root)
    if isinstance(forwards := table.get("forwards"), dict):
        ports = zip(forwards.items(), own.ports, strict=False)
        laid["forwards"] = {key: f if key in fixed else on_port(f, port) for (key, f), port in ports}
    return laid


def on_port(forward: Any, port: int) -> Any:
    """Return a forward with another local port. One that is no forward is told where the table is checked."""
    written = forward.get("ports") if isinstance(forward, dict) else None
    if not isinstance(written, str) or ":" not in written:
        return forward
    return {**forward, "ports": f"{port}:{written.split(':', 1)[1]}"}
