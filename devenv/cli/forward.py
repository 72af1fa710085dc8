"""devenv forward: the managed port-forwards."""

from contextlib import suppress
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from devenv import errors
from devenv.cli.options import AsOutput, Output, ending, group, look, verb
from devenv.forwarder.spec import OPEN

if TYPE_CHECKING:
    from devenv.forwarder.spec import ForwardStatus
    from devenv.reconcile.environment import Environment

app = group("The managed port-forwards.")


class Via(StrEnum):
    auto = "auto"
    node = "node"
    api = "api"


@app.command("start", epilog="Example: devenv forward start --via api")
@verb
def start(
    env: "Environment",
    via: Annotated[
        Via, typer.Option(help="Route: the node's address or the API server; auto takes the first that works.")
    ] = Via.auto,
) -> None:
    """Start the forwards again; they outlive this command and end with `devenv down`."""
    from devenv.cli import output
    from devenv.commands import forward

    forward.start(env, via.value, output.log)


@app.command("status", epilog="Example: devenv forward status --watch")
@look
def status(
    env: "Environment",
    form: AsOutput = Output.text,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Keep watching, and print each change.")] = False,
) -> None:
    """Show each forward's state, as its process sees it now. Exits 1 unless all are OPEN."""
    from devenv.cli import output
    from devenv.commands import forward

    if watch:
        with suppress(KeyboardInterrupt):  # a person has seen enough
            for seen in forward.changes(env):
                show_forwards(seen, form)
        return
    seen = forward.status(env, output.log)
    show_forwards(seen, form)
    if not seen or any(f.state != OPEN for f in seen):
        raise typer.Exit(errors.FAILED)


def show_forwards(seen: "list[ForwardStatus]", form: Output) -> None:
    from devenv.cli import output

    if form is Output.json:
        output.as_json([f.to_json() for f in seen])
    else:
        output.table(output.TRAFFIC_COLUMNS, output.traffic_rows(seen))


@app.command("stop", epilog="Example: devenv forward stop")
@ending
def stop(env: "Environment") -> None:
    """Stop the forwards; `devenv up` starts them again."""
    from devenv.cli import output
    from devenv.commands import forward

    stopped = forward.stop(env)
    output.log("forwards stopped" if stopped else "no forwards were running")
