"""The shape of [tool.devenv], the project's own table: its keys, what they mean, what each may be."""

import json
import re
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

from devenv.project.checks import Check
from devenv.project.inputs import Inputs

# RFC 1123 label; kind adds "-control-plane" to the cluster name and a host name ends at 63 characters.
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=40)]
Workload = Annotated[
    str,
    StringConstraints(pattern=r"^(job|deployment|statefulset|daemonset)/[a-z0-9][-a-z0-9.]*(@[a-z0-9][-a-z0-9]*)?$"),
]
LOCAL = "local"  # the issuer that is the environment's own
Host = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$", max_length=253)
]
Issuer = Annotated[str, StringConstraints(pattern=r"^(local|letsencrypt|letsencrypt-staging|https://\S+)$")]
ObjectName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][-a-z0-9.]*$", max_length=253)]
# The host of a registry, with its port, and the folder of it in which the images are to be.
Registry = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][-a-z0-9.]*(:\d{1,5})?(/[a-z0-9][-a-z0-9._]*)*$")]
Page = Annotated[str, StringConstraints(pattern=r"^https?://\S+$")]
Variable = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]  # POSIX, "Environment Variables"
SecretKey = Annotated[str, StringConstraints(pattern=r"^[-._A-Za-z0-9]+$", max_length=253)]

Stage = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][-_.A-Za-z0-9]*$")]
Platform = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+/[a-z0-9]+(/[a-z0-9]+)?$")]


class Table(BaseModel):
    """A table of the file: every key is known, and nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Sync(Table):
    """Files of an image's folder that `devenv dev` sends into its running containers."""

    from_: Annotated[PurePosixPath, Field(alias="from")]  # a folder or a file, within the image's folder
    to: PurePosixPath  # its place in the container

    @field_validator("from_")
    @classmethod
    def inside(cls, value: PurePosixPath) -> PurePosixPath:
        if value.is_absolute() or ".." in value.parts or not value.parts:
            raise ValueError("is no path within the image's folder")
        return value

    @field_validator("to")
    @classmethod
    def absolute(cls, value: PurePosixPath) -> PurePosixPath:
        if not value.is_absolute() or ".." in value.parts or value == PurePosixPath("/"):
            raise ValueError("is no absolute path below /")
        return value


class Then(Table):
    """What makes a container take files that were sent to it."""

    kind: Literal["restart", "nothing", "signal", "command"] = "restart"
    words: tuple[str, ...] = ()  # the signal's name, or the command


SIGNAL = re.compile(r"signal ([A-Z][A-Z0-9+-]*)")
SIGNALLED = StringConstraints(pattern=rf"^(restart|nothing|{SIGNAL.pattern})$")


class Image(Table):
    """Where an image comes from: pulled where a registry answers, built where none does."""

    image: str | None = None  # the repository by which the manifests name it, where it is not that of `pull`
    pull: str | None = None
    build: Path | None = None
    args: dict[str, str] = {}
    dockerfile: Path = Path("Dockerfile")  # from the folder of `build`
    target: Stage | None = None
    platform: Platform | None = None  # where it is not the Docker host's
    contexts: dict[Stage, Path] = {}  # folders that the Dockerfile knows by a name
    builder: Literal["buildkit", "classic"] | None = None  # where it is not to be chosen
    sync: tuple[Sync, ...] = ()
    then: Then = Then()
    loaded: Annotated[str, StringConstraints(min_length=1)] | None = None
    refused: Annotated[str, StringConstraints(min_length=1)] | None = None

    @field_validator("then", mode="before", json_schema_input_type=Annotated[str, SIGNALLED] | list[str])
    @classmethod
    def read_then(cls, value: Any) -> Any:
        if value in ("restart", "nothing"):
            return Then(kind=value)
        if isinstance(value, str) and (found := SIGNAL.fullmatch(value)):
            return Then(kind="signal", words=(found[1].removeprefix("SIG"),))
        if isinstance(value, list) and value and all(isinstance(word, str) and word for word in value):
            return Then(kind="command", words=tuple(value))
        raise ValueError('is none of "restart", "nothing", "signal NAME" and a list with the words of a command')

    @field_validator("build", "pull", "dockerfile", mode="before")
    @classmethod
    def not_empty(cls, value: Any) -> Any:
        if isinstance(value, str) and not value.strip():
            raise ValueError("is empty")
        return value


class Forward(Table):
    """A local port that leads to a Service of the namespace."""

    service: str
    namespace: Name | None = None  # where the Service is, if not in the project's namespace
    ports: Annotated[str, StringConstraints(pattern=r"^\d{1,5}:\d{1,5}$")]
    probe: Annotated[str, StringConstraints(pattern=r"^(http /\S*|redis|postgres|tls|tcp)$")] = "tcp"
    hold_s: Annotated[float, Field(ge=0, le=600, strict=True)] = 30.0

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
    registry: Registry | None = None  # where its images must come from
    checks: tuple[Workload, ...] = ()  # Jobs that run after the rollout; others run before it


