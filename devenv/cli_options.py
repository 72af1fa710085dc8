"""What the verbs of the command line share: options, their values, one question."""

import os
import sys
from collections.abc import Callable
from enum import StrEnum
from functools import wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import Annotated, Any, Concatenate, ParamSpec

import typer

from devenv import config
from devenv.config import Settings
from devenv.errors import DevenvError, UsageError


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
Context = Annotated[
    str | None, typer.Option("--context", help="A cluster that exists, by its context in your kubeconfig.")
]
Registry = Annotated[
    str | None, typer.Option("--registry", metavar="HOST[/PATH]", help="Where its nodes get the images from.")
]
YesRemote = Annotated[
    str | None, typer.Option("--yes-remote", metavar="NAME", help="The context again, where it is on another machine.")
]
AsOutput = Annotated[Output, typer.Option("--output", "-o", help="How to print the result.")]
P = ParamSpec("P")
PYPROJECT = Path("pyproject.toml")


def settings(
    file: File = PYPROJECT,
    namespace: Namespace = None,
    context: Context = None,
    registry: Registry = None,
    yes_remote: YesRemote = None,
    **flags: str | None,
) -> Settings:
    """Read the settings; nothing was asked of the cluster that they name before its guard has let it pass."""
    here = config.load(file, os.environ, {"namespace": namespace, "context": context, "registry": registry, **flags})
    named = here.project.context
    if named is None:
        if yes_remote is not None:
            raise UsageError(f"--yes-remote {yes_remote} goes with --context {yes_remote}")
        return here
    from devenv import context as existing

    address = existing.server(existing.kubeconfig(named, here.project.namespace))
    existing.guard(named, address, here.project.named_contexts, yes_remote)
    return here


def verb(function: Callable[Concatenate[Settings, P], None]) -> Callable[..., None]:
    """Return a command of the command line: `function` with the options of `settings` for its first argument."""
    shared = [p for p in signature(settings).parameters.values() if p.kind is not Parameter.VAR_KEYWORD]
    own = [*signature(function).parameters.values()][1:]

    @wraps(function)
    def command(*args: P.args, **values: P.kwargs) -> None:
        options: Any = {p.name: values.pop(p.name) for p in shared}
        function(settings(**options), *args, **values)

    parameters = [p.replace(kind=Parameter.KEYWORD_ONLY) for p in (*own, *shared)]
    # Typer reads both.
    command.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    return command


def group(text: str) -> typer.Typer:
    """Return a group of verbs, such as `devenv images`."""
    return typer.Typer(help=text, no_args_is_help=True, rich_markup_mode=None)


def confirm(question: str, yes: bool, otherwise: str = "nothing was deleted", somebody_s: bool = False) -> None:
    """Ask, on a terminal; what nobody is there to ask is done, but not to what is somebody's."""
    if somebody_s and not yes and not sys.stdin.isatty():
        raise UsageError(f"{question} Nobody is there to ask; say --yes")
    if not yes and sys.stdin.isatty() and not typer.confirm(question, default=False, err=True):
        raise DevenvError(otherwise)
