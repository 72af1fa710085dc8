"""devenv rollback: a workload as it was in a former revision."""

from typing import TYPE_CHECKING, Annotated

import typer

from devenv.cli.options import AsOutput, Output

if TYPE_CHECKING:
    from devenv.reconcile.environment import Environment

COLUMNS = ("REVISION", "MADE", "IMAGES", "CAUSE")


def rollback(
    env: "Environment",
    part: Annotated[str, typer.Argument(metavar="PART", help="A workload, as status names it, or api for short.")],
    revision: Annotated[int | None, typer.Argument(min=1, help="Its number; without one, the last before.")] = None,
    listed: Annotated[bool, typer.Option("--list", help="List the revisions that are kept, and end.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change, without changing it.")] = False,
    form: AsOutput = Output.text,
) -> None:
    """Bring a workload back to a former revision, and wait until all is ready; bring it forward if that fails."""
    from devenv.cli import output
    from devenv.commands import rollback
    from devenv.kube import revisions

    there = rollback.history(env, part)
    if listed:
        if form is Output.json:
            output.as_json(rollback.as_json(there))
        else:
            kept = ((str(r.number), r.made, ", ".join(r.images), r.cause or "-") for r in there.revisions)
            output.table(COLUMNS, kept)
        return
    to = revisions.chosen(there.workload, there.revisions, revision)
    difference = rollback.difference(there, to)
    if form is Output.json:
        output.as_json({"object": str(there.workload.id), "revision": to.number, "diff": difference})
    else:
        output.text(difference)
    if dry_run:
        return
    with output.performing() as on_event:
        rollback.rollback(env, there, to, on_event, output.log)
    output.log(f"{there.workload.id} runs revision {to.number} again; `devenv up` brings it to what the files say")
