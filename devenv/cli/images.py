"""devenv images: the images of the stack and of the node."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from devenv.cli.options import AsOutput, Output, group, look, verb

if TYPE_CHECKING:
    from devenv.reconcile.environment import Environment

app = group("The images of the stack and of the node.")


@app.command("list", epilog="Example: devenv images list -o json")
@look
def list_(env: "Environment", form: AsOutput = Output.text) -> None:
    """List the images: their names by content, where each is, and where it would come from."""
    from devenv.cli import output
    from devenv.commands import images

    rows = images.list_(env, output.log)
    if form is Output.json:
        output.as_json(rows)
    else:
        output.table(("NAME", "REF", "HOST", "NODE", "SOURCE"), (map(output.cell, row.values()) for row in rows))


@app.command("build", epilog="Example: devenv images build postgres")
@verb
def build(
    env: "Environment",
    names: Annotated[list[str] | None, typer.Argument()] = None,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Rebuild existing images and their bases too.")] = False,
) -> None:
    """Pull or build the images that are not on this host; all that the stack needs, or those named."""
    from devenv.cli import output
    from devenv.commands import images

    with output.performing() as on_event:
        images.build(env, names or [], no_cache, on_event, output.log)


@app.command("load", epilog="Example: devenv images load api")
@verb
def load(env: "Environment", names: Annotated[list[str] | None, typer.Argument()] = None) -> None:
    """Load images into the running cluster's node: those that it lacks, or those named."""
    from devenv.cli import output
    from devenv.commands import images

    with output.performing() as on_event:
        images.load(env, names or [], on_event, output.log)


@app.command("preload", epilog="Example: devenv images preload")
@verb
def preload(env: "Environment") -> None:
    """Keep the stack's images for the next cluster's node, unpacked; `up` does so in the background."""
    from devenv.cli import output
    from devenv.commands import preload

    made = preload.make(env, output.log)
    output.log(f"{made.volume}: {output.size(made.bytes)}" if made else "already up to date")


@app.command("prune", epilog="Example: devenv images prune")
@verb
def prune(env: "Environment") -> None:
    """Remove the images that are kept for the next cluster's node."""
    from devenv.cli import output
    from devenv.commands import preload

    gone = preload.forget(env, output.log)
    output.log(f"removed: {', '.join(gone)}" if gone else "nothing to remove")


@app.command("push", epilog="Example: devenv images push --registry ghcr.io/owner/project --tag stable-20260101")
@verb
def push(
    env: "Environment",
    names: Annotated[list[str] | None, typer.Argument()] = None,
    tag: Annotated[str, typer.Option(help="Release tag, never moved; default: the content tag.")] = "",
    sbom: Annotated[Path, typer.Option(help="Folder for the software bills of materials.")] = Path("sbom"),
    source: Annotated[str, typer.Option(help="URL of the source; default: the remote `origin`.")] = "",
    form: AsOutput = Output.text,
) -> None:
    """Push the images that the manifests use, or those named, and print each by digest. Builds are reproducible."""
    from devenv.cli import output
    from devenv.commands import push as pushing

    with output.performing() as on_event:
        done = pushing.push(env, names or [], pushing.target(env, tag, source), sbom, on_event, output.log)
    if form is Output.json:
        output.as_json([asdict(image) for image in done])
    else:
        for image in done:
            output.plain(image.ref)
