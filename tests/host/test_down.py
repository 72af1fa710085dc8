"""The end of an environment, on a cluster of its own."""

import json
import socket
from pathlib import Path

from tests.cluster.environment import Environment, docker
from tests.waiting import eventually


def test_down_leaves_nothing_behind(hello_project: Environment) -> None:
    env = hello_project
    env.fine("up")
    marked = docker("volume", "ls", "--quiet").split()
    mine = json.loads(docker("inspect", "--format", "{{json .Mounts}}", env.node))
    volumes = {m["Name"] for m in mine if m["Type"] == "volume"}
    assert volumes
    assert volumes <= set(marked)
    pid = int((env.kubeconfig.parent / "forwards.lock").read_text())
    # Another branch may be checked out meanwhile.
    gone = env.root / "gone"
    gone.mkdir()
    for part in ("k8s", "app"):
        (env.root / part).rename(gone / part)
    refused = env.run("plan")
    assert refused.returncode == 2
    assert "manifests: k8s: no such file or folder" in refused.stderr
    env.fine("forward", "stop")
    env.fine("down")
    for part in ("k8s", "app"):
        (gone / part).rename(env.root / part)
    assert docker("ps", "--all", "--quiet", "--filter", f"name={env.node}") == ""
    assert docker("network", "ls", "--quiet", "--filter", f"name=devenv-{env.name}") == ""
    assert not volumes & set(docker("volume", "ls", "--quiet").split())
    eventually(lambda: not Path(f"/proc/{pid}").exists())
    for port in env.ports.values():
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", port)) != 0
    assert [p.name for p in (env.state / "devenv").iterdir() if env.name in p.name] == []
    assert env.run("env").returncode == 1
    again = env.run("down")
    assert again.returncode == 0
    assert "nothing to remove" in again.stderr


def test_what_is_paused_is_started_stopped_and_removed_too(hello_project: Environment) -> None:
    env = hello_project
    env.fine("up")
    env.fine("pause")
    env.fine("start")
    assert "hello" in env.shell('curl --fail --silent "$HELLO_URL"')
    env.fine("pause")
    env.fine("stop")
    assert docker("inspect", "--format", "{{.State.Running}}", env.node) == "false"
    env.fine("start")
    assert "hello" in env.shell('curl --fail --silent "$HELLO_URL"')
    env.fine("pause")
    env.fine("down", "--yes")
    assert docker("ps", "--all", "--quiet", "--filter", f"name={env.node}") == ""
