"""The shape of [tool.devenv], the project's own table: its keys, what they mean, what each may be."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

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
