"""A cluster that devenv did not make, by --context: the same verbs, images by a registry, a guard, and a clean end."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from tests.cluster.environment import CHECKOUT, MARK, Environment, copied, docker, free_ports
from tests.cluster.foreign import Foreign, flags

SOMEBODY_S = "hello-guest"  # a namespace that devenv did not make


@pytest.fixture
def guest(foreign: Foreign, tmp_path: Path) -> Iterator[Environment]:
    """The hello project, to be brought up on somebody's cluster; what it leaves there is taken away."""
    root = copied(CHECKOUT / "tests/projects/hello", tmp_path, ("pyproject.toml", "app", "k8s"))
    # A person who asks for the one cluster must not be shown another.
    extra = {"KUBECONFIG": str(foreign.kubeconfig)}
    env = Environment(f"t{MARK}-guest", root, {"web": free_ports(5)[4]}, extra=dict(extra))
    env.fine("down", "--yes", *flags(foreign))
    yield env
    env.extra = extra
    env.fine("down", "--yes", *flags(foreign))
    foreign.kubectl("delete", "namespace", SOMEBODY_S, "hello", "--ignore-not-found")


def folder(env: Environment) -> Path:
    (found,) = (p for p in (env.state / "devenv").glob(f"{env.name}-*") if p.is_dir())
    return found


def page(env: Environment) -> str:
    return httpx.get(f"http://127.0.0.1:{env.ports['web']}/", timeout=30).text


def test_the_stack_comes_up_on_a_cluster_that_exists_and_goes_without_a_trace(
    foreign: Foreign, guest: Environment
) -> None:
    before, registry = foreign.kubeconfig.read_bytes(), f"{foreign.registry}/team"
    here = ("--context", foreign.context, "--registry", registry)
    every = foreign.kubectl("get", "namespaces,nodes", "--output", "name")
    steps = [s["name"] for s in json.loads(guest.fine("plan", *here, "-o", "json"))]
    assert not list((guest.state / "devenv").glob(f"{guest.name}*")), "who only looks leaves nothing"
    assert "cluster" not in steps
    assert "image devenv.node" not in steps
    assert {"push hello", "objects", "apply deployment/hello", "forwards"} <= set(steps)

    guest.fine("up", *here)
    assert page(guest) == "hello\n"
    assert guest.plan(*here) == ""
    again = guest.run("up", *here)
    assert (again.returncode, "already up to date" in again.stderr) == (0, True), again.stderr
    seen = guest.status(*here)
    assert (seen["cluster"], seen["ready"]) == ("RUNNING", True)
    assert [f["route"].split()[0] for f in seen["forwards"]] == ["api"]
    assert guest.fine("wait", "all", *here) == ""
    assert guest.fine("test", "smoke", *here) == "hello\n"
    values = json.loads(guest.fine("env", "--format", "json", *here))
    assert values["HELLO_URL"].endswith(f":{guest.ports['web']}")
    assert values["KUBECONFIG"] == str(folder(guest) / "kubeconfig")

    image = foreign.kubectl("-n", "hello", "get", "deployment/hello", "-o", "jsonpath={..containers[*].image}")
    assert image.startswith(f"{registry}/hello:")
    services = foreign.kubectl("-n", "hello", "get", "services", "-o", "name")
    assert services.split() == ["service/hello"]

    guest.fine("down", "--yes", *here)
    assert foreign.kubectl("get", "namespaces,nodes", "--output", "name") == every
    assert not [p for p in (guest.state / "devenv").glob(f"{guest.name}*")]
    assert foreign.kubeconfig.read_bytes() == before
    assert docker("ps", "--all", "--quiet", "--filter", f"name={guest.node}") == ""


def test_down_leaves_a_namespace_that_was_there_and_what_is_theirs_in_it(foreign: Foreign, guest: Environment) -> None:
    foreign.kubectl("create", "namespace", SOMEBODY_S)
    foreign.kubectl("-n", SOMEBODY_S, "create", "configmap", "theirs", "--from-literal=a=b")
    here = (*flags(foreign), "-n", SOMEBODY_S)
    guest.fine("up", *here)
    assert guest.plan(*here) == ""
    assert page(guest) == "hello\n"
    labels = foreign.kubectl("get", "namespace", SOMEBODY_S, "--output", "jsonpath={.metadata.labels}")
    assert "devenv" not in labels

    unasked = guest.run("down", *here)
    assert unasked.returncode == 2
    assert "pass --yes" in unasked.stderr
    assert page(guest) == "hello\n"

    guest.fine("down", "--yes", *here)
    left = foreign.kubectl("-n", SOMEBODY_S, "get", "all,configmaps", "--output", "name").split()
    assert left == ["configmap/kube-root-ca.crt", "configmap/theirs"]
    with pytest.raises(httpx.ConnectError):
        page(guest)


def test_an_object_of_somebody_else_s_is_not_taken_over(foreign: Foreign, guest: Environment) -> None:
    foreign.kubectl("create", "namespace", SOMEBODY_S)
    foreign.kubectl("-n", SOMEBODY_S, "create", "service", "clusterip", "hello", "--tcp=80")
    here = (*flags(foreign), "-n", SOMEBODY_S)
    refused = guest.run("up", *here)
    assert refused.returncode == 1
    assert "service/hello exists and is not managed by devenv; refusing to overwrite it" in refused.stderr
    assert foreign.kubectl("-n", SOMEBODY_S, "get", "deployments", "--output", "name") == ""
    guest.fine("down", "--yes", *here)
    assert foreign.kubectl("-n", SOMEBODY_S, "get", "services", "--output", "name").split() == ["service/hello"]


