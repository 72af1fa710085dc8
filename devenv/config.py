"""The project's own table, [tool.devenv] in pyproject.toml: its shape, its faults, its references.

Flags beat the environment (DEVENV_*), the environment beats the file. All faults are reported at once,
each with its place.
"""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator

from devenv.errors import UsageError
from devenv.places import place

# RFC 1123 label; kind adds "-control-plane" to the cluster name and a host name ends at 63 characters.
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=40)]
Workload = Annotated[str, StringConstraints(pattern=r"^(job|deployment|statefulset|daemonset)/[a-z0-9][-a-z0-9.]*$")]
LOCAL = "local"  # the issuer that is the environment's own
Host = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$", max_length=253)
]
Issuer = Annotated[str, StringConstraints(pattern=r"^(local|letsencrypt|letsencrypt-staging|https://\S+)$")]
ObjectName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][-a-z0-9.]*$", max_length=253)]
# The host of a registry, with its port, and the folder of it in which the images are to be.
Registry = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][-a-z0-9.]*(:\d{1,5})?(/[a-z0-9][-a-z0-9._]*)*$")]
OVERRIDDEN = ("name", "namespace", "context", "registry")  # by flags and DEVENV_<KEY>
REFERENCE = re.compile(r"\$\{([^}]*)\}")


class Table(BaseModel):
    """A table of the file: every key is known, and nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Image(Table):
    """Where an image comes from: pulled where a registry answers, built where none does."""

    image: str | None = None  # the repository by which the manifests name it, where it is not that of `pull`
    pull: str | None = None
    build: Path | None = None
    args: dict[str, str] = {}

    @field_validator("build", "pull")
    @classmethod
    def not_empty(cls, value: Any) -> Any:
        if not str(value).strip(". "):
            raise ValueError("is empty")
        return value


class Forward(Table):
    """A local port that leads to a Service of the namespace."""

    service: str
    namespace: Name | None = None  # where the Service is, if not in the project's namespace
    ports: Annotated[str, StringConstraints(pattern=r"^\d{1,5}:\d{1,5}$")]
    probe: Annotated[str, StringConstraints(pattern=r"^(http /\S*|redis|postgres|tls|tcp)$")] = "tcp"
    hold_s: Annotated[float, Field(ge=0, le=600)] = 30.0

    @field_validator("ports")
    @classmethod
    def in_range(cls, value: str) -> str:
        if not all(0 < int(port) < 65536 for port in value.split(":")):
            raise ValueError("LOCAL:PORT are numbers from 1 to 65535")
        return value

    @property
    def local_port(self) -> int:
        return int(self.ports.split(":")[0])

    @property
    def service_port(self) -> int:
        return int(self.ports.split(":")[1])


class Tls(Table):
    """The certificate of an Ingress: for which host, in which Secret, from whom."""

    host: Host
    ingress: ObjectName
    secret: ObjectName
    namespace: Name | None = None  # of both, if not the project's
    issuer: Issuer = LOCAL
    ingress_class: Annotated[ObjectName, Field(alias="ingress-class")] = "nginx"  # that answers ACME's challenges
    ca_bundle: Annotated[Path | None, Field(alias="ca-bundle")] = None  # whom an ACME directory's own TLS is signed by
    email: str | None = None  # for the ACME account


class Environment(Table):
    """Where a release goes: how its objects are rendered, and what must hold when they are rolled out."""

    # Prints the environment's objects, given the images by digest as its last words.
    render: Annotated[list[str], Field(min_length=1)]
    images: Annotated[tuple[Name, ...], Field(min_length=1)]  # what it runs, by the last words of their names
    namespace: Name
    context: str | None = None  # the cluster, as the person's kubeconfig names it
    checks: tuple[Workload, ...] = ()  # Jobs that run after the rollout; others run before it


class Suite(Table):
    """A test suite: the command that runs it, and settings of its own."""

    run: Annotated[list[str], Field(min_length=1)]
    env: dict[str, str] = {}


class Project(Table):
    """[tool.devenv], as written."""

    name: Name
    namespace: Name = "default"
    context: Annotated[str, StringConstraints(min_length=1)] | None = None  # of the person's kubeconfig
    registry: Registry | None = None  # where the nodes of that cluster get the images from
    remote_contexts: Annotated[tuple[str, ...], Field(alias="remote-contexts")] = ()  # allowed without --yes-remote
    namespace_labels: Annotated[dict[str, str], Field(alias="namespace-labels")] = {}
    manifests: Path
    env_file: Annotated[Path, Field(alias="env-file")] = Path(".env")
    gates: tuple[Workload, ...] = ()
    ready_within_s: Annotated[float, Field(alias="ready-within-s", gt=0)] = 300.0
    images: dict[Name, Image] = {}
    forwards: dict[Name, Forward] = {}
    secrets: dict[str, dict[str, str]] = {}
    tls: Tls | None = None
    env: dict[str, str] = {}
    tests: dict[str, Suite] = {}
    environments: dict[Name, Environment] = {}

    @property
    def named_contexts(self) -> tuple[str, ...]:
        """The contexts that the file itself names, which need no further word of the person."""
        return (*self.remote_contexts, *(e.context for e in self.environments.values() if e.context))


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
