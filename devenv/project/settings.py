"""The project's own table, read: laid over by the environment and flags, its faults, its references.

Flags beat the environment (DEVENV_*), the environment beats the file. All faults are reported at once,
each with its place.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from difflib import get_close_matches
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pydantic import ValidationError

from devenv.errors import UsageError
from devenv.project import checks, gate_inputs
from devenv.project.faults import listed, told
from devenv.project.faults import place as place_of
from devenv.project.inputs import needed
from devenv.project.isolation import Isolation
from devenv.project.schema import Environment, Image, Project, Table
from devenv.project.table import located, read

OVERRIDDEN = ("name", "namespace", "context", "registry")  # by flags and DEVENV_<KEY>
EMPTIED = ("context", "registry")  # of these, DEVENV_<KEY> that is set and empty undoes the file's
ALIKE = 0.85  # of 1, as difflib measures it: one letter is wrong, missing or too many
Fault = tuple[tuple[str, ...], str]  # where, by the keys that lead there, and what
AS_URL = ":url"  # at the end of a reference
REFERENCE = re.compile(r"\$\{([^}]*)\}")
# Gives a table the name and ports that a checkout has for itself: the table, its folder, and forwards that stay.
Place = Callable[[Any, Path, Collection[str]], tuple[Any, Isolation | None]]


class Settings(Table):
    """What a command works with: the project's table and the folder it is in."""

    root: Path
    file: Path
    project: Project
    isolation: Isolation | None = None  # what the checkout has for itself

    def path(self, relative: Path | str) -> Path:
        return self.root / relative

    def environment(self, name: str) -> Environment:
        known = self.project.environments
        if name not in known:
            there = ", ".join(sorted(known)) or "none"
            raise UsageError(f"no environment {name} in [tool.devenv.environments]; there are: {there}")
        return known[name]


def load(
    file: Path,
    environ: Mapping[str, str],
    flags: Mapping[str, str | None],
    files: bool = True,
    place: Place | None = None,
) -> Settings:
    """Read the settings. Raise UsageError that lists every fault of the file with its place.

    Without `files`, those that it names need not be there: enough to end what was begun with another checkout of them.
    `place` gives the checkout a cluster name and ports of its own (isolated.py).
    """
    file = located(file)
    text, table, top = read(file)
    laid, root = overridden(table, environ, flags), file.resolve().parent
    laid, own = place(laid, root, port_fixed(laid, environ)) if place else (laid, None)
    try:
        project = Project.model_validate(laid)
    except ValidationError as error:
        raise UsageError(listed(file, told(text, error.errors(), top), top)) from None
    if misspelt := sorted(unknown_variables(project, environ)):
        raise UsageError("\n".join(misspelt))
    settings = Settings(root=root, file=file.resolve(), project=on_existing(project), isolation=own)
    if faults := [f"{place_of(text, loc, top)}: {what}" for loc, what in faults_of(settings, files)]:
        raise UsageError(listed(file, faults, top))
    return settings


def on_existing(project: Project) -> Project:
    """Return the project as it is for its cluster: an existing one has manifests and settings of its own."""
    own = project.existing
    if project.context is None:
        return project
    return project.model_copy(
        update={
            "manifests": own.manifests or project.manifests,
            "env": {**project.env, **own.env},
            "secrets": {**project.secrets, **own.secrets},
        }
    )


def overridden(table: Any, environ: Mapping[str, str], flags: Mapping[str, str | None]) -> Any:
    """Return the table with DEVENV_<KEY> of the keys OVERRIDDEN, DEVENV_PORT_<FORWARD> and the flags laid over it."""
    if not isinstance(table, dict):
        return table
    laid = dict(table)
    for key in OVERRIDDEN:
        if value := flags.get(key) or environ.get(f"DEVENV_{key.upper()}"):
            laid[key] = value
        elif f"DEVENV_{key.upper()}" in environ and key in EMPTIED:
            laid.pop(key, None)
    asked = {key: value for key in ("issuer", "ca-bundle") if (value := flags.get(f"tls.{key}"))}
    if asked and isinstance(laid.get("tls"), dict):
        # Another issuer has another authority behind it.
        laid["tls"] = {k: v for k, v in laid["tls"].items() if k != "ca-bundle"} | asked
    forwards = laid.get("forwards")
    if isinstance(forwards, dict):
        laid["forwards"] = {name: moved(name, f, environ) for name, f in forwards.items()}
    return laid


