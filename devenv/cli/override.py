"""devenv override: files of an application replaced for a while."""

from dataclasses import asdict
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from devenv.cli.options import AsOutput, Output, group, look, verb

if TYPE_CHECKING:
    from devenv.reconcile.environment import Environment

app = group("Files of an application replaced for a while, without an image.")
COLUMNS = ("PATH", "WHO", "WHEN", "WHY", "UNTIL")


def day(text: str) -> str:
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError as error:
        raise typer.BadParameter(f"{text}: a day is written as 2026-12-31") from error


@app.command("set", epilog='Example: devenv override set app/context.py --why "until the next release"')
@verb
def set_(
    env: "Environment",
    files: Annotated[list[str], typer.Argument(metavar="FILE[=PATH]...", help="A file, and the one it replaces.")],
    why: Annotated[str, typer.Option("--why", metavar="TEXT", help="What it is for; kept with it.")],
    until: Annotated[
        str | None, typer.Option("--until", metavar="DAY", parser=day, help="When it is to be gone.")
    ] = None,
) -> None:
    """Put files in the place of the application's own, roll it out, and take them back if it does not come up."""
    from devenv.cli import output
    from devenv.commands import override
    from devenv.kube import overrides

    there = override.place(env)
    texts = override.read(override.chosen(env, there.table, files))
    with output.performing() as on_event:
        override.change(env, there, texts, override.note(why, until or ""), on_event, output.log)
    output.log(f"in force: {', '.join(map(overrides.path_of, texts))}; devenv override clear takes it out")


@app.command("list", epilog="Example: devenv override list -o json")
@look
def list_(env: "Environment", form: AsOutput = Output.text) -> None:
    """List the files that are replaced, by whom, why and until when."""
    from devenv.cli import output
    from devenv.commands import override
    from devenv.kube import overrides

    found, today = override.place(env).in_force, datetime.now(UTC).date()
    if form is Output.json:
        over = overrides.is_over
        output.as_json([{"path": o.path, **asdict(o.note), "over": over(o.note, today)} for o in found])
    elif found:
        output.table(COLUMNS, ((o.path, *(text or "-" for text in vars(o.note).values())) for o in found))
    else:
        output.log("no file is replaced")


@app.command("diff", epilog="Example: devenv override diff")
@look
def diff(env: "Environment") -> None:
    """Print what is in force against the files here."""
    from devenv.cli import output
    from devenv.commands import override

    output.text(override.differences(env, override.place(env)))


@app.command("clear", epilog="Example: devenv override clear")
@verb
def clear(
    env: "Environment",
    paths: Annotated[list[str] | None, typer.Argument(metavar="[PATH]...", help="Files; all without one.")] = None,
) -> None:
    """Take files out again, and roll the application out."""
    from devenv.cli import output
    from devenv.commands import override
    from devenv.kube import overrides

    there = override.place(env)
    if not (texts := override.to_clear(there, paths or [])):
        output.log("no file is replaced")
        return
    with output.performing() as on_event:
        override.change(env, there, texts, override.note("", ""), on_event, output.log)
    output.log(f"no longer replaced: {', '.join(map(overrides.path_of, texts))}")
