"""The verbs of the command line: read the options, call one function, pick the exit code."""

import os
import subprocess
import sys
import threading
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from devenv import __version__, cli_forward, cli_images, cli_promote, cli_tls, errors
from devenv.cli_options import AsOutput, Output, confirm, duration, verb
from devenv.config import Settings
from devenv.errors import DevenvError

app = typer.Typer(
    help="From a bare machine to a proven, production-like stack: up, test, down.",
    no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None, add_completion=False,
)  # fmt: skip
app.add_typer(cli_forward.app, name="forward")
app.add_typer(cli_images.app, name="images")
app.add_typer(cli_tls.app, name="tls")
app.command(epilog="Example: devenv promote staging --image R/api@sha256:… --dry-run")(cli_promote.promote)


class Format(StrEnum):
    shell = "shell"
    dotenv = "dotenv"
    json = "json"


def version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"devenv {__version__}")
        raise typer.Exit


@app.callback()
def common(
    show: Annotated[
        bool, typer.Option("--version", callback=version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command(epilog="Example: devenv up -n staging")
@verb
def up(here: Settings, output: AsOutput = Output.text) -> None:
    """Bring the stack up: images, cluster, objects, migration, forwards. Run twice, the second finds nothing to do."""
    from devenv import report, verbs

    with report.performing() as tell:
        result = verbs.up(here, tell, report.say)
    show_status(result, output)


@app.command(epilog="Example: devenv down --yes")
@verb
def down(
    here: Settings,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask, even on a terminal.")] = False,
) -> None:
    """Remove the cluster with its data, the forwards and every runtime file. Needs no network.

    From a cluster that was named by --context goes what devenv applied; a namespace goes whole, if devenv made it.
    """
    from devenv import report, verbs

    name, context = here.project.name, here.project.context
    if context:
        confirm(f"Delete what devenv applied of {name} on context {context}, with its data?", yes, somebody_s=True)
    else:
        confirm(f"Delete cluster {name} with all its data?", yes)
    gone = verbs.down(here, report.say)
    report.say(f"removed: {', '.join(gone)}" if gone else f"{here.project.name}: nothing was there to remove")


@app.command(epilog="Example: devenv plan -o json")
@verb
def plan(here: Settings, output: AsOutput = Output.text) -> None:
    """Print what `up` would do and why. Changes nothing; prints nothing when all is up."""
    from devenv import report, verbs

    steps = verbs.plan(here)
    if output is Output.json:
        report.as_json([{"name": s.name, "cause": s.cause, "within_s": s.within_s, "needs": s.needs} for s in steps])
    else:
        report.steps(steps)


@app.command(epilog="Example: devenv status -o json")
@verb
def status(here: Settings, output: AsOutput = Output.text) -> None:
    """Show the cluster, its workloads and the forwards. Exits 1 unless all of it is ready."""
    from devenv import verbs

    result = verbs.status(here)
    show_status(result, output)
    if not result["ready"]:
        raise typer.Exit(errors.FAILED)


@app.command(epilog='Example: eval "$(devenv env)"')
@verb
def env(
    here: Settings,
    form: Annotated[Format, typer.Option("--format", help="How to print the settings.")] = Format.shell,
) -> None:
    """Print the settings that lead to the running stack, once its forwards were seen to answer."""
    from devenv import report, verbs

    values = verbs.exports(here, report.say)
    if form is Format.json:
        report.as_json(values)
    else:
        report.plain(verbs.as_text(values, export=form is Format.shell))


@app.command(epilog="Example: devenv wait deploy/api forward/api --timeout 60s")
@verb
def wait(
    here: Settings,
    targets: Annotated[list[str] | None, typer.Argument(help="job/NAME, deploy/NAME, forward/NAME, or all.")] = None,
    timeout: Annotated[float, typer.Option(parser=duration, metavar="DURATION", help="How long: 60s, 5m.")] = 60.0,
) -> None:
    """Wait until objects are ready and forwards open; all of them where none is named. Exits 3 when time is up."""
    from devenv import report, verbs

    verbs.await_all(here, targets or [], timeout)
    report.say("ready")


@app.command(
    epilog="Example: devenv test learning -- -k adaptation",
    context_settings={"allow_extra_args": True, "ignore_unknown_options": False},
)
@verb
def test(
    here: Settings,
    suite: Annotated[str, typer.Argument(help="A suite of [tool.devenv.tests].")],
    args: Annotated[list[str] | None, typer.Argument(help="Arguments for pytest, after --.")] = None,
    junit: Annotated[Path | None, typer.Option("--junit", help="Write pytest's JUnit report here.")] = None,
) -> None:
    """Run a test suite against the stack with the exported settings; its exit code is passed on."""
    from devenv import report, verbs

    argv, environment, cwd = verbs.suite(here, suite, args or [], junit, report.say)
    report.say(f"running {' '.join(argv)}")
    raise typer.Exit(subprocess.run(argv, env=environment, cwd=cwd, check=False).returncode)


def show_status(result: dict[str, Any], output: Output) -> None:
    from devenv import report, rows

    if output is Output.json:
        report.as_json(result)
        return
    report.table(("WORKLOAD", "STATE", ""), ((w["name"], w["state"], w["why"]) for w in result["workloads"]))
    report.plain("")
    report.table(rows.FORWARD_COLUMNS, rows.forward_rows(result["forwards"]))
    report.plain(f"\n{result['next']}")


def main() -> None:
    """Run the command line. What a person can act on is shown as it stands; our own faults keep their traceback."""
    code: Any = 0
    try:
        app()
    except SystemExit as end:
        code = end.code
    except DevenvError as error:
        from devenv import report

        report.error(str(error))
        code = error.exit_code
    if code == errors.INTERRUPTED:
        typer.echo("interrupted; the same command again goes on from where it was", err=True)
    leave(code if isinstance(code, int) else 0)


def leave(code: int) -> None:
    """Exit, without waiting for threads whose work was called off."""
    sys.stdout.flush()
    sys.stderr.flush()
    if threading.active_count() > 1:
        os._exit(code)
    sys.exit(code)