def test_two_environments_of_one_name_on_a_cluster_share_nothing(foreign: Foreign, guest: Environment) -> None:
    foreign.kubectl("create", "namespace", SOMEBODY_S)
    here, there = flags(foreign), (*flags(foreign), "-n", SOMEBODY_S)
    second = Environment(guest.name, guest.root, {"web": free_ports(7)[6]}, extra=guest.extra)
    guest.fine("up", *here)
    manifest = guest.root / "k8s/hello.yaml"
    before = manifest.read_text()
    role = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata:\n  name: of-the-second\nrules: []\n"
    manifest.write_text(f"{before}\n---\n{role}")
    second.fine("up", *there)
    manifest.write_text(before)
    assert guest.plan(*here) == ""
    assert second.plan(*there).splitlines() == [
        "delete clusterrole/of-the-second: no longer in the manifests; devenv applied it for this environment"
    ]

    guest.fine("down", "--yes", *here)
    assert page(second) == "hello\n"
    (guest.root / "k8s").rename(guest.root / "gone")
    second.fine("down", "--yes", *there)
    (guest.root / "gone").rename(guest.root / "k8s")
    assert foreign.kubectl("-n", SOMEBODY_S, "get", "all", "--output", "name") == ""
    assert foreign.kubectl("get", "clusterrole", "of-the-second", "--ignore-not-found", "--output", "name") == ""


VERBS = ("up", "plan", "status", "down --yes", "env", "test smoke", "wait all", "forward start", "images load")


def test_a_context_on_another_machine_is_guarded_for_every_verb(foreign: Foreign, guest: Environment) -> None:
    config = yaml.safe_load(foreign.kubeconfig.read_text())
    config["clusters"][0]["cluster"]["server"] = foreign.address
    remote = guest.root / "remote"
    remote.write_text(yaml.safe_dump(config))
    guest.extra["KUBECONFIG"] = str(remote)
    for verb in VERBS:
        for said in ((), ("--yes-remote", "another")):
            refused = guest.run(*verb.split(), *flags(foreign), *said)
            assert refused.returncode == 2, f"{verb}: {refused.stderr}"
            assert foreign.context in refused.stderr
            assert "--yes-remote" in refused.stderr
    assert "apply deployment/hello" in guest.fine("plan", *flags(foreign), "--yes-remote", foreign.context)
    guest.edit("pyproject.toml", "ready-within-s", f'remote-contexts = ["{foreign.context}"]\nready-within-s')
    guest.fine("up", *flags(foreign))
    assert page(guest) == "hello\n"


def test_what_is_missing_or_unknown_is_told(foreign: Foreign, guest: Environment) -> None:
    unknown = guest.run("plan", "--context", "nowhere", "--registry", foreign.registry)
    assert unknown.returncode == 2
    assert f"no context nowhere; there are: {foreign.context}" in unknown.stderr

    bare = guest.run("plan", "--context", foreign.context)
    assert bare.returncode == 2
    assert "pass --registry HOST[/PATH]" in bare.stderr

    node = guest.run("forward", "start", "--via", "node", *flags(foreign))
    assert node.returncode == 2
    assert "--via api" in node.stderr

    config = yaml.safe_load(foreign.kubeconfig.read_text())
    config["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{free_ports(6)[5]}"
    (guest.root / "away").write_text(yaml.safe_dump(config))
    with_env = {**guest.extra, "KUBECONFIG": str(guest.root / "away")}
    away = Environment(guest.name, guest.root, guest.ports, extra=with_env).run("plan", *flags(foreign))
    assert away.returncode == 1
    assert f"context {foreign.context}: reach the cluster" in away.stderr


def test_a_guest_with_the_rights_of_one_namespace_and_a_program_for_its_token_is_served(
    foreign: Foreign, guest: Environment
) -> None:
    """As managed clusters have it: the kubeconfig names a program that makes the credentials."""
    foreign.kubectl("create", "namespace", SOMEBODY_S)
    in_it = ("-n", SOMEBODY_S)
    foreign.kubectl(*in_it, "create", "serviceaccount", "guest")
    who = f"--serviceaccount={SOMEBODY_S}:guest"
    foreign.kubectl(*in_it, "create", "rolebinding", "guest", "--clusterrole=admin", who)
    token = foreign.kubectl(*in_it, "create", "token", "guest").strip()
    version = "client.authentication.k8s.io/v1"
    answer = {"apiVersion": version, "kind": "ExecCredential", "status": {"token": token}}
    login = guest.root / "login"
    login.write_text(f"#!/bin/sh\necho asked >>{guest.root}/asked\ncat <<'END'\n{json.dumps(answer)}\nEND\n")
    login.chmod(0o755)
    config = yaml.safe_load(foreign.kubeconfig.read_text())
    config["users"][0]["user"] = {"exec": {"apiVersion": version, "command": str(login), "interactiveMode": "Never"}}
    (guest.root / "managed").write_text(yaml.safe_dump(config))
    guest.extra["KUBECONFIG"] = str(guest.root / "managed")

    here = (*flags(foreign), *in_it)
    guest.fine("up", *here)
    assert page(guest) == "hello\n"
    assert guest.fine("test", "smoke", *here) == "hello\n"
    assert (guest.root / "asked").read_text().startswith("asked")
    guest.fine("down", "--yes", *here)
    assert foreign.kubectl(*in_it, "get", "deployments,services", "--output", "name") == ""
