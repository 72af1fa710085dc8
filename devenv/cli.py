"""The verbs of the command line: read the options, call one function, pick the exit code."""

import os
import subprocess
import sys
import threading
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from devenv import __version__, config, errors
from devenv.config import Settings
from devenv.errors import DevenvError

app = typer.Typer(
    help="From a bare machine to a proven, production-like stack: up, test, down.",
    no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None, add_completion=False,
)  # fmt: skip
images_app = typer.Typer(help="The images of the stack and of the node.", no_args_is_help=True, rich_markup_mode=None)
forward_app = typer.Typer(help="The managed port-forwards.", no_args_is_help=True, rich_markup_mode=None)
tls_app = typer.Typer(help="The certificate of the ingress.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(images_app, name="images")
app.add_typer(tls_app, name="tls")
app.add_typer(forward_app, name="forward")


class Output(StrEnum):
    text = "text"
    json = "json"


class Format(StrEnum):
    shell = "shell"
    dotenv = "dotenv"
    json = "json"


class Via(StrEnum):
    auto = "auto"
    node = "node"
    api = "api"


def duration(text: str) -> float:
    from devenv.wait import seconds

    try:
        return seconds(str(text))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


File = Annotated[Path, typer.Option("--file", "-f", help="The file with the table [tool.devenv].")]
Namespace = Annotated[str | None, typer.Option("--namespace", "-n", help="Another namespace than the file's.")]
AsOutput = Annotated[Output, typer.Option("--output", "-o", help="How to print the result.")]
PYPROJECT = Path("pyproject.toml")


def settings(file: Path, namespace: str | None = None) -> Settings:
    return config.load(file, os.environ, {"namespace": namespace})


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
def up(file: File = PYPROJECT, namespace: Namespace = None, output: AsOutput = Output.text) -> None:
    """Bring the stack up: images, cluster, objects, migration, forwards. Run twice, the second finds nothing to do."""
    from devenv import report, verbs

    with report.performing() as tell:
        result = verbs.up(settings(file, namespace), tell, report.say)
    show_status(result, output)


@app.command(epilog="Example: devenv down --yes")
def down(
    file: File = PYPROJECT,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask, even on a terminal.")] = False,
) -> None:
    """Remove the cluster with its data, the forwards and every runtime file. Needs no network."""
    from devenv import report, verbs

    here = settings(file)
    confirm(f"Delete cluster {here.project.name} with all its data?", yes)
    gone = verbs.down(here, report.say)
    report.say(f"removed: {', '.join(gone)}" if gone else f"{here.project.name}: nothing was there to remove")


@app.command(epilog="Example: devenv plan -o json")
def plan(file: File = PYPROJECT, namespace: Namespace = None, output: AsOutput = Output.text) -> None:
    """Print what `up` would do and why. Changes nothing; prints nothing when all is up."""
    from devenv import report, verbs

    steps = verbs.plan(settings(file, namespace))
    if output is Output.json:
        report.as_json([{"name": s.name, "cause": s.cause, "within_s": s.within_s, "needs": s.needs} for s in steps])
    else:
        report.steps(steps)


@app.command(epilog="Example: devenv status -o json")
def status(file: File = PYPROJECT, namespace: Namespace = None, output: AsOutput = Output.text) -> None:
    """Show the cluster, its workloads and the forwards. Exits 1 unless all of it is ready."""
    from devenv import verbs

    result = verbs.status(settings(file, namespace))
    show_status(result, output)
    if not result["ready"]:
        raise typer.Exit(errors.FAILED)


@app.command(epilog='Example: eval "$(devenv env)"')
def env(
    file: File = PYPROJECT,
    namespace: Namespace = None,
    form: Annotated[Format, typer.Option("--format", help="How to print the settings.")] = Format.shell,
) -> None:
    """Print the settings that lead to the running stack, once its forwards were seen to answer."""
    from devenv import report, verbs

    values = verbs.exports(settings(file, namespace), report.say)
    if form is Format.json:
        report.as_json(values)
    else:
        report.plain(verbs.as_text(values, export=form is Format.shell))


@app.command(epilog="Example: devenv wait deploy/api forward/api --timeout 60s")
def wait(
    targets: Annotated[list[str] | None, typer.Argument(help="job/NAME, deploy/NAME, forward/NAME, or all.")] = None,
    file: File = PYPROJECT,
    namespace: Namespace = None,
    timeout: Annotated[float, typer.Option(parser=duration, metavar="DURATION", help="How long: 60s, 5m.")] = 60.0,
) -> None:
    """Wait until objects are ready and forwards open; all of them where none is named. Exits 3 when time is up."""
    from devenv import report, verbs

    verbs.await_all(settings(file, namespace), targets or [], timeout)
    report.say("ready")


@app.command(
    epilog="Example: devenv test learning -- -k adaptation",
    context_settings={"allow_extra_args": True, "ignore_unknown_options": False},
)
def test(
    suite: Annotated[str, typer.Argument(help="A suite of [tool.devenv.tests].")],
    args: Annotated[list[str] | None, typer.Argument(help="Arguments for pytest, after --.")] = None,
    file: File = PYPROJECT,
    namespace: Namespace = None,
    junit: Annotated[Path | None, typer.Option("--junit", help="Write pytest's JUnit report here.")] = None,
) -> None:
    """Run a test suite against the stack with the exported settings; its exit code is passed on."""
    from devenv import report, verbs

    argv, environment, cwd = verbs.suite(settings(file, namespace), suite, args or [], junit, report.say)
    report.say(f"running {' '.join(argv)}")
    raise typer.Exit(subprocess.run(argv, env=environment, cwd=cwd, check=False).returncode)


@forward_app.command("start", epilog="Example: devenv forward start --via api")
def forward_start(
    file: File = PYPROJECT,
    namespace: Namespace = None,
    via: Annotated[
        Via, typer.Option(help="The node's address, or the API server; auto takes the first that works.")
    ] = Via.auto,
) -> None:
    """Start the forwards anew; they outlive this command and end with `devenv down`."""
    from devenv import report, verbs

    verbs.forward_start(settings(file, namespace), via.value, report.say)


@forward_app.command("status", epilog="Example: devenv forward status --watch")
def forward_status(
    file: File = PYPROJECT,
    output: AsOutput = Output.text,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Go on, and show each change.")] = False,
) -> None:
    """Show each forward's state, as its process sees it now. Exits 1 unless all are OPEN."""
    from devenv import verbs

    here = settings(file)
    if watch:
        for seen in verbs.forward_changes(here):
            show_forwards(seen, output)
    seen = verbs.forward_status(here)
    show_forwards(seen, output)
    if not seen or any(f["state"] != "OPEN" for f in seen):
        raise typer.Exit(errors.FAILED)


def show_forwards(seen: list[dict[str, Any]], output: Output) -> None:
    from devenv import report, rows

    if output is Output.json:
        report.as_json(seen)
    else:
        report.table(rows.TRAFFIC_COLUMNS, rows.traffic_rows(seen))


@forward_app.command("stop", epilog="Example: devenv forward stop")
def forward_stop(file: File = PYPROJECT) -> None:
    """Stop the forwards; `devenv up` starts them again."""
    from devenv import report, verbs

    stopped = verbs.forward_stop(settings(file))
    report.say("forwards stopped" if stopped else "no forwards were running")


@images_app.command("list", epilog="Example: devenv images list -o json")
def images_list(file: File = PYPROJECT, output: AsOutput = Output.text) -> None:
    """List the images: their names by content, where each is, and where it would come from."""
    from devenv import report, verbs

    rows = verbs.images(settings(file))
    if output is Output.json:
        report.as_json(rows)
    else:
        report.table(("NAME", "REF", "HOST", "NODE", "SOURCE"), (map(str, row.values()) for row in rows))


@images_app.command("build", epilog="Example: devenv images build postgres")
def images_build(names: Annotated[list[str] | None, typer.Argument()] = None, file: File = PYPROJECT) -> None:
    """Pull or build the images that are not on this host; all that the stack needs, or those named."""
    from devenv import report, verbs

    with report.performing() as tell:
        verbs.images_build(settings(file), names or [], tell, report.say)


@images_app.command("load", epilog="Example: devenv images load api")
def images_load(names: Annotated[list[str] | None, typer.Argument()] = None, file: File = PYPROJECT) -> None:
    """Load images into the running cluster's node: those that it lacks, or those named."""
    from devenv import report, verbs

    with report.performing() as tell:
        verbs.images_load(settings(file), names or [], tell, report.say)


@tls_app.command("up", epilog="Example: devenv tls up --issuer letsencrypt-staging")
def tls_up(
    file: File = PYPROJECT,
    issuer: Annotated[
        str | None, typer.Option(help="local, letsencrypt, letsencrypt-staging, or the URL of an ACME directory.")
    ] = None,
    ca_bundle: Annotated[
        Path | None, typer.Option("--ca-bundle", help="Whom the ACME directory's own certificate is signed by (PEM).")
    ] = None,
    timeout: Annotated[float, typer.Option(parser=duration, metavar="DURATION", help="How long: 60s, 5m.")] = 300.0,
    output: AsOutput = Output.text,
) -> None:
    """Bring the issuer's certificate into the Secret and see it served. Exits 1 where the ingress does not."""
    from devenv import report, tls_verbs

    flags = {"tls.issuer": issuer, "tls.ca-bundle": str(ca_bundle.resolve()) if ca_bundle else None}
    with report.performing() as tell:
        result = tls_verbs.up(config.load(file, os.environ, flags), timeout, tell, report.say)
    show_certificate(result, output)


@tls_app.command("status", epilog="Example: devenv tls status -o json")
def tls_status(file: File = PYPROJECT, output: AsOutput = Output.text) -> None:
    """Show the certificate and whether the ingress serves that very one. Exits 1 where it does not."""
    from devenv import tls_verbs

    show_certificate(tls_verbs.status(settings(file)), output)


@tls_app.command("trust", epilog="Example: devenv tls trust")
def tls_trust(file: File = PYPROJECT) -> None:
    """Print how to trust the environment's own authority for good. Changes nothing."""
    from devenv import report, tls_verbs

    report.plain(tls_verbs.advice(settings(file)))


@tls_app.command("down", epilog="Example: devenv tls down --yes")
def tls_down(
    file: File = PYPROJECT,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask, even on a terminal.")] = False,
) -> None:
    """Remove the Secret, the requests to an ACME authority, and the environment's own authority with its key."""
    from devenv import report, tls_verbs

    here = settings(file)
    confirm(f"Delete the certificate of {here.project.name} and its authority?", yes)
    gone = tls_verbs.down(here, report.say)
    report.say(f"removed: {', '.join(gone)}" if gone else "nothing was there to remove")


def show_certificate(result: dict[str, Any], output: Output) -> None:
    from devenv import report, rows

    if output is Output.json:
        report.as_json(result)
    else:
        report.table(("CERTIFICATE", ""), rows.certificate_rows(result))
    if not result["served"]:
        raise typer.Exit(errors.FAILED)


def confirm(question: str, yes: bool) -> None:
    """Ask, on a terminal; what nobody is there to ask is done."""
    if not yes and sys.stdin.isatty() and not typer.confirm(question, default=False, err=True):
        raise DevenvError("nothing was deleted")


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
        typer.echo("interrupted; run `devenv up` again to go on, or `devenv down` to clean up", err=True)
    leave(code if isinstance(code, int) else 0)


def leave(code: int) -> None:
    """Exit, without waiting for threads whose work was called off."""
    sys.stdout.flush()
    sys.stderr.flush()
    if threading.active_count() > 1:
        os._exit(code)
    sys.exit(code)
