"""devenv logs and devenv events: what containers say and what happens to objects, in order of time."""

import re
import sys
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from devenv.cli.options import AsOutput, Follow, Output, duration
from devenv.errors import UsageError

if TYPE_CHECKING:
    from devenv.kube.events import Told
    from devenv.kube.logs import Line
    from devenv.reconcile.environment import Environment

Parts = Annotated[
    list[str] | None, typer.Argument(metavar="PART...", help="Workloads, as status names them, or api for short.")
]


def logs(
    env: "Environment",
    parts: Parts = None,
    follow: Follow = False,
    since: Annotated[
        float | None, typer.Option(parser=duration, metavar="DURATION", help="Only what is younger: 60s, 5m.")
    ] = None,
    tail: Annotated[int | None, typer.Option(min=0, metavar="N", help="The last N lines of each container.")] = None,
    grep: Annotated[str, typer.Option(metavar="REGEX", help="Only lines that match.")] = "",
    form: AsOutput = Output.text,
) -> None:
    """Print what the containers say, in order of time; init containers and former runs too."""
    from devenv.cli import lines, output
    from devenv.commands import logs

    wanted = pattern(grep)
    reader = logs.reader(env, parts or [], logs.Limits(tail, since), output.log)
    rendering = lines.Rendering(lines.colours(reader.members.parts) if output.wants_colour() else {})

    def show(line: "Line") -> None:
        said = lines.said(line)
        if wanted is None or wanted.search(said):
            sys.stdout.write(lines.as_json(line, said) if form is Output.json else rendering.text(line, said))

    for line in reader.history():
        show(line)
    sys.stdout.flush()
    if follow:
        with suppress(KeyboardInterrupt):  # a person has seen enough
            for line in reader.following():
                show(line)
                sys.stdout.flush()


def pattern(grep: str) -> "re.Pattern[str] | None":
    try:
        return re.compile(grep) if grep else None
    except re.error as error:
        raise UsageError(f"--grep {grep}: {error}") from error


COLUMNS = ("TIME", "TYPE", "REASON", "OBJECT", "MESSAGE")


def events(env: "Environment", follow: Follow = False, form: AsOutput = Output.text) -> None:
    """Print what the API tells of the environment's objects, in order of time; it keeps that for an hour."""
    from devenv.cli import output
    from devenv.commands import events
    from devenv.kube.events import row

    seen = events.look(env)
    known = seen.history()
    rows = output.Rows(COLUMNS, [row(event) for event in known])

    def show(event: "Told") -> None:
        if form is Output.json:
            output.json_line(asdict(event))
        else:
            rows.show(row(event))

    if form is Output.text:
        rows.show(COLUMNS)
    for event in known:
        show(event)
    sys.stdout.flush()
    if follow:
        with suppress(KeyboardInterrupt):  # a person has seen enough
            for event in seen.following():
                show(event)
                sys.stdout.flush()
