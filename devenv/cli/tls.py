"""devenv tls: the certificate of the ingress."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from devenv import errors
from devenv.cli.options import (
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
    look,
    settings,
    verb,
)

if TYPE_CHECKING:
    from devenv.reconcile.environment import Environment

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
        Path | None, typer.Option("--ca-bundle", help="CA bundle to verify the ACME server (PEM).")
    ] = None,
    timeout: Annotated[float, typer.Option(parser=duration, metavar="DURATION", help="Limit: 60s, 5m.")] = 300.0,
    form: AsOutput = Output.text,
) -> None:
    """Put the issuer's certificate into the Secret and see it served. Exits 1 if the ingress does not serve it."""
    from devenv.cli import output
    from devenv.commands import certificate
    from devenv.reconcile import environment

    flags: Any = {"tls.issuer": issuer, "tls.ca-bundle": str(ca_bundle.resolve()) if ca_bundle else None}
    chosen = settings(file, namespace, context, registry, yes_remote, **flags)
    with environment.opened(chosen) as env, output.performing() as on_event:
        result = certificate.up(env, timeout, on_event, output.log)
    show_certificate(result, form)


@app.command("status", epilog="Example: devenv tls status -o json")
@look
def status(env: "Environment", form: AsOutput = Output.text) -> None:
    """Show the certificate and whether the ingress serves it. Exits 1 if it does not."""
    from devenv.commands import certificate

    show_certificate(certificate.status(env), form)


@app.command("trust", epilog="Example: devenv tls trust")
@look
def trust(env: "Environment") -> None:
    """Print how to trust the environment's own authority for good. Changes nothing."""
    from devenv.cli import output
    from devenv.commands import certificate

    output.plain(certificate.advice(env))


@app.command("down", epilog="Example: devenv tls down --yes")
@verb
def down(
    env: "Environment",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask, even on a terminal.")] = False,
) -> None:
    """Remove the Secret, the requests to an ACME authority, and the environment's own authority with its key."""
    from devenv.cli import output
    from devenv.commands import certificate

    confirm(f"Delete the certificate of {env.project.name} and its authority?", yes)
    gone = certificate.down(env, output.log)
    output.log(f"removed: {', '.join(gone)}" if gone else "nothing to remove")


def show_certificate(result: dict[str, Any], form: Output) -> None:
    from devenv.cli import output

    if form is Output.json:
        output.as_json(result)
    else:
        output.table(("CERTIFICATE", ""), output.certificate_rows(result))
    if not result["served"]:
        raise typer.Exit(errors.FAILED)
