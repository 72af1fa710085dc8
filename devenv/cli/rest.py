"""devenv stop, start, pause, resume: a cluster at rest."""

from typing import TYPE_CHECKING

import typer

from devenv.cli.help import Panel
from devenv.cli.options import AsOutput, Output, ending, verb

if TYPE_CHECKING:
    from devenv.commands.rest import Rest
    from devenv.reconcile.environment import Environment

EXAMPLE = "Example: devenv"


def register(app: typer.Typer) -> None:
    for command in (stop, start, pause, resume):
        app.command(epilog=f"{EXAMPLE} {command.__name__}", rich_help_panel=Panel.daily)(command)


@ending
def stop(env: "Environment", form: AsOutput = Output.text) -> None:
    """Stop the cluster: pods end in good order, data stay. `devenv start` brings it back."""
    from devenv.cli import output
    from devenv.commands import rest

    show(rest.stop(env, output.log), form)


@verb
def start(env: "Environment", form: AsOutput = Output.text) -> None:
    """Start a stopped or paused cluster as it was, until all ports are proven. Builds and changes nothing."""
    from devenv.cli import output
    from devenv.commands import rest

    with output.performing() as on_event:
        result = rest.start(env, on_event, output.log)
    output.status(result, form is Output.json)


@ending
def pause(env: "Environment", form: AsOutput = Output.text) -> None:
    """Freeze the cluster: it keeps its memory and uses no CPU. `devenv resume` has it go on."""
    from devenv.cli import output
    from devenv.commands import rest

    show(rest.pause(env, output.log), form)


@ending
def resume(env: "Environment", form: AsOutput = Output.text) -> None:
    """Have a paused cluster go on, until all ports are proven."""
    from devenv.cli import output
    from devenv.commands import rest

    show(rest.resume(env, output.log), form)


def show(seen: "Rest", form: Output) -> None:
    from dataclasses import asdict

    from devenv.cli import output

    said = {"STOPPED": "stopped; its data stay", "PAUSED": "paused", "RUNNING": "running; all ports are proven"}
    output.log(f"{seen.name} is {'' if seen.changed else 'already '}{said[seen.cluster]}")
    if form is Output.json:
        output.as_json(asdict(seen))
    else:
        output.table(output.FORWARD_COLUMNS, output.forward_rows(seen.forwards))
        output.plain(f"\n{seen.next}")
