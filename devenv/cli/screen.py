"""A status that is looked at as it changes: the whole screen of a terminal, lines elsewhere."""

import sys
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from time import strftime
from typing import TYPE_CHECKING

from devenv.cli import output
from devenv.commands import watching

if TYPE_CHECKING:
    from devenv.commands.status import Status

LATEST = 8  # changes below the tables


def show(statuses: "Iterator[Status]", json_wanted: bool) -> None:
    """Show statuses as they come, until a person has seen enough."""
    with suppress(KeyboardInterrupt):
        if json_wanted:
            in_json(statuses)
        elif sys.stdout.isatty():
            on_screen(statuses)
        else:
            in_lines(statuses)


def in_json(statuses: "Iterator[Status]") -> None:
    """Print a status as one line of JSON each time that something of it has changed, counts of traffic apart."""
    before = None
    for seen in statuses:
        value = asdict(seen)
        if (now := watching.essence(value)) != before:
            before = now
            output.json_line(value)
            sys.stdout.flush()


def in_lines(statuses: "Iterator[Status]") -> None:
    """Print a line, with its time, for each part that has changed."""
    before = None
    for seen in statuses:
        for line in watching.told(before, seen):
            output.text(f"{strftime('%H:%M:%S')} {line}")
        sys.stdout.flush()
        before = seen


def on_screen(statuses: "Iterator[Status]") -> None:
    """Fill the terminal with the status and its latest changes."""
    latest: deque[str] = deque(maxlen=LATEST)
    before = None
    with output.full_screen() as fill:
        for seen in statuses:
            now = strftime("%H:%M:%S")
            latest.extend(f"{now} {line}" for line in watching.told(before or seen, seen))
            fill([f"{seen.name}, {now}; Ctrl-C ends", "", *output.status_lines(seen), "", *latest])
            before = seen
