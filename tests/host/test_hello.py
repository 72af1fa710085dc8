"""Another project with the installed wheel: nothing of the stack is in the tool. And what can go wrong on the way."""

import json
import os
import re
import shutil
import signal
import subprocess
import time

import httpx

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

    other = Environment(env.name, env.root.with_name("other"), env.ports, program=env.program)
    shutil.copytree(env.root, other.root)
    refused = other.run("up")
    assert refused.returncode == 1
    assert f"cluster {env.name} belongs to {env.root}: pass --take-over" in refused.stderr
    other.fine("up", "--take-over")
    assert other.plan() == ""
    env.fine("up", "--take-over")

    told = broken(env, CONTAINERS, "      nodeSelector: {disk: gold}\n" + CONTAINERS)
    assert told.startswith("error: deployment/hello failed: pod hello-")
    assert "fits on no node" in told

    told = broken(env, "image: hello", "image: registry.invalid/nowhere:1")
    assert re.search("ErrImagePull|ImagePullBackOff", told)  # the kubelet says one after the other

    told = broken(env, "image: hello", 'image: hello\n          command: ["perl", "-e", "die qq(no bread\\\\n)"]')
    assert "crash loop" in told
    assert "no bread" in told

    # Between two crashes the kubelet calls ready what nothing probes.
    kept = (env.root / "k8s/hello.yaml").read_text()
    falls = '          command: ["perl", "-e", "sleep 1; die qq(no bread\\n)"]\n'
    (env.root / "k8s/hello.yaml").write_text(kept[: kept.index("          readinessProbe:")] + falls)
    failed = env.run("up")
    assert failed.returncode == 1
    assert "deployment/hello failed: pod hello-" in failed.stderr
    assert "crash loop" in failed.stderr
    for _ in range(12):
        (hello,) = json.loads(env.run("status", "-o", "json").stdout)["workloads"]
        assert hello["state"] in ("PENDING", "FAILED")
    (env.root / "k8s/hello.yaml").write_text(kept)

    whole = CONTAINERS + "        - name: hello\n"
    mounted = f"{whole}          volumeMounts: [{{name: v, mountPath: /v}}]\n"
    told = broken(env, whole, "      volumes: [{name: v, secret: {secretName: nowhere}}]\n" + mounted)
    assert "FailedMount: MountVolume.SetUp failed" in told
    assert 'secret "nowhere" not found' in told

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

    manifest = env.root / "k8s/hello.yaml"
    kept = manifest.read_text()
    many = (f"---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: m{n}}}\n" for n in range(6))
    manifest.write_text(f"{kept}\n{''.join(many)}")
    env.fine("up")
    manifest.write_text(kept)
    refused = env.run("up")
    assert refused.returncode == 2
    assert "Delete 6 objects that the manifests no longer have: configmap/m0, " in refused.stderr
    assert len(env.plan().splitlines()) == 6
    env.fine("up", "--yes")
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
    assert sum("already up to date" in text for text in outputs) == 1
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
    assert f"port {port} of forward web is in use by process {holder.pid}" in failed.stderr
    assert "DEVENV_PORT_WEB" in failed.stderr
    assert docker("ps", "--all", "--quiet", "--filter", f"name={env.node}") == ""


def test_a_cluster_that_devenv_did_not_make_is_refused_and_left_alone(hello_project: Environment) -> None:
    env = hello_project
    label = ["--label", f"io.x-k8s.kind.cluster={env.name}", "--label", "io.x-k8s.kind.role=control-plane"]
    base = json.loads(env.fine("images", "list", "-o", "json"))
    env.fine("images", "build", "devenv.base")
    ref = next(row["ref"] for row in base if row["name"] == "devenv.base")
    foreign = docker("create", "--name", env.node, *label, ref, "sleep", "60")
    try:
        for verb in ("up", "down", "plan", "status"):
            refused = env.run(verb)
            assert refused.returncode == 1
            assert "was not created by devenv; refusing to touch it" in refused.stderr
        assert docker("ps", "--all", "--quiet", "--no-trunc", "--filter", f"name={env.node}") == foreign
    finally:
        docker("rm", "--force", foreign)


def test_a_full_disk_is_told_before_anything_is_changed(hello_project: Environment) -> None:
    """The daemon's folder is asked for its free bytes; a limit above them stands for a full disk."""
    code = (
        "import sys; from devenv.cli import app; from devenv.reconcile import preflight; "
        "preflight.WARM_BYTES = preflight.FIRST_BUILD_BYTES = 1 << 60; "
        "sys.argv = ['devenv', 'up']; app.main()"
    )
    failed = subprocess.run(
        [str(hello_project.program.parent / "python"), "-c", code], cwd=hello_project.root,
        env=hello_project.variables, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert failed.returncode == 1
    assert "GB free" in failed.stderr
    assert docker("ps", "--all", "--quiet", "--filter", f"name={hello_project.node}") == ""
