"""devenv explain: the chain from a part to its cause, for a person or a program."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from textwrap import wrap
from typing import TYPE_CHECKING, Annotated

import typer

from devenv.cli.options import AsOutput, Output
from devenv.errors import FAILED

if TYPE_CHECKING:
    from devenv.commands.explain import Explanation
    from devenv.reconcile.environment import Environment

WIDE = 80  # columns

Part = Annotated[
    list[str] | None, typer.Argument(metavar="PART...", help="Workloads, claims or Services; all if none is named.")
]


def explain(env: "Environment", parts: Part = None, form: AsOutput = Output.text) -> None:
    """Say why a part is not ready, and what to do next; of all parts, the cause of the others first.

    Exits 1 where something is wrong.
    """
    from devenv.cli import output
    from devenv.commands.explain import explain
    from devenv.system.masking import masked

    found = explain(env, parts or [])
    if form is Output.json:
        output.as_json([asdict(one) for one in found])
    elif found:
        output.text("\n\n".join("\n".join(lines(one, masked)) for one in found))
    else:
        output.text("nothing is wrong")
    if any(one.cause for one in found):
        raise typer.Exit(FAILED)


def lines(one: "Explanation", masked: Callable[[str], str]) -> Iterator[str]:
    """Yield an explanation as an indented tree of at most 80 columns, and at its end the cause and the next command."""
    if not one.cause:
        yield f"{one.part}: nothing is wrong"
        return
    for link, after in zip(one.chain, [*one.chain[1:], None], strict=True):
        last = after is None or after.depth != link.depth
        mark = f"{'  ' * (link.depth - 1)}{'└' if last else '├'} " if link.depth else ""
        name = f"{link.kind} {link.name}" if link.kind == "event" else link.name
        yield cut(f"{mark}{name}: {' '.join(masked(link.text).split())}")
    yield from wrapped(f"cause: {' '.join(masked(one.cause).split())}")
    yield f"next: {masked(one.next)}"


def cut(line: str) -> str:
    return line if len(line) <= WIDE else f"{line[: WIDE - 1]}…"


def wrapped(text: str) -> Sequence[str]:
    """Return a text in lines; a word that is longer than one, such as a path, stays whole."""
    return wrap(text, WIDE, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
