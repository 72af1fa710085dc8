"""devenv list: the environments of this machine, by their folders and by what Docker has. No cluster is asked."""

import re
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from devenv.cluster import kind
from devenv.cluster.state import Cluster
from devenv.errors import DevenvError
from devenv.reconcile import forwards
from devenv.reconcile.environment import Environment
from devenv.system import state
from devenv.system.state import Folder

MARKED = re.compile(r"(.+)-[0-9a-f]{8}")  # the folder of one on an existing cluster


@dataclass(frozen=True)
class Listed:
    """An environment, as `devenv list -o json` tells of it. What is not known is None."""

    name: str
    namespace: str | None
    context: str | None  # None of a kind cluster that devenv made
    cluster: str | None  # its state; None of an existing cluster, which is not asked, and where Docker does not answer
    checkout: str | None
    since: float | None  # epoch seconds of its creation
    ports: Mapping[str, int]  # of this machine, by the names of the forwards
    served: bool  # whether their process runs


def listed(log: Callable[[str], None]) -> list[Listed]:
    """Return the environments of this machine, by name."""
    folders = {folder.path.name: folder for folder in state.folders()}
    created: Mapping[str, float] | None = None
    try:
        created = kind.created()
    except DevenvError as error:
        log(f"clusters are left out: {error}")
    names = sorted({*folders, *(created or ())})
    with ThreadPoolExecutor() as pool:
        states = dict(zip(names, pool.map(lambda n: observed(n, folders.get(n), created), names), strict=True))
    found = [one(name, folders.get(name), states[name], created) for name in names]
    return sorted((f for f in found if f), key=lambda f: (f.name, f.context or "", f.namespace or ""))


def observed(name: str, folder: Folder | None, created: Mapping[str, float] | None) -> str | None:
    """Return the state of a kind cluster of ours; None where there is none of it, or Docker was not heard."""
    if created is None:
        return None
    if name in created:
        return kind.observe(name).name
    return Cluster.ABSENT.name if folder and not on_existing(folder) else None


def on_existing(folder: Folder) -> bool:
    """Whether a folder is that of an environment on an existing cluster."""
    known = state.read_json(folder.about)
    if isinstance(known, dict):
        return bool(known.get("context"))
    return MARKED.fullmatch(folder.path.name) is not None


def one(name: str, folder: Folder | None, seen: str | None, created: Mapping[str, float] | None) -> Listed | None:
    """Return what is known of an environment; None where a folder has nothing of one."""
    known: Mapping[str, Any] = (state.read_json(folder.about) if folder else None) or {}
    if not isinstance(known, dict):
        known = {}
    spec = forwards.written(folder) if folder else None
    if not (known or spec or name in (created or ())):
        return None
    marked = MARKED.fullmatch(name) if folder and on_existing(folder) else None
    return Listed(
        name=str(known.get("name") or (marked[1] if marked else name)),
        namespace=known.get("namespace"),
        context=known.get("context"),
        cluster=seen,
        checkout=known.get("checkout"),
        since=(created or {}).get(name, known.get("since")),
        ports={f.name: f.local_port for f in spec.forwards} if spec else {},
        served=bool(folder and state.is_locked(folder.forwards_lock)),
    )


def remember(env: Environment, now: float) -> None:
    """Write down whose the environment's folder is, for `devenv list`."""
    project, known = env.project, state.read_json(env.folder.about)
    value: dict[str, Any] = {
        "name": project.name, "namespace": project.namespace, "context": project.context,
        "checkout": str(env.settings.root),
        "since": known.get("since", now) if isinstance(known, dict) else now,
    }  # fmt: skip
    if known != value:
        state.write_json(env.folder.about, value)