def port_variable(forward: str) -> str:
    """Return the variable that gives a forward another local port."""
    return f"DEVENV_PORT_{forward.upper().replace('-', '_')}"


def moved(name: str, forward: Any, environ: Mapping[str, str]) -> Any:
    local = environ.get(port_variable(name))
    if not local or not isinstance(forward, dict) or ":" not in str(forward.get("ports")):
        return forward
    return {**forward, "ports": f"{local}:{str(forward['ports']).split(':')[1]}"}


def port_fixed(table: Any, environ: Mapping[str, str]) -> set[str]:
    """Return the forwards whose local port a variable gives."""
    forwards = table.get("forwards") if isinstance(table, dict) else None
    return {name for name in forwards if environ.get(port_variable(name))} if isinstance(forwards, dict) else set()


def unknown_variables(project: Project, environ: Mapping[str, str]) -> Iterator[str]:
    """Yield what is nearly one of our variables. Others that begin like them are other programs'."""
    ports = {port_variable(name) for name in project.forwards}
    known = {f"DEVENV_{key.upper()}" for key in OVERRIDDEN} | ports
    for key in environ:
        if key.startswith("DEVENV_") and key not in known and (near := get_close_matches(key, known, 1, ALIKE)):
            yield f"{key}: no such variable; did you mean {near[0]}?"


def faults_of(settings: Settings, files: bool) -> list[Fault]:
    return [*(missing_files(settings) if files else ()), *inconsistencies(settings.project)]


def missing_files(settings: Settings) -> Iterator[Fault]:
    project = settings.project
    own = project.existing.manifests if project.existing.manifests != project.manifests else ()
    for where, inputs in ((("manifests",), project.manifests), (("existing", "manifests"), own or ())):
        for path in needed(inputs):
            if not there(settings.path(path)):
                yield where, f"{path}: no such file or folder"
    for name, image in project.images.items():
        if image.build and not there(settings.path(image.build) / image.dockerfile, Path.is_file):
            yield ("images", name, "build"), f"{image.build / image.dockerfile}: no such file"
        for context in image.contexts.values():
            if not there(settings.path(context), Path.is_dir):
                yield ("images", name, "contexts"), f"{context}: no such folder"
        for sync in image.sync:
            if image.build and not there(settings.path(image.build) / sync.from_):
                yield ("images", name, "sync"), f"{image.build}/{sync.from_}: no such file or folder"
    for name, gate in project.gates.items():
        for text in gate_inputs.missing(settings.root, gate):
            yield ("gates", name, "inputs"), f"{text}: no such file in the table's folder"
    if project.tls and project.tls.ca_bundle and not there(settings.path(project.tls.ca_bundle), Path.is_file):
        yield ("tls", "ca-bundle"), f"{project.tls.ca_bundle}: no such file"


def there(path: Path, how: Callable[[Path], bool] = Path.exists) -> bool:
    try:
        return how(path)
    except OSError:  # a text that is too long for a name, or a folder that may not be looked into
        return False


def inconsistencies(project: Project) -> list[Fault]:
    """Return what each key alone cannot show: images from nowhere, ports used twice, unknown references."""
    faults: list[Fault] = [
        (("images", name), "needs `pull`, `build` or both")
        for name, image in project.images.items()
        if image.build is None and image.pull is None
    ]
    for name, image in project.images.items():
        faults += [(("images", name, "sync"), why) for why in sync_faults(image)]
        faults += [(("images", name, key), why) for key, why in telling_faults(image)]
    taken: dict[int, str] = {}
    for name, forward in project.forwards.items():
        first = taken.setdefault(forward.local_port, name)
        if first != name:
            faults.append((("forwards", name, "ports"), f"local port {forward.local_port} is that of `{first}` too"))
    faults += [(where, fault) for where, text in texts(project) for fault in unknown_references(project, where, text)]
    return faults


