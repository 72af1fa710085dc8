"""devenv tls: the certificate of the ingress."""

from pathlib import Path
from typing import Annotated, Any

import typer

from devenv import errors
from devenv.cli_options import (
    PYPROJECT,
    AsOutput,
    Context,
    File,
    Namespace,
    Output,
    Registry,
    YesRemote,
    confirm,
    duration,
    group,
    settings,
    verb,
)
from devenv.config import Settings

app = group("The certificate of the ingress.")


@app.command("up", epilog="Example: devenv tls up --issuer letsencrypt-staging")
def up(
    file: File = PYPROJECT,
    namespace: Namespace = None,
    context: Context = None,
    registry: Registry = None,
    yes_remote: YesRemote = None,
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
    here = settings(file, namespace, context, registry, yes_remote, **flags)
    with report.performing() as tell:
        result = tls_verbs.up(here, timeout, tell, report.say)
    show_certificate(result, output)


@app.command("status", epilog="Example: devenv tls status -o json")
@verb
def status(here: Settings, output: AsOutput = Output.text) -> None:
    """Show the certificate and whether the ingress serves that very one. Exits 1 where it does not."""
    from devenv import tls_verbs

    show_certificate(tls_verbs.status(here), output)


@app.command("trust", epilog="Example: devenv tls trust")
@verb
def trust(here: Settings) -> None:
    """Print how to trust the environment's own authority for good. Changes nothing."""
    from devenv import report, tls_verbs

    report.plain(tls_verbs.advice(here))


@app.command("down", epilog="Example: devenv tls down --yes")
@verb
def down(
    here: Settings,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask, even on a terminal.")] = False,
) -> None:
    """Remove the Secret, the requests to an ACME authority, and the environment's own authority with its key."""
    from devenv import report, tls_verbs

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
