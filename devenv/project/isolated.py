"""Which checkouts of this machine are isolated: remembered in the state folder, from `up` until `down`."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from devenv.errors import UsageError
from devenv.project import isolation, settings
from devenv.project.isolation import AUTO, END, FIRST, Isolation
from devenv.project.settings import Settings
from devenv.system import state

OTHERWISE = "--isolated is for the kind cluster that devenv makes\nhint: on an existing cluster, use -n NAMESPACE"
NAMED = "--isolated and DEVENV_NAME both name the cluster\nhint: unset DEVENV_NAME"


def load(
    file: Path, environ: Mapping[str, str], flags: Mapping[str, str | None], files: bool = True, isolate: bool = False
) -> Settings:
    """Read the settings, as they are for a checkout that is isolated, or is to be (settings.load)."""
    place = partial(placed, environ=environ, asked=isolate)
    return settings.load(file, environ, flags, files, place)


def placed(
    table: Any, root: Path, fixed: Collection[str], environ: Mapping[str, str], asked: bool
) -> tuple[Any, Isolation | None]:
    """Return the table as it is for a checkout that is isolated, and what that has for itself; or as it was, and None.

    It is isolated if that is `asked` for, if its name is `auto`, or since an earlier `up` until `down`. The last is
    not so where a variable names the cluster, or a context another one.
    """
    if not isinstance(table, dict):
        return table, None
    auto, named = table.get("name") == AUTO, bool(environ.get("DEVENV_NAME"))
    if asked and table.get("context"):
        raise UsageError(OTHERWISE)
    if asked and named and not auto:
        raise UsageError(NAMED)
    kept = remembered(root)
    if not (auto or asked or (kept and not named and not table.get("context"))):
        return table, None
    forwards = table.get("forwards")
    count = len(forwards) if isinstance(forwards, dict) else 0
    ports = kept.ports if kept and kept.size >= count else isolation.block(root, count, taken(root))
    own = Isolation(root, ports.start, len(ports), auto)
    return isolation.isolated(table, own, fixed), own


def remembered(root: Path) -> Isolation | None:
    """Return what a checkout has for itself since an earlier `up`."""
    return parsed(state.read_json(state.isolation(isolation.path_hash(root))), root)


def parsed(known: Any, root: Path | None = None) -> Isolation | None:
    """Return what a file tells; None where that is nothing of ours, or of another checkout than `root`."""
    with suppress(KeyError, TypeError, ValueError):
        found = Isolation(Path(known["root"]), int(known["base"]), int(known["size"]))
        if found.base >= FIRST and found.size > 0 and found.ports.stop <= END and root in (None, found.root):
            return found
    return None


def taken(root: Path) -> set[int]:
    """Return the local ports of all other environments of this machine, and those that are kept for them."""
    others = (one for path in state.isolations() if (one := parsed(state.read_json(path))))
    found = {port for one in others if one.root != root and one.root.exists() for port in one.ports}
    return found | set(forwarded(root))


def forwarded(root: Path) -> Iterator[int]:
    """Yield the local ports that the forwards of other checkouts' environments were last told to serve."""
    for folder in state.folders():
        about, spec = state.read_json(folder.about), state.read_json(folder.forwards)
        if isinstance(about, dict) and about.get("checkout") == str(root):
            continue
        with suppress(KeyError, TypeError, ValueError):
            yield from [int(forward["local_port"]) for forward in spec["forwards"]]


def remember(own: Isolation) -> None:
    path = state.isolation(isolation.path_hash(own.root))
    value = {"root": str(own.root), "base": own.base, "size": own.size}
    if state.read_json(path) != value:
        state.write_json(path, value)


def forget(own: Isolation) -> None:
    state.isolation(isolation.path_hash(own.root)).unlink(missing_ok=True)
