"""The only printer. Data goes to standard output, talk to standard error; a terminal sees the steps move."""

import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from devenv.acts import Step
from devenv.execute import Event

talk = Console(stderr=True, highlight=False, soft_wrap=True)

MARKS = {"done": "[green]✓[/green]", "failed": "[red]✗[/red]"}


def say(text: str) -> None:
    talk.print(text, markup=False)


def error(text: str) -> None:
    head, _, rest = text.partition("\n")
    talk.print("[red]error:[/red] ", end="")
    talk.print(head, markup=False)
    if rest:
        talk.print(rest, markup=False)


def plain(text: str) -> None:
    """Print data as it is, for a shell or a file to read."""
    sys.stdout.write(text if text.endswith("\n") else f"{text}\n")


def as_json(value: Any) -> None:
    plain(json.dumps(value, indent=2, default=str))


def table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    """Print rows under their names, aligned and whole: a terminal folds what is too wide, a pipe gets all of it."""
    cells = [tuple(columns), *map(tuple, rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        plain("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def steps(plan: Iterable[Step]) -> None:
    for step in plan:
        plain(f"{step.name}: {step.cause}")


class Steps:
    """Tells of the steps of a plan as they start and end."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, event: Event) -> None:
        if event.state == "started":
            self._start(event.step)
            return
        if self._progress and event.step.name in self._tasks:
            self._progress.remove_task(self._tasks.pop(event.step.name))
        note = f"  {event.note}" if event.note else ""
        talk.print(f"{MARKS[event.state]} {event.step.name} [dim]{event.seconds:.1f} s[/dim]", end="")
        talk.print(note, markup=False)

    def _start(self, step: Step) -> None:
        if self._progress:
            bound = f"{step.within_s:.0f} s"
            task = self._progress.add_task(step.name, total=None, cause=step.cause, bound=bound)
            self._tasks[step.name] = task
        else:
            talk.print(f"· {step.name}: {step.cause}", markup=False)


@contextmanager
def performing() -> Iterator[Steps]:
    """Show steps while they run: moving lines on a terminal, plain lines elsewhere."""
    if not talk.is_terminal:
        yield Steps(None)
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=12),
        TimeElapsedColumn(),
        TextColumn("of at most {task.fields[bound]}  {task.fields[cause]}", style="dim", markup=False),
    )
    with Progress(*columns, console=talk, transient=True) as progress:
        yield Steps(progress)
