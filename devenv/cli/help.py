"""How `--help` lists verbs: in groups, each with the whole first sentence of what it says of itself."""

from enum import StrEnum
from typing import Any

from typer.core import TyperGroup


class Panel(StrEnum):
    """The groups of verbs, in the order of `devenv --help`."""

    daily = "Every day"
    look = "Look inside"
    release = "Release"
    parts = "Parts of the environment"
    machine = "This machine"
    rest = "Commands"


class Verbs(TyperGroup):
    """A group of verbs. Typer's own list by panels needs rich, which takes longer to load than all the rest."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002
        rows: dict[str, list[tuple[str, str]]] = {panel: [] for panel in Panel}
        for name, command in self.commands.items():
            if not command.hidden:
                panel = getattr(command, "rich_help_panel", None)
                rows[panel if isinstance(panel, Panel) else Panel.rest].append(
                    (name, first_sentence(command.help or ""))
                )
        width = max(len(name) for found in rows.values() for name, _ in found)
        for panel, found in rows.items():
            if found:
                with formatter.section(panel):
                    formatter.write_dl([(name.ljust(width), said) for name, said in found])


def first_sentence(text: str) -> str:
    """Return the first sentence of a help text, in one line."""
    paragraph = " ".join(text.strip().partition("\n\n")[0].split())
    sentence, more, _ = paragraph.partition(". ")
    return f"{sentence}." if more else sentence
