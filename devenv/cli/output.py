"""The only printer. Data goes to standard output, progress to standard error."""

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from datetime import datetime
from functools import cache
from threading import Lock
from time import time
from typing import TYPE_CHECKING, Any

from devenv.cluster.state import Cluster
from devenv.system.masking import masked, without_passwords

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

    from devenv.commands.status import Status
    from devenv.forwarder.spec import ForwardStatus
    from devenv.reconcile.actions import Step
    from devenv.reconcile.execute import Event
    from devenv.reconcile.timeline import Timeline


@cache
def console() -> "Console":
    """Return where progress and errors go. Data needs none of it: its library is loaded with the first line."""
    from rich.console import Console

    return Console(stderr=True, emoji=False, highlight=False, soft_wrap=True)


MARKS = {"done": ("✓", "green"), "failed": ("✗", "red")}


def log(told: str) -> None:
    if console.cache_info().currsize:
        say(told)
    else:  # nothing moves on the terminal yet, and a line alone needs no library
        print(masked(told), file=sys.stderr, flush=True)


def error(told: str) -> None:
    say(("error:", "red"), " ", told.removesuffix("\n"))


def say(*parts: str | tuple[str, str]) -> None:
    """Print words, each with its style where it has one, as they are written: no markup, no emoji."""
    from rich.text import Text

    hidden = [masked(part) if isinstance(part, str) else (masked(part[0]), part[1]) for part in parts]
    console().print(Text.assemble(*hidden))


def plain(data: str) -> None:
    """Print data as it is, for a shell or a file to read."""
    sys.stdout.write(data if data.endswith("\n") else f"{data}\n")