class Existing(Table):
    """What differs on a cluster that exists (`context`), which others may share, and reach."""

    manifests: Inputs | None = None
    env: dict[Variable, str] = {}
    secrets: dict[ObjectName, dict[SecretKey, str]] = {}
    # Services that may have an address of the provider's. None of another cluster than this machine's, unless named.
    load_balancers: Annotated[tuple[ObjectName, ...], Field(alias="load-balancers")] = ()


class Gate(Table):
    """What is known of a gate: who waits for it, and the files that decide whether it runs again."""

    before: tuple[Workload, ...] = ()  # where that is not said, the workloads with the same image
    inputs: tuple[str, ...] = ()  # globs, from the table's folder; without any, all that its image is made of

    @field_validator("inputs")
    @classmethod
    def from_the_folder(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if any(not PurePosixPath(text).parts or PurePosixPath(text).is_absolute() for text in value):
            raise ValueError("are no paths from the folder of the table")
        return value


class ListedGate(Gate):
    """A gate as an entry of a list."""

    job: Workload


Gates = list[Workload | ListedGate] | dict[Workload, list[Workload] | Gate]  # as a table may write them


class Suite(Table):
    """A test suite: the command that runs it, and settings of its own."""

    run: Annotated[list[str], Field(min_length=1)]
    env: dict[Variable, str] = {}


class Overrides(Table):
    """The ConfigMap by which files of an application can be replaced for a while, and the workload that reads it."""

    config_map: Annotated[ObjectName, Field(alias="config-map")]
    workload: Workload
    source: Path = Path()  # the folder here from which the application's files count


class Project(Table):
    """[tool.devenv], as written."""

    name: Name
    namespace: Name = "default"
    context: Annotated[str, StringConstraints(min_length=1)] | None = None  # of the person's kubeconfig
    registry: Registry | None = None  # where the nodes of that cluster get the images from
    remote_contexts: Annotated[tuple[str, ...], Field(alias="remote-contexts")] = ()  # allowed without --yes-remote
    namespace_labels: Annotated[dict[str, str], Field(alias="namespace-labels")] = {}
    manifests: Inputs
    env_file: Annotated[Path, Field(alias="env-file")] = Path(".env")
    gates: dict[Workload, Gate] = {}  # Jobs that others wait for
    ready_within_s: Annotated[float, Field(alias="ready-within-s", gt=0, strict=True, allow_inf_nan=False)] = 300.0
    # Whether `up` keeps the images for the next cluster's node, unpacked, once it has made one.
    preload: Annotated[bool, Field(strict=True)] = True
    images: dict[Name, Image] = {}
    forwards: dict[Name, Forward] = {}
    secrets: dict[ObjectName, dict[SecretKey, str]] = {}
    tls: Tls | None = None
    env: dict[Variable, str] = {}
    open: dict[Name, Page] = {}  # the addresses that `devenv open` knows beside the forwards
    tests: dict[str, Suite] = {}
    overrides: Overrides | None = None
    checks: dict[Name, Check] = {}  # what `devenv verify` asks beside what it knows itself
    environments: dict[Name, Environment] = {}
    existing: Existing = Existing()

    @field_validator("gates", mode="before", json_schema_input_type=Gates)
    @classmethod
    def by_name(cls, value: Any) -> Any:
        """Return the gates by their names: they may be listed, and what waits for one may be all that is said of it."""
        if isinstance(value, dict):
            return {name: {"before": gate} if isinstance(gate, list | tuple) else gate for name, gate in value.items()}
        if not isinstance(value, list | tuple):
            return value
        tables = [gate if isinstance(gate, dict) else {"job": gate} for gate in value]
        names = [gate.get("job") for gate in tables]
        if not all(isinstance(name, str) for name in names) or len({*names}) < len(names):
            raise ValueError(
                'has to list each gate once, as "job/NAME" or { job = "job/NAME", inputs = ["FOLDER/**"] }'
            )
        return {gate["job"]: {key: value for key, value in gate.items() if key != "job"} for gate in tables}

    @field_validator("gates")
    @classmethod
    def of_jobs(cls, value: dict[str, Gate]) -> dict[str, Gate]:
        if other := [name for name, gate in value.items() if gate.inputs and not name.startswith("job/")]:
            raise ValueError(f"inputs decide whether a Job runs again; {', '.join(other)} is none")
        return value

    def opened(self, environment: str | None) -> tuple[str, ...]:
        """The contexts that the file itself names, which need no further word of the person: that of an environment is
        for its own promotion alone.
        """
        context = self.environments[environment].context if environment else None
        return (*self.remote_contexts, *([context] if context else []))


def as_json() -> str:
    """Return the JSON schema of the table, for editors: schema.json of this folder, which the wheel has too."""
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "[tool.devenv]"}
    return json.dumps({**Project.model_json_schema(by_alias=True), **head}, indent=2) + "\n"
