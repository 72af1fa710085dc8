"""devenv forward: the managed port-forwards."""

from contextlib import suppress
from enum import StrEnum
from typing import Annotated, Any

import typer

from devenv import errors
from devenv.cli_options import AsOutput, Output, group, verb
from devenv.config import Settings

app = group("The managed port-forwards.")


class Via(StrEnum):
    auto = "auto"
    node = "node"
    api = "api"


@app.command("start", epilog="Example: devenv forward start --via api")
@verb
def start(
    here: Settings,
    via: Annotated[
        Via, typer.Option(help="The node's address, or the API server; auto takes the first that works.")
    ] = Via.auto,
) -> None:
    """Start the forwards anew; they outlive this command and end with `devenv down`."""
    from devenv import report, verbs

    verbs.forward_start(here, via.value, report.say)


@app.command("status", epilog="Example: devenv forward status --watch")
@verb
def status(
    here: Settings,
    output: AsOutput = Output.text,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Go on, and show each change.")] = False,
) -> None:
    """Show each forward's state, as its process sees it now. Exits 1 unless all are OPEN."""
    from devenv import verbs

    if watch:
        with suppress(KeyboardInterrupt):  # a person has seen enough
            for seen in verbs.forward_changes(here):
                show_forwards(seen, output)
        return
    seen = verbs.forward_status(here)
    show_forwards(seen, output)
    if not seen or any(f["state"] != "OPEN" for f in seen):
        raise typer.Exit(errors.FAILED)


def show_forwards(seen: list[dict[str, Any]], output: Output) -> None:
    from devenv import report, rows

    if output is Output.json:
        report.as_json(seen)
    else:
        report.table(rows.TRAFFIC_COLUMNS, rows.traffic_rows(seen))


@app.command("stop", epilog="Example: devenv forward stop")
@verb
def stop(here: Settings) -> None:
    """Stop the forwards; `devenv up` starts them again."""
    from devenv import report, verbs

    stopped = verbs.forward_stop(here)
    report.say("forwards stopped" if stopped else "no forwards were running")
