"""devenv timings: what the time of a run went to; and the options by which a verb tells it of its own run."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from devenv.cli.options import AsOutput, Output
from devenv.errors import DevenvError, UsageError

if TYPE_CHECKING:
    from devenv.reconcile.environment import Environment
    from devenv.reconcile.timeline import Timeline


def writable(file: Path | None) -> Path | None:
    """Return the file, once it was seen that it can be written: a run takes long, and its trace is not to be lost."""
    if file is None:
        return None
    new = not file.exists()
    try:
        with file.open("a"):
            pass
    except OSError as error:
        raise typer.BadParameter(f"cannot write {file}: {error.strerror}") from error
    if new:
        file.unlink()
    return file


Timings = Annotated[bool, typer.Option("--timings", help="At the end, print which steps the time went to.")]
Trace = Annotated[
    Path | None,
    typer.Option("--trace", metavar="FILE", callback=writable, help="Write a Chrome trace of steps and pods (JSON)."),
]


@contextmanager
def shown(env: "Environment", timings: bool, trace: Path | None) -> Iterator[None]:
    """Tell of the run in the block what was asked for, also where it failed."""
    from devenv.cli import output

    try:
        yield
    finally:
        run = env.run.timeline()
        if timings and run.verb:
            output.timings(run)
        if trace and run.verb:
            try:
                write(env, run, trace)
            except DevenvError as error:
                if run.outcome == "done":
                    raise
                output.log(str(error))  # why the run failed is what is raised


def write(env: "Environment", run: "Timeline", file: Path) -> None:
    from devenv.cli import output
    from devenv.commands import timings

    text = json.dumps(timings.trace(env, run, output.log))
    try:
        file.write_text(text)
    except OSError as error:
        raise DevenvError(f"cannot write the trace: {error}") from error
    output.log(f"trace: {file}, for https://ui.perfetto.dev or chrome://tracing")


def timings(
    env: "Environment",
    back: Annotated[int, typer.Argument(min=0, help="How many runs back; 0 is the last one.")] = 0,
    form: AsOutput = Output.text,
    trace: Trace = None,
) -> None:
    """Print which steps the time of a former up, down, test or promote went to. Runs nothing."""
    from devenv.cli import output
    from devenv.reconcile import runs, timeline

    there = runs.kept_runs(env.folder)
    if not there:
        raise DevenvError(f"no run of {env.project.name} is kept\nhint: devenv up")
    if back >= len(there):
        raise UsageError(f"{len(there)} runs of {env.project.name} are kept: 0 is the last, {len(there) - 1} the first")
    run = there[back]
    if form is Output.json:
        output.as_json(timeline.as_json(run))
    else:
        output.timings(run, output.plain)
    if trace:
        write(env, run, trace)
