"""What a compose file says of a service, by Compose's own names. Pure.

Source: the Compose specification, "Services". Keys that are not here are told, and left out.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from devenv.scaffold.forms import by_key, by_name, listed, or_nothing, ports, seconds, size, text, words

Text = Annotated[str, BeforeValidator(text)]
Words = Annotated[list[Text] | None, BeforeValidator(words)]
ByKey = Annotated[dict[str, Text | None], BeforeValidator(by_key)]
Seconds = Annotated[float, BeforeValidator(seconds), Field(ge=0, lt=1e6, allow_inf_nan=False)]
Bytes = Annotated[int, BeforeValidator(size), Field(gt=0, lt=1 << 60)]
Cpus = Annotated[float, Field(ge=0.001, lt=1e6, allow_inf_nan=False)]
PortNumber = Annotated[int, Field(ge=1, le=65535)]


class Part(BaseModel):
    """A part of the file. Keys that are not known are kept, to be told."""

    model_config = ConfigDict(extra="allow", frozen=True, coerce_numbers_to_str=True)

    @model_validator(mode="before")
    @classmethod
    def without_nulls(cls, value: Any) -> Any:
        return {key: one for key, one in value.items() if one is not None} if isinstance(value, dict) else value

    def unknown(self) -> list[str]:
        return [key for key in self.model_extra or {} if not key.startswith("x-")]


class Build(Part):
    context: Text = "."
    dockerfile: Text = "Dockerfile"
    target: Text | None = None
    args: ByKey = {}
    additional_contexts: ByKey = {}


class Healthcheck(Part):
    test: list[Text] = []
    interval: Seconds | None = None
    timeout: Seconds | None = None
    retries: Annotated[int, Field(ge=1, le=1000)] | None = None
    start_period: Seconds | None = None
    start_interval: Seconds | None = None
    disable: bool = False

    @field_validator("test", mode="before")
    @classmethod
    def of_shell(cls, value: Any) -> Any:
        return ["CMD-SHELL", value] if isinstance(value, str) else value

    @field_validator("test")
    @classmethod
    def known(cls, value: list[str]) -> list[str]:
        if value and value[0] not in ("NONE", "CMD", "CMD-SHELL"):
            raise ValueError("begins with none of NONE, CMD and CMD-SHELL")
        if value and value[0] != "NONE" and (len(value) < 2 or (value[0] == "CMD-SHELL" and len(value) > 2)):
            raise ValueError(f"{value[0]} has no command, or more than one text")
        return value


class Port(Part):
    target: PortNumber
    published: Annotated[int, Field(ge=0, le=65535)] | None = None
    protocol: Annotated[Literal["tcp", "udp", "sctp"], BeforeValidator(lambda v: v or "tcp")] = "tcp"
    host_ip: Text = ""


class Volume(Part):
    type: Literal["volume", "bind", "tmpfs", "npipe", "cluster", "image"] = "volume"
    source: Text = ""
    target: Text
    read_only: bool = False

    @model_validator(mode="before")
    @classmethod
    def of_text(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        first, *rest = value.split(":")
        if not rest:
            return {"target": first}
        kind = "bind" if first.startswith((".", "/", "~")) else "volume"
        modes = rest[1].split(",") if len(rest) > 1 else []
        return {"type": kind, "source": first, "target": rest[0], "read_only": "ro" in modes}

    @field_validator("target")
    @classmethod
    def absolute(cls, value: str) -> str:
        if not value.startswith("/") or ":" in value or ".." in value.split("/") or value.strip("/") == "":
            raise ValueError("is no absolute path in the container")
        return value


class Condition(Part):
    condition: Literal["service_started", "service_healthy", "service_completed_successfully"] = "service_started"


class EnvFile(Part):
    path: Text
    required: bool = True

    @model_validator(mode="before")
    @classmethod
    def of_text(cls, value: Any) -> Any:
        return {"path": value} if isinstance(value, str) else value


class Mounted(Part):
    """A config or a secret, as a service has it."""

    source: Text
    target: Text = ""

    @model_validator(mode="before")
    @classmethod
    def of_text(cls, value: Any) -> Any:
        return {"source": value} if isinstance(value, str) else value


class Amount(Part):
    cpus: Cpus | None = None
    memory: Bytes | None = None


class Resources(Part):
    limits: Amount = Amount()
    reservations: Amount = Amount()


class RestartPolicy(Part):
    condition: Literal["none", "on-failure", "any"] = "any"


class Deploy(Part):
    replicas: Annotated[int, Field(ge=0, le=1000)] | None = None
    mode: Literal["replicated", "global", "replicated-job", "global-job"] = "replicated"
    resources: Resources = Resources()
    restart_policy: RestartPolicy = RestartPolicy()


class Service(Part):
    image: Text | None = None
    build: Build | None = None
    command: Words = None
    entrypoint: Words = None
    environment: ByKey = {}
    env_file: Annotated[list[EnvFile], BeforeValidator(listed)] = []
    ports: Annotated[list[Port], BeforeValidator(listed)] = []
    expose: Annotated[list[Text], BeforeValidator(listed)] = []
    healthcheck: Healthcheck | None = None
    volumes: Annotated[list[Volume], BeforeValidator(listed)] = []
    tmpfs: Annotated[list[Text], BeforeValidator(listed)] = []
    depends_on: Annotated[dict[str, Condition], BeforeValidator(by_name)] = {}
    restart: Annotated[Text, BeforeValidator(lambda v: {False: "no"}.get(v, v) if isinstance(v, bool) else v)] = ""
    deploy: Deploy = Deploy()
    scale: Annotated[int, Field(ge=0, le=1000)] | None = None
    user: Text | None = None
    working_dir: Text | None = None
    secrets: Annotated[list[Mounted], BeforeValidator(listed)] = []
    configs: Annotated[list[Mounted], BeforeValidator(listed)] = []
    profiles: Annotated[list[Text], BeforeValidator(listed)] = []
    stop_grace_period: Seconds | None = None
    stdin_open: bool = False
    tty: bool = False
    read_only: bool = False
    cap_add: list[Text] = []
    cap_drop: list[Text] = []
    platform: Text | None = None
    cpus: Cpus | None = None
    mem_limit: Bytes | None = None
    mem_reservation: Bytes | None = None
    shm_size: Bytes | None = None

    @field_validator("build", mode="before")
    @classmethod
    def of_folder(cls, value: Any) -> Any:
        return {"context": value} if isinstance(value, str) else value

    @field_validator("ports", mode="before")
    @classmethod
    def of_texts(cls, value: Any) -> Any:
        return [port for item in listed(value) for port in ports(item)]

    @field_validator("deploy", mode="before")
    @classmethod
    def of_nothing(cls, value: Any) -> Any:
        return {} if value is None else value


class Stored(Part):
    """A config or a secret, as the file has it."""

    file: Text | None = None
    content: Text | None = None
    environment: Text | None = None
    external: bool = False


class NamedVolume(Part):
    external: bool = False


Named = Annotated[NamedVolume, BeforeValidator(or_nothing)]


class Project(Part):
    """A compose file."""

    name: Text | None = None
    services: Annotated[dict[str, Annotated[Service, BeforeValidator(or_nothing)]], BeforeValidator(or_nothing)] = {}
    volumes: Annotated[dict[str, Named], BeforeValidator(or_nothing)] = {}
    secrets: Annotated[dict[str, Stored], BeforeValidator(or_nothing)] = {}
    configs: Annotated[dict[str, Stored], BeforeValidator(or_nothing)] = {}
