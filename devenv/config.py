"""The project's own table, read: laid over by the environment and flags, its faults, its references.

Flags beat the environment (DEVENV_*), the environment beats the file. All faults are reported at once,
each with its place.
"""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from devenv.errors import UsageError
from devenv.places import place
from devenv.table import Environment, Project, Table

OVERRIDDEN = ("name", "namespace", "context", "registry")  # by flags and DEVENV_<KEY>
REFERENCE = re.compile(r"\$\{([^}]*)\}")


class Settings(Table):
    """What a command works with: the project's table and the folder it is in."""

    root: Path
    file: Path
    project: Project

    def path(self, relative: Path | str) -> Path:
        return self.root / relative

    def environment(self, name: str) -> Environment:
        known = self.project.environments
        if name not in known:
            there = ", ".join(sorted(known)) or "none"
            raise UsageError(f"no environment {name} in [tool.devenv.environments]; there are: {there}")
        return known[name]


def load(file: Path, environ: Mapping[str, str], flags: Mapping[str, str | None]) -> Settings:
    """Read the settings. Raise UsageError that lists every fault of the file with its place."""
    try:
        text = file.read_text()
        table = tomllib.loads(text)["tool"]["devenv"]
    except FileNotFoundError:
        raise UsageError(f"{file}: no such file; run in the project's folder or name its file with -f FILE") from None
    except KeyError:
        raise UsageError(f"{file}: has no table [tool.devenv]; docs/reference.md of devenv shows one") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{file}: {error}") from error
    try:
        project = Project.model_validate(overridden(table, environ, flags))
    except ValidationError as error:
        faults = [f"{place(text, e['loc'])}: {said(e)}" for e in error.errors()]
        raise UsageError(listed(file, faults)) from None
    settings = Settings(root=file.resolve().parent, file=file.resolve(), project=project)
    if faults := [f"{place(text, loc)}: {what}" for loc, what in inconsistencies(settings)]:
        raise UsageError(listed(file, faults))
    return settings


def listed(file: Path, faults: list[str]) -> str:
    count = f"{len(faults)} fault" + ("s" if len(faults) > 1 else "")
    return "\n  ".join([f"{file}: {count} in [tool.devenv]", *faults])


def said(error: Any) -> str:
    match error["type"]:
        case "extra_forbidden":
            return "unknown key"
        case "missing":
            return "is missing"
        case "string_pattern_mismatch":
            return f"{error['input']!r} does not match {error['ctx']['pattern']}"
        case _:
            return f"{error['msg'].removeprefix('Value error, ')} (it is {error['input']!r})"


def overridden(table: Any, environ: Mapping[str, str], flags: Mapping[str, str | None]) -> Any:
    """Return the table with DEVENV_<KEY> of the keys OVERRIDDEN, DEVENV_PORT_<FORWARD> and the flags laid over it."""
    if not isinstance(table, dict):
        return table
    laid = dict(table)
    for key in OVERRIDDEN:
        if value := flags.get(key) or environ.get(f"DEVENV_{key.upper()}"):
            laid[key] = value
    asked = {key: value for key in ("issuer", "ca-bundle") if (value := flags.get(f"tls.{key}"))}
    if asked and isinstance(laid.get("tls"), dict):
        # Another issuer has another authority behind it.
        laid["tls"] = {k: v for k, v in laid["tls"].items() if k != "ca-bundle"} | asked
    forwards = laid.get("forwards")
    if isinstance(forwards, dict):
        laid["forwards"] = {name: moved(name, f, environ) for name, f in forwards.items()}
    return laid


def moved(name: str, forward: Any, environ: Mapping[str, str]) -> Any:
    local = environ.get(f"DEVENV_PORT_{name.upper().replace('-', '_')}")
    if not local or not isinstance(forward, dict) or ":" not in str(forward.get("ports")):
        return forward
    return {**forward, "ports": f"{local}:{str(forward['ports']).split(':')[1]}"}


def inconsistencies(settings: Settings) -> list[tuple[tuple[str, ...], str]]:
    """Return what each key alone cannot show: folders that are not there, ports used twice, unknown references."""
    project = settings.project
    faults: list[tuple[tuple[str, ...], str]] = []
    if not settings.path(project.manifests).exists():
        faults.append((("manifests",), f"{project.manifests}: no such file or folder"))
    for name, image in project.images.items():
        where = ("images", name)
        if image.build is None and image.pull is None:
            faults.append((where, "needs `pull`, `build` or both"))
        elif image.build and not (settings.path(image.build) / "Dockerfile").is_file():
            faults.append(((*where, "build"), f"{image.build}/Dockerfile: no such file"))
    if project.tls and project.tls.ca_bundle and not settings.path(project.tls.ca_bundle).is_file():
        faults.append((("tls", "ca-bundle"), f"{project.tls.ca_bundle}: no such file"))
    taken: dict[int, str] = {}
    for name, forward in project.forwards.items():
        first = taken.setdefault(forward.local_port, name)
        if first != name:
            faults.append((("forwards", name, "ports"), f"local port {forward.local_port} is that of `{first}` too"))
    faults += [(where, fault) for where, text in texts(project) for fault in unknown_references(project, text)]
    return faults


def texts(project: Project) -> list[tuple[tuple[str, ...], str]]:
    """Return every value in which references are written, with its place."""
    found: list[tuple[tuple[str, ...], str]] = [(("env", key), text) for key, text in project.env.items()]
    found += [(("secrets", s, key), text) for s, data in project.secrets.items() for key, text in data.items()]
    found += [(("tests", t, "env", k), text) for t, suite in project.tests.items() for k, text in suite.env.items()]
    return found


def unknown_references(project: Project, text: str) -> list[str]:
    known = {"name", "namespace", "run", *(f"forwards.{name}" for name in project.forwards)}
    names = REFERENCE.findall(text)
    return [f"${{{name}}} is not known" for name in names if name not in known and not name.startswith("env.")]


def substituted(text: str, project: Project, dotenv: Mapping[str, str], run: str) -> str:
    """Replace ${name}, ${namespace}, ${run}, ${forwards.NAME} (its local port) and ${env.KEY} (of the env-file)."""

    def value(match: re.Match[str]) -> str:
        name = match[1]
        if name.startswith("env."):
            key = name.removeprefix("env.")
            if key not in dotenv:
                raise UsageError(f"{project.env_file}: {key} is missing; {project.env_file}.example may have it")
            return dotenv[key]
        if name.startswith("forwards."):
            return str(project.forwards[name.removeprefix("forwards.")].local_port)
        return {"name": project.name, "namespace": project.namespace, "run": run}[name]

    return REFERENCE.sub(value, text)
