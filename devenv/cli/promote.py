"""devenv promote: bring an environment to new images."""

import os
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from devenv.cli.options import PYPROJECT, AsOutput, Context, File, Output, YesRemote, confirm, duration, settings
from devenv.cli.timings import Timings, Trace, shown
from devenv.errors import UsageError

if TYPE_CHECKING:
    from devenv.project.settings import Settings


def promote(
    environment: Annotated[str, typer.Argument(help="One of [tool.devenv.environments].")],
    image: Annotated[
        list[str], typer.Option("--image", metavar="REF@DIGEST", help="Image by digest; repeat for each image.")
    ],
    file: File = PYPROJECT,
    context: Context = None,
    yes_remote: YesRemote = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change, without changing it.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask, even on a terminal.")] = False,
    prune: Annotated[
        bool, typer.Option("--prune", help="Remove what an earlier release applied and this one drops.")
    ] = False,
    take_over: Annotated[
        bool, typer.Option("--take-over", help="Change what somebody else has made, such as kubectl apply.")
    ] = False,
    timeout: Annotated[
        float, typer.Option(parser=duration, metavar="DURATION", help="Limit for each Job and each rollout.")
    ] = 300.0,
    form: AsOutput = Output.text,
    timings: Timings = False,
    trace: Trace = None,
) -> None:
    """Show what changes, migrate, roll out, check; revert if that fails."""
    from devenv.cli import output
    from devenv.commands import promote
    from devenv.reconcile import changes, runs
    from devenv.reconcile import environment as environments

    settings = aimed(file, environment, context, yes_remote)
    with ExitStack() as held:
        env = held.enter_context(environments.opened(settings, environment, looks=dry_run))
        held.enter_context(shown(env, timings, trace))
        verb = f"promote {environment}"
        held.enter_context(runs.kept(env.run, env.folder, verb, output.log))
        held.enter_context(runs.locked(env.run, env.folder, verb, output.log))
        # No forward goes on with it, and it has the credentials of a cluster such as production's.
        held.callback(env.folder.kubeconfig.unlink, missing_ok=True)
        if not dry_run:
            with env.run.phase("lease"):
                held.enter_context(promote.alone(env, environment, output.log))
        env.run.namespaces = (env.project.namespace,)
        with env.run.phase("review"):
            found = promote.look(env, environment, image, prune, take_over)
        for reference in found.ignored:
            output.log(f"ignored, not run by {environment}: {reference}")
        for path in found.replaced:
            output.log(f"stays replaced, not the image's: {path}; the release does not take it out")
        if form is Output.json:
            output.as_json(changes.as_json(found.changes))
        else:
            output.text(changes.summary(found.changes))
        if dry_run:
            return
        with env.run.phase("confirmation"):
            confirm(f"Promote {environment} on {env.project.context}?", yes, "nothing was changed")
        with output.performing() as on_event:
            promote.carry_out(env, found, timeout, on_event)
    output.log(f"{environment} is promoted" if found.does else f"{environment}: already running these images")


def aimed(file: Path, name: str, context: str | None, yes_remote: str | None) -> "Settings":
    """Return the settings that lead to the environment's cluster, once its guard has let it pass."""
    from devenv.project import settings as config

    plain = config.load(file, os.environ, {})
    wanted = plain.environment(name)
    chosen = context or wanted.context or plain.project.context
    if chosen is None:
        raise UsageError(f"no cluster given for {name}: pass --context NAME or set context in its table")
    return settings(file, wanted.namespace, chosen, None, yes_remote, promoted=name)
