"""The verbs of the command line: read the options, call one function, pick the exit code."""

import gc
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from devenv import __version__, errors
from devenv.cli import (
    completion,
    explain,
    forward,
    images,
    init,
    inside,
    logs,
    machine,
    override,
    promote,
    rest,
    rollback,
    timings,
    tls,
    verify,
)
from devenv.cli.help import Panel, Verbs
from devenv.cli.options import (
    AsOutput,
    Output,
    Replace,
    confirm,
    duration,
    ending,
    hide_passwords,
    isolating,
    look,
    verb,
)
from devenv.cli.timings import Timings, Trace, shown
from devenv.errors import DevenvError

if TYPE_CHECKING:
    from types import TracebackType

    from devenv.reconcile.environment import Environment

app = typer.Typer(
    help="From a bare machine to a proven, production-like stack: up, test, down.", cls=Verbs,
    no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None, add_completion=False,
)  # fmt: skip


def added(panel: Panel, name: str, example: str, command: Callable[..., None]) -> None:
    """Add a verb of another file."""
    app.command(name, epilog=f"Example: devenv {name}{example}", rich_help_panel=panel)(command)


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


@app.command(epilog="Example: devenv schema > devenv.schema.json", rich_help_panel=Panel.machine)
def schema() -> None:
    """Print the JSON schema of the table, for editors. Needs no project."""
    from devenv.cli import output
    from devenv.project.schema import as_json

    output.plain(as_json().rstrip())


@app.command(epilog="Example: devenv up -n staging", rich_help_panel=Panel.daily)
@isolating
def up(
    env: "Environment",
    form: AsOutput = Output.text,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before many deletions.")] = False,
    take_over: Annotated[bool, typer.Option("--take-over", help="Use another checkout's cluster.")] = False,
    replace: Replace = None,
    timings: Timings = False,
    trace: Trace = None,
) -> None:
    """Bring the stack up: images, cluster, objects, migration, forwards. A second run finds nothing to do."""
    from devenv.cli import output
    from devenv.commands.up import up

    with shown(env, timings, trace), output.performing() as on_event:
        result = up(env, on_event, output.log, partial(confirm, yes=yes, shared=True), take_over, replace=replace or ())
    output.status(result, form is Output.json)


@app.command(
    epilog="Example: devenv dev --test learning -- -k adaptation", rich_help_panel=Panel.daily,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": False},
)  # fmt: skip
@isolating
def dev(
    env: "Environment",
    args: Annotated[list[str] | None, typer.Argument(help="Arguments for the suite, after --.")] = None,
    test: Annotated[
        str | None, typer.Option("--test", metavar="SUITE", help="Run this suite again after each change.")
    ] = None,
    explain: Annotated[
        Path | None, typer.Option("--explain", metavar="PATH", help="Print which way a change of PATH takes, and end.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before many deletions.")] = False,
) -> None:
    """Bring the stack up and follow its files: each change goes into it, the shortest way, until Ctrl-C."""
    from devenv.cli import output
    from devenv.commands.dev import dev
    from devenv.commands.dev import explain as way_of
    from devenv.commands.loop import Person

    if args and not test:
        raise errors.UsageError("arguments are those of a suite\nhint: devenv dev --test SUITE -- ARGS")
    if explain:
        way = way_of(env, explain, test, args or [])
        output.plain(f"{way.kind.name.lower()}: {explain}: {way.why}")
        return
    with output.performing() as on_event:
        person = Person(on_event, output.log, output.error, partial(confirm, yes=yes, shared=True), hide_passwords)
        dev(env, person, test, args or [])


@app.command(epilog="Example: devenv down --yes", rich_help_panel=Panel.daily)
@ending
def down(
    env: "Environment",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask, even on a terminal.")] = False,
    timings: Timings = False,
    trace: Trace = None,
) -> None:
    """Remove the cluster with its data, the forwards and every runtime file. Needs no network.

    From a cluster named by --context, remove what devenv applied; a namespace goes whole if devenv made it.
    """
    from devenv.cli import output
    from devenv.commands.down import down

    name, context = env.project.name, env.project.context
    if context:
        confirm(f"Delete what devenv applied of {name} on context {context}, with its data?", yes, shared=True)
    else:
        confirm(f"Delete cluster {name} with all its data?", yes)
    with shown(env, timings, trace):
        gone = down(env, output.log)
    output.log(f"removed: {', '.join(gone)}" if gone else f"{name}: nothing to remove")


rest.register(app)


@app.command(epilog="Example: devenv plan -o json", rich_help_panel=Panel.look)
@partial(verb, looks=True, isolates=True)
def plan(env: "Environment", replace: Replace = None, form: AsOutput = Output.text) -> None:
    """Print what `up` would do and why. Changes nothing; prints nothing when all is up to date."""
    from devenv.cli import output
    from devenv.commands.up import plan

    steps = plan(env, replace or ())
    if form is Output.json:
        output.as_json([{"name": s.name, "cause": s.cause, "within_s": s.within_s, "needs": s.needs} for s in steps])
    else:
        output.steps(steps)


@app.command(epilog="Example: devenv status -o json", rich_help_panel=Panel.look)
@look
def status(
    env: "Environment",
    form: AsOutput = Output.text,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Go on, and show each change until Ctrl-C.")] = False,
) -> None:
    """Show the cluster, its workloads and the forwards. Exits 1 unless all of it is ready."""
    from devenv.cli import output
    from devenv.commands.status import status

    if watch:
        from devenv.cli import screen
        from devenv.commands import watching

        screen.show(watching.followed(env), form is Output.json)
        return
    result = status(env)
    output.status(result, form is Output.json)
    if not result.ready:
        raise typer.Exit(errors.FAILED)


