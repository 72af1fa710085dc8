"""devenv completion: what a shell needs to complete verbs and options, by typer's own scripts."""

import os
from enum import StrEnum
from typing import Annotated

import typer

NAME, VARIABLE = "devenv", "_DEVENV_COMPLETE"  # the variable by which a shell asks for completions


class Shell(StrEnum):
    bash = "bash"
    zsh = "zsh"
    fish = "fish"


def completion(
    shell: Annotated[Shell, typer.Argument(help="The shell to complete in.")],
) -> None:
    """Print what a shell needs to complete verbs and options.

    bash and zsh, in ~/.bashrc or ~/.zshrc (after compinit): eval "$(devenv completion bash)". fish, in
    ~/.config/fish/config.fish: devenv completion fish | source
    """
    from typer._completion_shared import get_completion_script

    from devenv.cli import output

    output.plain(get_completion_script(prog_name=NAME, complete_var=VARIABLE, shell=shell))


def prepare() -> None:
    """Let a shell that asks be answered in the words of these scripts; any other call loads nothing for it."""
    if VARIABLE in os.environ:
        from typer._completion_classes import completion_init

        completion_init()
