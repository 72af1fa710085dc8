"""devenv images: the images of the stack and of the node."""

from dataclasses import asdict
from pathlib import Path
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
def build(
    here: Settings,
    names: Annotated[list[str] | None, typer.Argument()] = None,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Also those that are there, with all below.")] = False,
) -> None:
    """Pull or build the images that are not on this host; all that the stack needs, or those named."""
    from devenv import image_verbs, report

    with report.performing() as tell:
        image_verbs.build(here, names or [], no_cache, tell, report.say)


@app.command("load", epilog="Example: devenv images load api")
@verb
def load(here: Settings, names: Annotated[list[str] | None, typer.Argument()] = None) -> None:
    """Load images into the running cluster's node: those that it lacks, or those named."""
    from devenv import image_verbs, report

    with report.performing() as tell:
        image_verbs.load(here, names or [], tell, report.say)


@app.command("push", epilog="Example: devenv images push --registry ghcr.io/owner/project --tag stable-20260101")
@verb
def push(
    here: Settings,
    names: Annotated[list[str] | None, typer.Argument()] = None,
    tag: Annotated[str, typer.Option(help="A release's name, never moved; else the tag of the content.")] = "",
    sbom: Annotated[Path, typer.Option(help="The folder for the lists of what is in the images.")] = Path("sbom"),
    source: Annotated[str, typer.Option(help="Where the source is; else the remote `origin`.")] = "",
    output: AsOutput = Output.text,
) -> None:
    """Push the images that the manifests use, or those named, and print each by its digest; equal in, equal out."""
    from devenv import push as pushing
    from devenv import report

    with report.performing() as tell:
        done = pushing.push(here, names or [], pushing.target(here, tag, source), sbom, tell, report.say)
    if output is Output.json:
        report.as_json([asdict(image) for image in done])
    else:
        for image in done:
            report.plain(image.ref)