@app.command(epilog='Example: eval "$(devenv env)"', rich_help_panel=Panel.daily)
@verb
def env(
    env: "Environment",
    form: Annotated[Format, typer.Option("--format", help="How to print the settings.")] = Format.shell,
) -> None:
    """Print the settings for the running stack, once its forwards were seen to answer."""
    from devenv.cli import output
    from devenv.commands import export
    from devenv.project import envfile

    values = export.exports(env, output.log)
    if form is Format.json:
        output.as_json(values, exact=True)
    elif form is Format.shell:
        output.plain(envfile.as_shell(values))
    else:
        try:
            output.plain(envfile.as_dotenv(values))
        except envfile.Fault as error:
            raise errors.UsageError(f"{error}\nhint: devenv env --format json") from error


@app.command(epilog="Example: devenv wait deploy/api forward/api --timeout 60s", rich_help_panel=Panel.look)
@look
def wait(
    env: "Environment",
    targets: Annotated[list[str] | None, typer.Argument(help="job/NAME, deploy/NAME, forward/NAME, or all.")] = None,
    timeout: Annotated[float, typer.Option(parser=duration, metavar="DURATION", help="Limit: 60s, 5m.")] = 60.0,
) -> None:
    """Wait until objects are ready and forwards open; all of them if none is named. Exits 3 when time is up."""
    from devenv.cli import output
    from devenv.commands.status import wait

    wait(env, targets or [], timeout)
    output.log("ready")


@app.command(
    epilog="Example: devenv test learning -- -k adaptation",
    rich_help_panel=Panel.daily,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": False},
)
@verb
def test(
    env: "Environment",
    suite: Annotated[str, typer.Argument(help="A suite of [tool.devenv.tests].")],
    args: Annotated[list[str] | None, typer.Argument(help="Arguments for pytest, after --.")] = None,
    junit: Annotated[Path | None, typer.Option("--junit", help="Write pytest's JUnit report here.")] = None,
    timings: Timings = False,
    trace: Trace = None,
) -> None:
    """Run a test suite against the stack with the exported settings; its exit code is passed on."""
    from devenv.cli import output
    from devenv.commands import export
    from devenv.reconcile import runs

    with shown(env, timings, trace), runs.kept(env.run, env.folder, f"test {suite}", output.log):
        with env.run.phase("settings"):
            run = export.suite(env, suite, args or [], junit, output.log)
            for replaced in export.replaced(env):
                output.log(f"replaced, not the image's: {replaced}")
        output.log(f"running {' '.join(run.argv)}")
        with env.run.phase(f"suite {suite}"):
            code = subprocess.run(run.argv, env=run.environment, cwd=run.folder, check=False).returncode
        if code:
            raise typer.Exit(code)


# The verbs of other files.
added(Panel.look, "logs", " api --follow --grep ERROR", look(logs.logs))
added(Panel.look, "events", " --follow", look(logs.events))
added(Panel.look, "explain", " api", look(explain.explain))
added(Panel.look, "verify", " -o junit > verify.xml", look(verify.verify))
added(Panel.look, "exec", " api -- env", look(inside.exec_))
added(Panel.daily, "attach", " api --port 8000:80 -- python -m api", verb(inside.attach))
added(Panel.look, "open", " docs", look(inside.open_))
added(Panel.look, "timings", " --trace up.json", look(timings.timings))
added(Panel.release, "promote", " staging --image R/api@sha256:… --dry-run", promote.promote)
added(Panel.release, "rollback", " api --list", verb(rollback.rollback))
added(Panel.parts, "restart", " api", verb(inside.restart))
app.add_typer(forward.app, name="forward", rich_help_panel=Panel.parts)
app.add_typer(images.app, name="images", rich_help_panel=Panel.parts)
app.add_typer(override.app, name="override", rich_help_panel=Panel.parts)
app.add_typer(tls.app, name="tls", rich_help_panel=Panel.parts)
added(Panel.daily, "init", " --print", init.init)
added(Panel.machine, "list", " -o json", machine.list_)
added(Panel.machine, "doctor", " -o json", machine.doctor)
added(Panel.machine, "completion", " bash", completion.completion)


# How many objects are made before Python looks for garbage. A command leaves hardly any, and with 700, Python's own
# number, a tenth of the time went to looking for it.
OBJECTS = 50_000


def main() -> None:
    """Run the command line. Errors that a user can act on are shown as they are; bugs keep their traceback."""
    code: Any = 0
    gc.set_threshold(OBJECTS)
    sys.excepthook = fault
    threading.excepthook = lambda seen: fault(seen.exc_type, seen.exc_value, seen.exc_traceback)
    # What ends a job of a CI is to leave as little behind as Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    completion.prepare()
    try:
        app()
    except SystemExit as end:
        code = end.code
        if code == errors.INTERRUPTED:
            typer.echo("interrupted; run the command again to resume", err=True)
    except DevenvError as error:
        from devenv.cli import output

        output.error(str(error))
        code = error.exit_code
    leave(code if isinstance(code, int) else 0)


def fault(kind: type[BaseException], error: BaseException | None, trace: "TracebackType | None") -> None:
    """Print the traceback of a bug, without the secrets that its message may repeat."""
    import traceback

    from devenv.system.masking import masked

    typer.echo(masked("".join(traceback.format_exception(kind, error, trace))), err=True, nl=False)


def leave(code: int) -> None:
    """Exit at once: neither are threads waited for whose work was cancelled, nor is all taken apart that Python made,
    which takes it a tenth of a command's time.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
