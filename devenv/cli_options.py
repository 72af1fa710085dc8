"""What the verbs of the command line share: options, their values, one question."""

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from devenv import config
from devenv.config import Settings
from devenv.errors import DevenvError


class Output(StrEnum):
    text = "text"
    json = "json"


def duration(text: str) -> float:
    from devenv.wait import seconds

    try:
        return seconds(str(text))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


File = Annotated[Path, typer.Option("--file", "-f", help="The file with the table [tool.devenv].")]
Namespace = Annotated[str | None, typer.Option("--namespace", "-n", help="Another namespace than the file's.")]
AsOutput = Annotated[Output, typer.Option("--output", "-o", help="How to print the result.")]
PYPROJECT = Path("pyproject.toml")


def settings(file: Path, namespace: str | None = None) -> Settings:
    return config.load(file, os.environ, {"namespace": namespace})


def group(text: str) -> typer.Typer:
    """Return a group of verbs, such as `devenv images`."""
    return typer.Typer(help=text, no_args_is_help=True, rich_markup_mode=None)


def confirm(question: str, yes: bool) -> None:
    """Ask, on a terminal; what nobody is there to ask is done."""
    if not yes and sys.stdin.isatty() and not typer.confirm(question, default=False, err=True):
        raise DevenvError("nothing was deleted")
