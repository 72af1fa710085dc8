"""The service's programs, run as the image runs them: real child processes."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import socket

PYTHONPATH = str(Path(__file__).parents[2] / "k8s" / "images" / "somabrain")
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith(("SOMA", "POSTGRES", "PG"))}


def environment(**settings: str) -> dict[str, str]:
    """The environment of a child: ours without the settings of a stack, and with these."""
    return {**CLEAN, "PYTHONPATH": PYTHONPATH, "PYTHONDONTWRITEBYTECODE": "1", **settings}


def run(module: str, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", f"somabrain.{module}", *arguments],
        env=environment(**settings),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@contextmanager
def silent_port() -> Iterator[int]:
    """A port of this machine where nobody listens, and nobody else will while it is held."""
    with socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]
