"""devenv list and devenv doctor: the environments of this machine, and what stands in their way."""

from dataclasses import asdict
from pathlib import Path
from time import time
from typing import TYPE_CHECKING, Annotated

import typer

from devenv.cli import options
from devenv.cli.options import PYPROJECT, AsOutput, File, Output
from devenv.errors import FAILED, DevenvError

if TYPE_CHECKING:
    from devenv.project.settings import Settings

COLUMNS = ("NAME", "CLUSTER", "STATE", "AGE", "PORTS", "CHECKOUT")


def list_(form: AsOutput = Output.text) -> None:
    """List the environments of this machine: where each comes from, what it is at, its ports."""
    from devenv.cli import output
    from devenv.commands import environments

    found = environments.listed(output.log)
    if form is Output.json:
        output.as_json([asdict(one) for one in found])
        return
    if not found:
        output.log("no environment is on this machine")
        return
    now = time()
    rows = [
        (
            e.name,
            f"context {e.context}" if e.context else "kind",
            e.cluster or "-",
            "-" if e.since is None else output.span(now - e.since),
            ", ".join(f"{name} {port}" for name, port in e.ports.items()) or "-",
            e.checkout or "-",
        )
        for e in found
    ]
    output.table(COLUMNS, rows)


def doctor(
    file: File = PYPROJECT,
    form: AsOutput = Output.text,
    bundle: Annotated[
        Path | None,
        typer.Option("--bundle", metavar="FILE", help="Write what a bug report needs as .tar.gz; secrets are hidden."),
    ] = None,
) -> None:
    """Look at what this machine needs, and say how to mend what is missing. Exits 1 for what stands in the way.

    In a project's folder its ports are looked at too. Nothing is changed, and no cluster is asked.
    """
    from devenv.cli import output
    from devenv.commands import doctor
    from devenv.commands.bundle import write

    here = project(file)
    found = doctor.checks(here)
    if form is Output.json:
        output.as_json([asdict(check) for check in found])
    else:
        rows = [(check.name, check.level.upper(), check.found) for check in found]
        output.table(("CHECK", "STATE", "FOUND"), rows)
        for check in found:
            if check.fix:
                output.log(f"{check.name}: {check.fix}")
    if bundle:
        write(bundle, found, here)
        output.log(f"{bundle}: look through it before you send it")
    if not doctor.is_well(found):
        raise typer.Exit(FAILED)


def project(file: Path) -> "Settings | None":
    """Return the settings of the project here, if there is one that can be read."""
    from devenv.cli import output
    from devenv.project import table

    if not table.located(file).exists():
        return None
    try:
        return options.settings(file)
    except DevenvError as error:
        output.error(str(error))
        return None
