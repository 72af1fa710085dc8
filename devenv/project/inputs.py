"""What the manifests are read from, as the table says: files and folders, Helm charts, commands that print YAML."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, StringConstraints, Tag

# Helm's own rule for the name of a release (pkg/chart/common/util, and `helm template` refuses others).
Release = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=53)]


class Chart(BaseModel):
    """A Helm chart, and what it is rendered with."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    chart: Path  # a folder with Chart.yaml
    values: tuple[Path, ...] = ()  # the later of them have the last word
    set: dict[str, Any] = {}  # values that are laid over those of the files
    release: Release | None = None  # where it is not the project's name

    def __str__(self) -> str:
        return str(self.chart)


class Printed(BaseModel):
    """A command that prints objects as YAML."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    command: Annotated[tuple[str, ...], Field(min_length=1)]
    reads: tuple[Path, ...] = ()  # files and folders: `devenv dev` takes a change of one for a change of the manifests

    def __str__(self) -> str:
        return " ".join(self.command)


def kind(value: Any) -> str:
    """Return which of them a value of the table is; what is none is told as a path that it is not."""
    if isinstance(value, Chart) or (isinstance(value, dict) and "chart" in value):
        return "chart"
    return "command" if isinstance(value, Printed | dict) else "path"


def listed(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else (value,)


Input = Annotated[
    Annotated[Path, Tag("path")] | Annotated[Chart, Tag("chart")] | Annotated[Printed, Tag("command")],
    Discriminator(kind),
]
Inputs = Annotated[
    tuple[Input, ...],
    Field(min_length=1),
    BeforeValidator(listed, json_schema_input_type=Input | Annotated[list[Input], Field(min_length=1)]),
]


def said(inputs: tuple[Input, ...]) -> str:
    return ", ".join(map(str, inputs))


def needed(inputs: tuple[Input, ...]) -> list[Path]:
    """Return the files and folders that have to be there."""
    found: list[Path] = []
    for one in inputs:
        match one:
            case Chart():
                found += [one.chart / "Chart.yaml", *one.values]
            case Printed():
                found += one.reads
            case _:
                found.append(one)
    return found
