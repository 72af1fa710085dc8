"""devenv list: the environments of this machine."""

from dataclasses import asdict
from time import time

from devenv.cli.options import AsOutput, Output

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
