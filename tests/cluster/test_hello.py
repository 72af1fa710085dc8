"""Another project with the installed wheel: nothing of the stack is in the tool. And what can go wrong on the way."""

import json
import os
import signal
import subprocess
import time

import httpx
import pytest

from tests.cluster.environment import CHECKOUT, Environment, docker

CONTAINERS = "      containers:\n"


def test_the_wheel_brings_another_project_up_and_takes_it_down(hello_project: Environment) -> None:
    env = hello_project
    where = subprocess.run(
        [str(env.program.parent / "python"), "-c", "import devenv; print(devenv.__file__)"],
        cwd="/", capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert str(CHECKOUT) not in where
    env.fine("up")
    assert httpx.get(f"http://127.0.0.1:{env.ports['web']}/").text == "hello\n"
    assert env.fine("test", "smoke") == "hello\n"
    assert env.plan() == ""

    told = broken(env, CONTAINERS, "      nodeSelector: {disk: gold}\n" + CONTAINERS)
    assert told.startswith("error: deployment/hello failed: pod hello-")
    assert "fits on no node" in told

    told = broken(env, "image: hello", "image: registry.invalid/nowhere:1")
    assert "ImagePullBackOff" in told

    told = broken(env, "image: hello", 'image: hello\n          command: ["perl", "-e", "die qq(no bread\\\\n)"]')
    assert "crash loop" in told
    assert "no bread" in told

    reads = "image: hello\n          envFrom: [{secretRef: {name: nowhere}}]"
    assert "CreateContainerConfigError" in broken(env, "image: hello", reads)

    env.edit("pyproject.toml", "ready-within-s = 90", "ready-within-s = 3")
    env.edit("k8s/hello.yaml", "path: /", "path: /\n              host: 192.0.2.1")
    late = env.run("up")
    assert late.returncode == 3
    assert "is not ready after 3 s" in late.stderr
    env.edit("k8s/hello.yaml", "\n              host: 192.0.2.1", "")
    env.edit("pyproject.toml", "ready-within-s = 3", "ready-within-s = 90")

    env.fine("up")
    assert env.plan() == ""
    env.fine("down")
    assert docker("ps", "--all", "--quiet", "--filter", f"name={env.node}") == ""


def broken(env: Environment, old: str, new: str) -> str:
    """Break the manifest, see `up` fail, mend it, and return what was told."""
    env.edit("k8s/hello.yaml", old, new)
    failed = env.run("up")
    env.edit("k8s/hello.yaml", new, old)
    assert failed.returncode == 1, failed.stderr
    return failed.stderr[failed.stderr.index("error:") :]


def test_up_converges_after_kill_and_interrupt_and_two_at_once_take_turns(hello_project: Environment) -> None:
    env = hello_project
    interrupted = env.start("up")
    time.sleep(4)
    interrupted.send_signal(signal.SIGINT)
    said = interrupted.communicate(timeout=60)[1]
    assert interrupted.returncode == 130, said
    assert "interrupted" in said

    killed = env.start("up")
    time.sleep(6)
    killed.kill()
    killed.communicate()
    assert env.fine("plan") != ""

    first, second = env.start("up"), env.start("up")
    outputs = [p.communicate(timeout=600)[1] for p in (first, second)]
    assert (first.returncode, second.returncode) == (0, 0), outputs
    assert sum("waiting for" in text for text in outputs) >= 1
    assert sum("nothing was left to do" in text for text in outputs) == 1
    assert httpx.get(f"http://127.0.0.1:{env.ports['web']}/").text == "hello\n"

    # A forwards' process that was killed leaves its ports free for the next.
    os.kill(int((env.kubeconfig.parent / "forwards.lock").read_text()), signal.SIGKILL)
    env.fine("forward", "start")
    assert httpx.get(f"http://127.0.0.1:{env.ports['web']}/").text == "hello\n"
    env.fine("forward", "stop")
    assert env.run("forward", "status").returncode == 1

    # Another namespace of the same cluster: the forwards lead there now, and so does the kubeconfig.
    env.fine("up", "-n", "elsewhere")
    assert env.plan("-n", "elsewhere") == ""
    assert httpx.get(f"http://127.0.0.1:{env.ports['web']}/").text == "hello\n"
    assert env.kubectl("get", "pods", "-o", "jsonpath={.items[*].metadata.namespace}") == "elsewhere"


def test_a_taken_port_is_told_with_its_holder_before_anything_is_changed(hello_project: Environment) -> None:
    env, port = hello_project, hello_project.ports["web"]
    code = f"import socket, time; s = socket.create_server(('127.0.0.1', {port})); time.sleep(120)"
    holder = subprocess.Popen([str(env.program.parent / "python"), "-c", code])
    try:
        time.sleep(1)
        failed = env.run("up")
    finally:
        holder.kill()
        holder.wait()
    assert failed.returncode == 1
    assert f"port {port} of forward web is taken by process {holder.pid}" in failed.stderr
    assert "DEVENV_PORT_WEB" in failed.stderr
    assert docker("ps", "--all", "--quiet", "--filter", f"name={env.node}") == ""


def test_a_cluster_that_devenv_did_not_make_is_refused_and_left_alone(hello_project: Environment) -> None:
    env = hello_project
    label = ["--label", f"io.x-k8s.kind.cluster={env.name}", "--label", "io.x-k8s.kind.role=control-plane"]
    base = json.loads(env.fine("images", "list", "-o", "json"))
    env.fine("images", "build", "base")
    ref = next(row["ref"] for row in base if row["name"] == "base")
    foreign = docker("create", "--name", env.node, *label, ref, "sleep", "60")
    try:
        for verb in ("up", "down", "plan", "status"):
            refused = env.run(verb)
            assert refused.returncode == 1
            assert "that devenv did not make; it is left alone" in refused.stderr
        assert docker("ps", "--all", "--quiet", "--no-trunc", "--filter", f"name={env.node}") == foreign
    finally:
        docker("rm", "--force", foreign)


def test_no_docker_is_told_with_what_to_do(hello_project: Environment) -> None:
    hello_project.extra["DOCKER_HOST"] = "unix:///nowhere/docker.sock"
    try:
        failed = hello_project.run("up")
    finally:
        del hello_project.extra["DOCKER_HOST"]
    assert failed.returncode == 1
    assert failed.stderr.startswith("error: Docker does not answer")
    assert "scripts/setup.sh" in failed.stderr


def test_a_full_disk_is_told_before_anything_is_changed(hello_project: Environment) -> None:
    """The daemon's folder is asked for its free bytes; a limit above them stands for a full disk."""
    code = (
        "import sys; from devenv import cli, observe; observe.WARM_BYTES = observe.FIRST_BUILD_BYTES = 1 << 60; "
        "sys.argv = ['devenv', 'up']; cli.main()"
    )
    failed = subprocess.run(
        [str(hello_project.program.parent / "python"), "-c", code], cwd=hello_project.root,
        env=hello_project.variables, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert failed.returncode == 1
    assert "GB free" in failed.stderr
    assert docker("ps", "--all", "--quiet", "--filter", f"name={hello_project.node}") == ""


def test_faults_of_the_table_are_wrong_usage(hello_project: Environment) -> None:
    hello_project.edit("pyproject.toml", "ready-within-s = 90", "ready-within-s = 90\ncolour = 'blue'")
    failed = hello_project.run("up")
    assert failed.returncode == 2
    assert "colour: unknown key" in failed.stderr
    hello_project.edit("pyproject.toml", "\ncolour = 'blue'", "")


@pytest.mark.parametrize("verb", [[], ["images"], ["forward"], ["no-such-verb"], ["up", "--no-such-flag"]])
def test_wrong_usage_is_told_and_exits_with_2(hello_project: Environment, verb: list[str]) -> None:
    done = hello_project.run(*verb)
    assert done.returncode == 2
    assert "Usage" in done.stderr + done.stdout


@pytest.mark.parametrize(
    "verb",
    ["up", "down", "plan", "status", "env", "test", "images list", "images build", "images load",
     "forward start", "forward status", "forward stop"],
)  # fmt: skip
def test_every_verb_s_help_has_an_example(hello_project: Environment, verb: str) -> None:
    assert "Example: " in hello_project.fine(*verb.split(), "--help")
