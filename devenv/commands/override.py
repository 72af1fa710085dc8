"""devenv override: files of an application replaced for a while, without an image."""

import getpass
import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import unified_diff
from pathlib import Path

from devenv.errors import DevenvError, UsageError
from devenv.kube import overrides
from devenv.kube.objects import Document, Object, find, reference
from devenv.kube.overrides import Note, Override
from devenv.project import manifests, schema
from devenv.reconcile import observe
from devenv.reconcile.actions import AwaitReady, MergeObject, Restart, Step, reopened
from devenv.reconcile.environment import Environment
from devenv.reconcile.execute import Executor, OnEvent
from devenv.reconcile.handlers import Handlers
from devenv.system import state

SET_WITHIN_S = 30.0


@dataclass(frozen=True)
class Place:
    """The ConfigMap as it is there and as the manifests have it, and the workload whose pods read it."""

    table: schema.Overrides
    living: Object
    own: Object
    workload: Object

    @property
    def in_force(self) -> list[Override]:
        return overrides.in_force(self.living, self.own)


def place(env: Environment) -> Place:
    """Return where the overrides are. Raise UsageError where the table does not say, or names what is not there."""
    if (table := env.project.overrides) is None:
        raise UsageError(f"{env.settings.file}: no [tool.devenv.overrides], which names the ConfigMap and its workload")
    objects = manifests.objects(env.settings)
    own, workload = find(objects, f"configmap/{table.config_map}"), find(objects, table.workload)
    if own is None or workload is None:
        missing = table.workload if own else f"configmap/{table.config_map}"
        raise UsageError(f"{env.settings.file}: overrides: {missing}: no such object in the manifests")
    observe.require_answers(env)
    if (living := env.api.get(own)) is None:
        raise DevenvError(f"{own.id} is not in the cluster\nhint: devenv up")
    return Place(table, living, own, workload)


def chosen(env: Environment, table: schema.Overrides, files: Iterable[str]) -> dict[str, Path]:
    """Return the local files by the paths that they replace, of FILE or FILE=PATH.

    Raise UsageError for a file that is not there, or that no PATH was given for outside of the application's folder.
    """
    found, home = dict[str, Path](), env.settings.path(table.source).resolve()
    for given in files:
        file, _, path = given.partition("=")
        local = Path(file).resolve()
        if not local.is_file():
            raise UsageError(f"{file}: no such file")
        if not path and not local.is_relative_to(home):
            raise UsageError(f"{file}: not in {table.source}\nhint: {file}=PATH, with the path of the file there")
        found[path or str(local.relative_to(home))] = local
    return found


def read(files: Mapping[str, Path]) -> dict[str, str | None]:
    """Return the texts by their keys. Raise UsageError for Python that does not compile, and for what is no text."""
    texts = dict[str, str | None]()
    for path, file in files.items():
        try:
            text = file.read_text()
            if path.endswith(".py"):
                compile(text, path, "exec", dont_inherit=True)
        except SyntaxError as error:
            raise UsageError(f"{file}: line {error.lineno}: {error.msg}; nothing was changed") from None
        except ValueError as error:  # no UTF-8, or null bytes
            raise UsageError(f"{file}: {error}; nothing was changed") from None
        texts[overrides.key_of(path)] = text
    return texts


def note(why: str, until: str) -> Note:
    now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return Note(f"{getpass.getuser()}@{platform.node()}", now, why, until)


def change(
    env: Environment, there: Place, texts: Mapping[str, str | None], of: Note, on_event: OnEvent,
    log: Callable[[str], None],
) -> None:  # fmt: skip
    """Bring texts into force, or take out those that are None, and wait until new pods serve. Where they do not, all is
    brought back; the cause is raised, with what became of it.
    """
    within_s = env.project.ready_within_s
    with state.locked(env.folder, "override", log):
        served = state.is_locked(env.folder.forwards_lock)
        executor = Executor(Handlers(env, "devenv override"), on_event)
        body, before = overrides.patch(there.living, texts, of), overrides.back(there.living, texts)
        found = steps(there, body, before, within_s, served)
        executor.perform_or(found, lambda: undo(executor, there, within_s))


def steps(there: Place, body: Document, before: Document, within_s: float, served: bool) -> list[Step]:
    action, undone = MergeObject(there.living, body), MergeObject(there.living, before)
    keys = ", ".join(overrides.path_of(key) for key in body["data"])
    begun = Step(f"override {there.own.id}", action, keys, SET_WITHIN_S, undo=undone)
    found = [begun, *anew(there.workload, within_s, (begun.name,))]
    if served:
        found.append(reopened(found[-1].name))
    return found


def anew(workload: Object, within_s: float, needs: tuple[str, ...] = ()) -> list[Step]:
    """Return the steps that have new pods of a workload read the ConfigMap again."""
    stamp = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    begun = Step(f"restart {workload.id}", Restart(workload, stamp), "reads it at its start", SET_WITHIN_S, needs)
    return [begun, Step(f"ready {workload.id}", AwaitReady(workload), "its pods are replaced", within_s, (begun.name,))]


def undo(executor: Executor, there: Place, within_s: float) -> str:
    """Bring the ConfigMap and the pods back, and return what is to be said of that."""
    if not any(step.undo for step in executor.begun):
        return "nothing was changed"
    try:
        executor.undo(anew(there.workload, within_s))
    except DevenvError as error:
        return f"taking it back failed too: {error}"
    return f"taken back: {there.own.id} and {there.workload.id} are what they were"


def to_clear(there: Place, paths: Sequence[str]) -> dict[str, str | None]:
    """Return the keys of these paths, or of all that are in force. Raise UsageError for one that is not."""
    known = {one.path: one.key for one in there.in_force}
    if unknown := [path for path in paths if path not in known]:
        raise UsageError(f"not in force: {', '.join(unknown)}; there are: {', '.join(known) or 'none'}")
    return {key: None for path, key in known.items() if not paths or path in paths}


def differences(env: Environment, there: Place) -> str:
    """Return what is in force against the files here, as a unified diff."""
    home, lines = env.settings.path(there.table.source), list[str]()
    for one in there.in_force:
        file = home / one.path
        here = file.read_text().splitlines() if file.is_file() else []
        lines += unified_diff(here, one.text.splitlines(), f"{one.path} (here)", f"{one.path} (in force)", lineterm="")
    return "\n".join(lines)


def known(env: Environment) -> list[Override]:
    """Return what is in force as far as it can be asked, in an environment whose table has a place for it."""
    if (table := env.project.overrides) is None:
        return []
    own = find(manifests.objects(env.settings), f"configmap/{table.config_map}")
    return overrides.in_force(env.api.get(reference("v1", "ConfigMap", table.config_map, env.project.namespace)), own)
