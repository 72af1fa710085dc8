"""devenv images: the images of the stack and of the node."""

from typing import Annotated

import typer

from devenv.cli_options import AsOutput, Output, group, verb
from devenv.config import Settings

app = group("The images of the stack and of the node.")


@app.command("list", epilog="Example: devenv images list -o json")
@verb
def list_(here: Settings, output: AsOutput = Output.text) -> None:
    """List the images: their names by content, where each is, and where it would come from."""
    from devenv import image_verbs, report

    rows = image_verbs.list_(here)
    if output is Output.json:
        report.as_json(rows)
    else:
        report.table(("NAME", "REF", "HOST", "NODE", "SOURCE"), (map(str, row.values()) for row in rows))


@app.command("build", epilog="Example: devenv images build postgres")
@verb
def build(here: Settings, names: Annotated[list[str] | None, typer.Argument()] = None) -> None:
    """Pull or build the images that are not on this host; all that the stack needs, or those named."""
    from devenv import image_verbs, report

    with report.performing() as tell:
        image_verbs.build(here, names or [], tell, report.say)


@app.command("load", epilog="Example: devenv images load api")
@verb
def load(here: Settings, names: Annotated[list[str] | None, typer.Argument()] = None) -> None:
    """Load images into the running cluster's node: those that it lacks, or those named."""
    from devenv import image_verbs, report

    with report.performing() as tell:
        image_verbs.load(here, names or [], tell, report.say)
