"""The scripts that work on a cluster's data: they name it, and touch none elsewhere that nobody has confirmed."""

import json
import os
import pty
import socket
import subprocess
from pathlib import Path
from urllib.parse import quote

import pytest
from psycopg.conninfo import conninfo_to_dict

ROOT = Path(__file__).parents[2]
SCRIPTS = {
    "backup": ["ns", "new.dump"],
    "restore": ["ns", "old.dump"],
    "rotate_password": ["ns"],
}
NAME = socket.gethostname()  # an address of this machine that does not look like one, at a port where nobody listens
FAR: dict[str, dict[str, str]] = {
    "server": {"server": f"https://{NAME}:1"},
    "proxy": {"server": "https://127.0.0.1:1", "proxy-url": f"http://{NAME}:1"},
    "tunnel": {"server": "https://localhost:1", "tls-server-name": "prod.example.com"},
}
NEAR = ("https://127.0.0.1:1", "https://localhost:1", "https://[::1]:1", "https://127.8.9.1:1/k8s/clusters/c-1")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "old.dump").write_text("old")
    return tmp_path


def kubeconfig(folder: Path, **clusters: dict[str, str]) -> dict[str, str]:
    """Write a kubeconfig whose current context is the first, and return the variables of a person who has it."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": next(iter(clusters)),
        "clusters": [{"name": name, "cluster": cluster} for name, cluster in clusters.items()],
        "contexts": [{"name": name, "context": {"cluster": name, "user": "u"}} for name in clusters],
        "users": [{"name": "u", "user": {"token": "t"}}],
    }
    (folder / "kubeconfig").write_text(json.dumps(config))
    return {**os.environ, "KUBECONFIG": str(folder / "kubeconfig")}


def run(folder: Path, name: str, *options: str, env: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    argv = [str(ROOT / f"scripts/{name}.sh"), *options, *SCRIPTS[name]]
    return subprocess.run(
        argv, cwd=folder, env=env, text=True, capture_output=True, stdin=subprocess.DEVNULL, check=False
    )


def asked_the_cluster(done: "subprocess.CompletedProcess[str]") -> bool:
    """Whether a request was made, which nobody answers."""
    return "connection refused" in done.stderr.lower() or "the connection to the server" in done.stderr.lower()


@pytest.mark.parametrize("name", SCRIPTS)
@pytest.mark.parametrize("kind", FAR)
def test_a_cluster_elsewhere_is_not_touched_unless_its_name_is_given(folder: Path, name: str, kind: str) -> None:
    env = kubeconfig(folder, prod=FAR[kind], near={"server": NEAR[0]})
    refused = run(folder, name, env=env)
    assert refused.returncode == 2
    assert not asked_the_cluster(refused)
    assert refused.stderr.splitlines()[0].startswith(f"{name}: context prod, namespace ns: ")
    assert "pass --yes-remote prod; nothing was done" in refused.stderr
    wrong = run(folder, name, "--yes-remote", "near", env=env)
    assert (wrong.returncode, asked_the_cluster(wrong)) == (2, False)
    assert "--yes-remote names near, but the context is prod" in wrong.stderr
    assert run(folder, name, "--context", "near", env=env).stderr.startswith(f"{name}: context near")
    assert not (folder / "new.dump").exists()


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_confirmed_cluster_is_asked(folder: Path, name: str) -> None:
    done = run(folder, name, "--yes-remote", "prod", env=kubeconfig(folder, prod=FAR["server"]))
    assert done.returncode not in (0, 2)
    assert asked_the_cluster(done), done.stderr
    assert not list(folder.glob("new.dump*"))


@pytest.mark.parametrize("server", NEAR)
def test_a_cluster_on_this_machine_needs_no_confirmation(folder: Path, server: str) -> None:
    done = run(folder, "backup", env=kubeconfig(folder, near={"server": server}))
    assert asked_the_cluster(done), done.stderr


@pytest.mark.parametrize(
    "server",
    ["https://127.0.0.1.example.com:1", "https://localhost.example.com", "https://user@10.0.0.1", "https://1270.0.0.1"],
)
def test_an_address_that_only_looks_like_this_machine_s_is_elsewhere(folder: Path, server: str) -> None:
    assert "--yes-remote far" in run(folder, "backup", env=kubeconfig(folder, far={"server": server})).stderr


@pytest.mark.parametrize(("typed", "goes_on"), [("prod", True), ("yes", False), ("", False)])
def test_on_a_terminal_a_person_confirms_by_typing_the_name(folder: Path, typed: str, goes_on: bool) -> None:
    env = kubeconfig(folder, prod=FAR["server"])
    leader, follower = pty.openpty()
    argv = [str(ROOT / "scripts/restore.sh"), *SCRIPTS["restore"]]
    process = subprocess.Popen(argv, cwd=folder, env=env, stdin=follower, stdout=follower, stderr=follower)
    os.close(follower)
    os.write(leader, f"{typed}\n".encode())
    said = b""
    while True:
        try:
            said += os.read(leader, 4096)
        except OSError:  # its last writer has gone
            break
    os.close(leader)
    assert (process.wait() == 2) is not goes_on
    assert (b"nothing was done" in said) is not goes_on


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_call_that_is_not_understood_does_nothing(folder: Path, name: str) -> None:
    env = kubeconfig(folder, prod=FAR["server"])
    for options, said in ((["--force"], "there is no option --force"), (["--context"], "--context needs the name")):
        argv = [str(ROOT / f"scripts/{name}.sh"), *SCRIPTS[name], *options]
        done = subprocess.run(argv, cwd=folder, env=env, text=True, capture_output=True, check=False)
        assert done.returncode == 2
        assert said in done.stderr
    assert "usage:" in subprocess.run([argv[0]], env=env, text=True, capture_output=True, check=False).stderr
    unknown = run(folder, name, "--context", "other", env=env)
    assert (unknown.returncode, asked_the_cluster(unknown)) == (2, False)
    assert "no usable context other" in unknown.stderr


@pytest.mark.parametrize("password", ["plain", "p@ss/w#rd?:%41", "a\\b", "ü x", "&=+;$,[]{}|^`~!*()"])
def test_a_rotation_reads_and_replaces_a_password_however_it_is_quoted(password: str) -> None:
    dsn = f"postgresql://u%40x:{quote(password, safe='')}@postgres.ns.svc:5432/d%2Fb?sslmode=disable"
    script = 'source "$1"; password_of "$2"; echo; user_of "$2"; echo; with_password "$2" new'
    argv = ["bash", "-c", script, "by hand", str(ROOT / "scripts/rotate_password.sh"), dsn]
    done = subprocess.run(argv, text=True, capture_output=True, check=True)
    found, user, made = done.stdout.rsplit("\n", 2)
    assert (found, user) == (password, "u@x")
    assert conninfo_to_dict(made) == {**conninfo_to_dict(dsn), "password": "new"}
