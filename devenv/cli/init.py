"""devenv init: what a project without a table needs for `devenv up`."""

from pathlib import Path
from typing import Annotated

import typer

from devenv.cli.options import AsOutput, Output


def init(
    show: Annotated[bool, typer.Option("--print", help="Print what would be written, and write nothing.")] = False,
    form: AsOutput = Output.text,
) -> None:
    """Write the table of a project that has none, and manifests if it has a compose file or Dockerfiles only.

    It looks at Dockerfiles, charts, kustomizations, manifests and the compose file of this folder. Nothing is asked and
    nothing overwritten; what a cluster has no place for is told.
    """
    from devenv.cli import output
    from devenv.commands.init import propose, write

    proposal = propose(Path.cwd())
    if form is Output.json:
        files = [{"path": file.path, "change": file.change, "text": file.shown} for file in proposal.files]
        output.as_json({"files": files, "notes": proposal.notes})
    elif show:
        output.text("\n".join(f"==> {file.path} ({file.change})\n{file.shown}" for file in proposal.files).rstrip())
    for note in proposal.notes:
        output.log(note)
    if show:
        return
    write(proposal)
    for file in proposal.files:
        output.log(f"{file.path}: {'written' if file.change == 'new' else 'the table or settings were added'}")
    output.log("hint: look through them, then devenv up")
