"""Images that are kept for the next cluster: its node has them from the first moment on. What is broken is not used."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.cluster.environment import Environment, docker
from tests.waiting import eventually

TAKEN = "/kind/preload-taken"


@pytest.fixture
def kept(hello_project: Environment, tmp_path: Path) -> Iterator[Environment]:
    """The hello project, which was up once; what is kept of it is removed at the end."""
    env = hello_project
    layers = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "devenv"
    env.extra["XDG_CACHE_HOME"] = str(tmp_path)
    (tmp_path / "devenv").mkdir()
    (tmp_path / "devenv/layers").symlink_to(layers / "layers")
    env.fine("up")
    yield env
    assert httpx.get(f"http://127.0.0.1:{env.ports['web']}/").text == "hello\n"
    env.fine("down")
    env.fine("images", "prune")
    assert volumes(env) == []


def volumes(env: Environment) -> list[str]:
    return docker("volume", "ls", "--quiet", "--filter", f"label=devenv.preload={env.name}").split()


def record(env: Environment) -> Path:
    return Path(env.extra["XDG_CACHE_HOME"]) / f"devenv/preload/{env.name}.json"


def up(env: Environment) -> str:
    """Bring the project up, see it serve, and return what was said of its image."""
    done = env.run("up")
    assert done.returncode == 0, done.stderr
    assert httpx.get(f"http://127.0.0.1:{env.ports['web']}/").text == "hello\n"
    return next(line for line in done.stderr.splitlines() if line.startswith("✓ load hello"))


def has_taken(env: Environment) -> bool:
    return subprocess.run(["docker", "exec", env.node, "test", "-f", TAKEN], check=False).returncode == 0


def test_the_next_cluster_has_the_images_that_were_kept(kept: Environment) -> None:
    kept.fine("images", "preload")
    assert "already up to date" in kept.run("images", "preload").stderr
    [volume] = volumes(kept)
    assert json.loads(record(kept).read_text())["bytes"] > 0
    kept.fine("down")

    assert up(kept).endswith("is there")
    assert has_taken(kept)
    assert kept.plan() == ""
    # What the node has of its own since is not lost when it starts again.
    docker("restart", "--time", "5", kept.node)
    kept.fine("up")
    assert kept.plan() == ""

    # An image that has changed since is loaded as ever.
    kept.fine("down")
    kept.edit("app/Dockerfile", "FROM devenv.local/base", "FROM devenv.local/base\nRUN echo changed >/changed")
    assert " layers, " in up(kept)
    assert has_taken(kept)
    kept.fine("images", "prune")
    assert volumes(kept) == [volume]  # the node uses it
    assert not record(kept).exists()
    docker("exec", kept.node, "test", "-f", "/kind/preload/whole")


def test_what_is_broken_or_half_made_is_not_used(kept: Environment) -> None:
    making = kept.start("images", "preload")
    eventually(lambda: volumes(kept) != [])
    making.send_signal(signal.SIGKILL)
    making.wait()
    assert not record(kept).exists()
    kept.fine("down")
    assert "is there" not in up(kept)
    assert not has_taken(kept)

    kept.fine("images", "preload")
    [volume] = volumes(kept)  # the half-made one is gone
    kept.fine("down")
    inside = f"{docker('volume', 'inspect', '--format', '{{.Mountpoint}}', volume).strip()}/containerd"
    database = Path(inside) / "io.containerd.metadata.v1.bolt/meta.db"
    database.write_bytes(b"nothing" + database.read_bytes()[7:4096])
    assert "is there" not in up(kept)
    assert not record(kept).exists()