def sync_faults(image: Image) -> Iterator[str]:
    """Yield why the files of an image cannot be sent into its containers as the table says."""
    if image.sync and (image.build is None or image.pull is not None):
        yield "needs `build`, and no `pull`: what is sent has to be the files that the image was built from"
    for paths in (sorted(sync.from_ for sync in image.sync), sorted(sync.to for sync in image.sync)):
        for above, below in pairwise(paths):
            if below.is_relative_to(above):
                yield f"{below} is {above}, or lies within it: name each but once"


def telling_faults(image: Image) -> Iterator[tuple[str, str]]:
    """Yield why the log of an image's container cannot tell whether it has taken what it was sent."""
    if image.loaded and not (image.sync and image.then.kind in ("signal", "command", "nothing")):
        yield "loaded", "needs `sync`, and a `then` that does not restart the container, which itself tells of new code"
    if image.refused and not image.loaded:
        yield "refused", "needs `loaded` too, what the log says of code that is taken"


def texts(project: Project) -> list[tuple[tuple[str, ...], str]]:
    """Return every value in which references are written, with its place."""
    found: list[tuple[tuple[str, ...], str]] = [(("env", key), text) for key, text in project.env.items()]
    found += [(("open", key), text) for key, text in project.open.items()]
    found += [(("existing", "env", key), text) for key, text in project.existing.env.items()]
    found += [(("secrets", s, key), text) for s, data in project.secrets.items() for key, text in data.items()]
    own = project.existing.secrets
    found += [(("existing", "secrets", s, key), text) for s, data in own.items() for key, text in data.items()]
    found += [(("checks", c, key), text) for c, check in project.checks.items() for key, text in checks.texts(check)]
    found += [(("tests", t, "env", k), text) for t, suite in project.tests.items() for k, text in suite.env.items()]
    return found


def unknown_references(project: Project, where: tuple[str, ...], text: str) -> list[str]:
    known = {"name", "namespace", *(f"forwards.{name}" for name in project.forwards)}
    if "secrets" not in where[:2]:  # a new word each time would be a new Secret each time
        known.add("run")
    names = [name.removesuffix(AS_URL) for name in REFERENCE.findall(text)]
    unknown = [name for name in names if name not in known and not name.startswith("env.")]
    there = ", ".join(f"${{{name}}}" for name in sorted(known))
    # Any other word in braces may be a part of a password.
    shown = (f"${{{name}}}" if name.startswith("forwards.") else "a reference" for name in unknown)
    return [f"{what} is not known; there are {there} and ${{env.KEY}}, each with {AS_URL} too" for what in shown]


def forwards_in(text: str) -> tuple[str, ...]:
    """Return the forwards that a value refers to."""
    names = (name.removesuffix(AS_URL) for name in REFERENCE.findall(text))
    return tuple(name.removeprefix("forwards.") for name in names if name.startswith("forwards."))


def missing(data: Mapping[str, str], dotenv: Mapping[str, str]) -> set[str]:
    """Return the keys that values take from the env-file (${env.KEY}) and that it does not have."""
    names = {name.removesuffix(AS_URL) for text in data.values() for name in REFERENCE.findall(text)}
    return {name.removeprefix("env.") for name in names if name.startswith("env.")} - dotenv.keys()


def substituted(text: str, project: Project, dotenv: Mapping[str, str], run: str) -> str:
    """Replace ${name}, ${namespace}, ${run}, ${forwards.NAME} (its local port) and ${env.KEY} (of the env-file).

    ${…:url} is the value as it stands in a part of a URL (RFC 3986, percent-encoding): a password may hold @ or /.
    """

    def value(match: re.Match[str]) -> str:
        plain = value_of(match[1].removesuffix(AS_URL))
        return quote(plain, safe="") if match[1].endswith(AS_URL) else plain

    def value_of(name: str) -> str:
        if name.startswith("env."):
            key = name.removeprefix("env.")
            if key not in dotenv:
                raise UsageError(f"{project.env_file}: {key} is missing\nhint: see {project.env_file}.example")
            return dotenv[key]
        if name.startswith("forwards."):
            return str(project.forwards[name.removeprefix("forwards.")].local_port)
        return {"name": project.name, "namespace": project.namespace, "run": run}[name]

    return REFERENCE.sub(value, text)
