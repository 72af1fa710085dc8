"""devenv exec, attach, restart and open: into a workload, in its place, its pods anew, and its page in a browser."""

import subprocess
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from devenv.cli.options import AsOutput, Output
from devenv.errors import UsageError

if TYPE_CHECKING:
    from devenv.reconcile.environment import Environment

Part = Annotated[str, typer.Argument(metavar="PART", help="A workload, as status names it, or api for short.")]


def exec_(
    env: "Environment",
    part: Part,
    command: Annotated[list[str] | None, typer.Argument(metavar="-- COMMAND...", help="What to run.")] = None,
    container: Annotated[str | None, typer.Option("--container", "-c", help="Not the pod's first container.")] = None,
) -> None:
    """Run a command in a pod of a workload; its exit code is passed on."""
    from devenv.commands import inside

    if not command:
        raise UsageError(f"no command given\nhint: devenv exec {part} -- sh")
    terminal = sys.stdin.isatty() and sys.stdout.isatty()
    run = inside.program(env, part, container, command, terminal)
    code = subprocess.run(run.argv, env=run.environment, check=False).returncode
    if code:
        raise typer.Exit(code if code > 0 else 128 - code)  # a shell's word for a signal


def attach(
    env: "Environment",
    part: Annotated[str, typer.Argument(metavar="WORKLOAD", help="A Deployment or StatefulSet, or api for short.")],
    command: Annotated[list[str] | None, typer.Argument(metavar="-- COMMAND...", help="What to run.")] = None,
    port: Annotated[
        list[str] | None,
        typer.Option("--port", metavar="LOCAL:SERVICE", help="The local port that takes this Service port's traffic."),
    ] = None,
    container: Annotated[
        str | None, typer.Option("--container", "-c", help="Whose environment, if not the first's.")
    ] = None,
) -> None:
    """Run a command on this machine in the place of a workload, with its environment and its Services' traffic.

    The command has to listen on 0.0.0.0, or on the address in DEVENV_ATTACH_ADDRESS: the cluster does not reach
    127.0.0.1. Its exit code is passed on. Once it has ended, the pods come back.
    """
    from devenv.cli import output
    from devenv.commands.attach import attach

    if not command:
        raise UsageError(f"no command given\nhint: devenv attach {part} --port 8000:80 -- COMMAND")
    if not port:
        raise UsageError(f"no port given\nhint: devenv attach {part} --port LOCAL:SERVICE -- {command[0]}")
    if code := attach(env, part, port, command, container, output.log):
        raise typer.Exit(code)


def restart(
    env: "Environment",
    parts: Annotated[
        list[str], typer.Argument(metavar="PART...", help="Workloads, as status names them, or api for short.")
    ],
) -> None:
    """Replace the pods of a workload without a gap, and wait until all is ready as `up` does."""
    from devenv.cli import output
    from devenv.commands import inside

    with output.performing() as on_event:
        done = inside.restart(env, parts, on_event, output.log)
    output.log(f"restarted: {', '.join(done)}")


def open_(
    env: "Environment",
    name: Annotated[str, typer.Argument(help="A forward, or a name of [tool.devenv.open].")],
    form: AsOutput = Output.text,
) -> None:
    """Open a page of the stack in the browser, and print its address."""
    import webbrowser

    from devenv.cli import output
    from devenv.commands import browse

    address = browse.find(env, name)
    shown = form is Output.text and address.is_page and webbrowser.open(address.url)
    if form is Output.json:
        output.as_json({"name": name, "url": address.url, "page": address.is_page})
    else:
        output.text(address.url)
    if form is Output.text and not shown:
        output.log("no browser was found" if address.is_page else f"forward {name} serves no page")
