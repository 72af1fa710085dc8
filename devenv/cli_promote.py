"""devenv promote: an environment on its way to new images."""

import os
from pathlib import Path
from typing import Annotated

import typer

from devenv import config
from devenv.cli_options import PYPROJECT, AsOutput, Context, File, Output, YesRemote, confirm, duration, settings
from devenv.config import Settings
from devenv.errors import UsageError


def promote(
    environment: Annotated[str, typer.Argument(help="One of [tool.devenv.environments].")],
    image: Annotated[
        list[str], typer.Option("--image", metavar="REF@DIGEST", help="An image by digest; once for each image.")
    ],
    file: File = PYPROJECT,
    context: Context = None,
    yes_remote: YesRemote = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change, and change nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask, even on a terminal.")] = False,
    timeout: Annotated[
        float, typer.Option(parser=duration, metavar="DURATION", help="How long each Job and rollout may take.")
    ] = 300.0,
    output: AsOutput = Output.text,
) -> None:
    """Show what changes, migrate, roll out, check; go back to what ran before where that fails."""
    from devenv import promote, promotion, report, state

    here = aimed(file, environment, context, yes_remote)
    assert here.project.context
    with state.locked(promote.place(here, environment), f"promote {environment}", report.say):
        found = promote.look(here, environment, image)
        for reference in found.spared:
            report.say(f"not run by {environment}: {reference}")
        if output is Output.json:
            report.as_json(promotion.facts(found.changes))
        else:
            report.plain(promotion.told(found.changes))
        if dry_run:
            return
        confirm(f"Promote {environment} on {here.project.context}?", yes, "nothing was changed")
        with report.performing() as tell:
            promote.carry_out(found, timeout, tell)
    report.say(f"{environment} is promoted" if found.does else f"{environment} was at these images already")


def aimed(file: Path, name: str, context: str | None, yes_remote: str | None) -> Settings:
    """Return the settings that lead to the environment's cluster, once its guard has let it pass."""
    plain = config.load(file, os.environ, {})
    wanted = plain.environment(name)
    chosen = context or wanted.context or plain.project.context
    if chosen is None:
        raise UsageError(f"{name} is on which cluster? Say --context NAME, or write `context` in its table")
    return settings(file, wanted.namespace, chosen, None, yes_remote)
