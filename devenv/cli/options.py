"""What the verbs of the command line share: options, their values, one question."""

import os
import sys
from collections.abc import Callable
from enum import StrEnum
from functools import wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Concatenate, ParamSpec

import typer

from devenv.cli.help import Verbs
from devenv.errors import DevenvError, UsageError

if TYPE_CHECKING:
    from devenv.project.settings import Settings
    from devenv.reconcile.environment import Environment


class Output(StrEnum):
    text = "text"
    json = "json"


def duration(text: str) -> float:
    from devenv.system.wait import seconds

    try:
        return seconds(str(text))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


File = Annotated[Path, typer.Option("--file", "-f", help="File with the table, if not pyproject.toml.")]
# Where -f is --follow, as kubectl has it.
FileInFull = Annotated[Path, typer.Option("--file", help="File with the table, if not pyproject.toml.")]
Follow = Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes, until Ctrl-C.")]
Namespace = Annotated[str | None, typer.Option("--namespace", "-n", help="Namespace, instead of the file's.")]
Context = Annotated[
    str | None, typer.Option("--context", help="Use an existing cluster, by its context in your kubeconfig.")
]
Registry = Annotated[
    str | None, typer.Option("--registry", metavar="HOST[/PATH]", help="Registry the cluster pulls from.")
]
YesRemote = Annotated[
    str | None, typer.Option("--yes-remote", metavar="NAME", help="Confirm a remote context by repeating its name.")
]
Replace = Annotated[
    list[str] | None,
    typer.Option("--replace", metavar="KIND/NAME", help="Delete this object and make it anew: what it holds is lost."),
]
Isolated = Annotated[
    bool,
    typer.Option("--isolated", help="Use a cluster and ports of this checkout's own, from now until `devenv down`."),
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
    *,
    promoted: str | None = None,
    files: bool = True,
    isolated: bool = False,
    **flags: str | None,
) -> "Settings":
    """Read the settings. Nothing is asked of a cluster that they name before its guard has let it pass.

    `promoted` is the environment whose release it is about; without `files`, those of the project need not be there;
    `isolated` is a checkout with a cluster and ports of its own.
    """
    from devenv.project import isolated as remembered

    # A release has the file's name wherever it is promoted from: DEVENV_NAME is that of a cluster on this machine.
    environ = {key: value for key, value in os.environ.items() if not (promoted and key == "DEVENV_NAME")}
    asked = {"namespace": namespace, "context": context, "registry": registry, **flags}
    chosen = remembered.load(file, environ, asked, files, isolated)
    if promoted and chosen.isolation:
        raise UsageError(f'{chosen.file}: name = "auto" is the name of a checkout; a release needs one of its own')
    hide_passwords(chosen)
    named = chosen.project.context
    if named is None:
        if yes_remote is not None:
            raise UsageError(f"--yes-remote {yes_remote} is used with --context {yes_remote}")
        return chosen
    from devenv.kube import kubeconfig as existing

    address = existing.server(existing.kubeconfig(named, chosen.project.namespace))
    existing.guard(named, address, chosen.project.opened(promoted), yes_remote)
    return chosen


def hide_passwords(of: "Settings") -> None:
    from devenv.project import sources
    from devenv.system import masking

    masking.hide(sources.passwords(of, os.environ))


def verb(
    function: Callable[Concatenate["Environment", P], None],
    looks: bool = False,
    files: bool = True,
    isolates: bool = False,
) -> Callable[..., None]:
    """Return a command of the command line: `function` with the options of `settings` for its first argument.

    One that `isolates` has `--isolated` too; all others go by what is remembered of that.
    """
    shared = [p for p in signature(settings).parameters.values() if p.kind is Parameter.POSITIONAL_OR_KEYWORD]
    if isolates:
        shared.append(Parameter("isolated", Parameter.KEYWORD_ONLY, default=False, annotation=Isolated))
    own = [*signature(function).parameters.values()][1:]
    if any(p.annotation is Follow for p in own):
        shared = [p.replace(annotation=FileInFull) if p.annotation is File else p for p in shared]

    @wraps(function)
    def command(*args: P.args, **values: P.kwargs) -> None:
        from devenv.reconcile import environment

        options: Any = {p.name: values.pop(p.name) for p in shared}
        with environment.opened(settings(**options, files=files), looks=looks) as env:
            function(env, *args, **values)

    parameters = [p.replace(kind=Parameter.KEYWORD_ONLY) for p in (*own, *shared)]
    # Typer reads both.
    command.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    return command


def isolating(function: Callable[Concatenate["Environment", P], None]) -> Callable[..., None]:
    """Return a command that may give the checkout a cluster and ports of its own."""
    return verb(function, isolates=True)


def look(function: Callable[Concatenate["Environment", P], None]) -> Callable[..., None]:
    """Return a command that changes nothing: an environment that is not there leaves no file either."""
    return verb(function, looks=True)


def ending(function: Callable[Concatenate["Environment", P], None]) -> Callable[..., None]:
    """Return a command that ends what runs, whatever is checked out meanwhile."""
    return verb(function, files=False)


def group(text: str) -> typer.Typer:
    """Return a group of verbs, such as `devenv images`."""
    return typer.Typer(help=text, cls=Verbs, no_args_is_help=True, rich_markup_mode=None)


def confirm(question: str, yes: bool, otherwise: str = "nothing was deleted", shared: bool = False) -> None:
    """Ask, on a terminal. Without one the answer is yes, but not for what is `shared` with others."""
    if shared and not yes and not sys.stdin.isatty():
        raise UsageError(f"{question} Cannot ask for confirmation without a terminal; pass --yes")
    if not yes and sys.stdin.isatty() and not typer.confirm(question, default=False, err=True):
        raise DevenvError(otherwise)
