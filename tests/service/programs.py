"""The service's programs, run as the image runs them: real child processes."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from socket import socket

import httpx
import pytest

START_S = 30
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


@contextmanager
def served(**settings: str) -> Iterator[httpx.Client]:
    """A service of the test's own. What the settings do not lead to Postgres and Redis finds neither."""
    with ExitStack() as held:
        postgres, redis = (held.enter_context(silent_port()) for _ in range(2))
        with silent_port() as free:
            port = free
        own = {
            "SOMABRAIN_HOST": "127.0.0.1",
            "SOMABRAIN_PORT": str(port),
            "SOMABRAIN_POSTGRES_DSN": f"postgresql://a:b@127.0.0.1:{postgres}/c",
            "SOMABRAIN_REDIS_URL": f"redis://127.0.0.1:{redis}/0",
        }
        env = environment(**{**own, **settings})
        process = subprocess.Popen([sys.executable, "-m", "somabrain"], env=env, stderr=subprocess.PIPE, text=True)
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10, trust_env=False) as client:
                await_life(client, process)
                yield client
        finally:
            process.terminate()
            process.communicate(timeout=START_S)


def await_life(client: httpx.Client, process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + START_S
    while True:
        try:
            assert client.get("/healthz").json() == {"ok": True}
        except httpx.TransportError:
            if process.poll() is not None or time.monotonic() > end:
                process.terminate()
                pytest.fail(f"the service does not serve: {process.communicate(timeout=START_S)[1]}", pytrace=False)
            time.sleep(0.1)
        else:
            return