def wants_colour() -> bool:
    """Whether data may be coloured: a person looks at it, and has not said otherwise."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def text(told: str) -> None:
    """Print what a person reads: data, but no password."""
    plain(masked(told))


def as_json(value: Any, exact: bool = False) -> None:
    """Print a value without passwords; `exact` where they are what was asked for."""
    plain(json.dumps(value if exact else without_passwords(value), indent=2, default=str))


def json_line(value: Any) -> None:
    """Print a value without passwords as one line of several."""
    plain(json.dumps(without_passwords(value)))


def table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    """Print rows under their names, aligned and whole: a terminal wraps what is too wide, a pipe gets whole lines."""
    for line in aligned(columns, rows):
        plain(line)


class Rows:
    """Prints rows one by one, aligned to those that are known at the beginning."""

    def __init__(self, columns: Iterable[str], known: Iterable[Iterable[str]]) -> None:
        self._widths = [max(map(len, column)) for column in zip(columns, *known, strict=True)]

    def show(self, row: Iterable[str]) -> None:
        cells = (masked(cell).ljust(width) for cell, width in zip(row, self._widths, strict=True))
        plain("  ".join(cells).rstrip())


def aligned(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    cells = [tuple(columns), *([masked(cell) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def cell(value: Any) -> str:
    return "-" if value is None else str(value)


def steps(plan: "Iterable[Step]") -> None:
    for step in plan:
        text(f"{step.name}: {step.cause}")


def status(seen: "Status", json_wanted: bool) -> None:
    if json_wanted:
        as_json(asdict(seen))
        return
    for line in status_lines(seen):
        text(line)


def status_lines(seen: "Status") -> "Iterator[str]":
    if seen.cluster != Cluster.RUNNING.name:
        yield from (f"cluster {seen.name} {Cluster[seen.cluster].value}", "")
    yield from aligned(("WORKLOAD", "STATE", "REASON"), ((w["name"], w["state"], w["why"]) for w in seen.workloads))
    yield ""
    yield from aligned(FORWARD_COLUMNS, forward_rows(seen.forwards))
    for told in seen.replaced:
        yield from ("", f"replaced, not the image's: {told}")
    yield from ("", seen.next)


STATE_COLOURS = {
    "green": r"\b(READY|OPEN)\b",
    "yellow": r"\b(PENDING|CONNECTING|HOLDING)\b",
    "red": r"\b(ABSENT|FAILED|LOST)\b",
}


@contextmanager
def full_screen() -> "Iterator[Callable[[Iterable[str]], None]]":
    """Take the whole terminal, and yield what fills it with lines; it comes back as it was."""
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    console = Console(emoji=False, highlight=False, no_color=not wants_colour())
    with Live(console=console, screen=True, auto_refresh=False) as live:

        def fill(lines: Iterable[str]) -> None:
            drawn = Text(masked("\n".join(lines)), no_wrap=True, overflow="ellipsis")
            for colour, words in STATE_COLOURS.items():
                drawn.highlight_regex(words, colour)
            live.update(drawn, refresh=True)

        yield fill


def timings(run: "Timeline", write: Callable[[str], None] = log) -> None:
    """Print the critical path of a run: what it waited for, from its start to its end."""
    from devenv.reconcile import timeline

    began = datetime.fromtimestamp(run.began).astimezone()
    write(f"{run.verb}, {began:%Y-%m-%d %H:%M:%S}: {run.seconds:.2f} s, {run.outcome}\n")
    rows = [
        [f"{x.span.start:.2f}", f"{x.gap:.2f}", f"{x.span.end - x.span.start:.2f}", x.span.name, x.span.state]
        for x in timeline.critical_path(run.spans)
    ]
    ended = [f"{run.seconds:.2f}", f"{timeline.rest(run):.2f}", "0.00", "end", run.outcome]
    for line in aligned(("BEGAN", "GAP", "TOOK", "STEP", "STATE"), [*rows, ended]):
        write(line)


class Steps:
    """Prints the steps of a plan as they start and end: moving lines on a terminal, plain lines elsewhere."""

    def __init__(self, shown: ExitStack) -> None:
        self._shown, self._starting = shown, Lock()
        self._progress: Progress | None = None
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, event: "Event") -> None:
        if event.state == "started":
            self._start(event.step)
            return
        if self._progress and event.step.name in self._tasks:
            self._progress.remove_task(self._tasks.pop(event.step.name))
        note = f"  {event.note}" if event.note else ""
        say(MARKS[event.state], f" {event.step.name} ", (f"{event.seconds:.1f} s", "dim"), note)

    def _start(self, step: "Step") -> None:
        with self._starting:  # steps start at the same time
            if console().is_terminal and self._progress is None:
                self._progress = self._shown.enter_context(moving())
        if self._progress:
            bound = f"{step.within_s:.0f} s"
            task = self._progress.add_task(masked(step.name), total=None, cause=masked(step.cause), bound=bound)
            self._tasks[step.name] = task
        else:
            say(f"· {step.name}: {step.cause}")


def moving() -> "Progress":
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=12),
        TimeElapsedColumn(),
        TextColumn("of at most {task.fields[bound]}  {task.fields[cause]}", style="dim", markup=False),
    )
    return Progress(*columns, console=console(), transient=True)


@contextmanager
def performing() -> Iterator[Steps]:
    """Show steps while they run; where there are none, nothing is loaded for it."""
    with ExitStack() as shown:
        yield Steps(shown)


FORWARD_COLUMNS = ("FORWARD", "ADDRESS", "STATE", "TARGET", "REASON")


def forward_rows(seen: "Iterable[ForwardStatus]") -> list[list[str]]:
    return [[f.name, f"127.0.0.1:{f.local_port}", f.state, f"service {f.service} ({f.probe})", f.reason] for f in seen]


TRAFFIC_COLUMNS = (
    "FORWARD",
    "ADDRESS",
    "STATE",
    "AGE",
    "ROUTE",
    "PODS",
    "OPEN",
    "SERVED",
    "SENT",
    "RECEIVED",
    "REASON",
)


def traffic_rows(seen: "Iterable[ForwardStatus]") -> list[list[str]]:
    """Return a line for each forward with its traffic; without its process only the settings are known."""
    from rich import filesize

    return [
        [
            f.name,
            f"127.0.0.1:{f.local_port}",
            f.state,
            age(f.since),
            f.route or "-",
            ",".join(pod.name for pod in f.pods if pod.ready) or "-",
            *("-" if count is None else str(count) for count in (f.connections, f.served)),
            *("-" if count is None else filesize.decimal(count) for count in (f.sent, f.received)),
            f.reason or (f"last error: {f.last_error}" if f.last_error else ""),
        ]
        for f in seen
    ]


def size(count: int) -> str:
    from rich import filesize

    return filesize.decimal(count)


def age(since: float | None) -> str:
    return "-" if since is None else f"{max(0, time() - since):.0f}s"


def span(seconds: float) -> str:
    """Return how long something was, in the greatest unit of which there is one."""
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= length:
            return f"{seconds // length:.0f}{unit}"
    return f"{max(0.0, seconds):.0f}s"


def certificate_rows(seen: dict[str, Any]) -> list[list[str]]:
    """Return the facts of a certificate, one a row."""
    rows = [
        ["host", seen["host"]],
        ["secret", f"{seen['secret']}@{seen['namespace']}"],
        ["issuer", seen["issuer"] or "-"],
    ]
    if facts := seen["certificate"]:
        rows += [
            ["names", ", ".join(facts["hosts"])],
            ["signer", facts["signer"]],
            ["valid", f"{facts['not_before'][:10]} to {facts['not_after'][:10]}, {facts['days_left']} days left"],
            ["sha256", facts["sha256"]],
        ]
    served = f"by {seen['address']}" if seen["served"] else f"no: {seen['why']}"
    return [*rows, ["served", served]]
