"""Into a workload: which pod and container are meant, a restart that is waited for, the addresses of what is served."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from devenv.commands import browse
from devenv.commands.inside import restarting
from devenv.errors import UsageError
from devenv.forwarder.spec import HOLDING, LOST, OPEN, ForwardStatus
from devenv.kube import parts
from devenv.kube.objects import Object
from devenv.project.schema import Forward
from devenv.reconcile.actions import AwaitForwards, AwaitReady, Restart
from tests import looking
from tests.looking import DEPLOYMENTS, PODS, Machine, container, owner, pod, workload


def one(name: str, phase: str = "Running", ready: bool = True, made: str = "2026", leaves: bool = False) -> Object:
    meta = {"name": name, "creationTimestamp": made, **({"deletionTimestamp": "now"} if leaves else {})}
    status = {"phase": phase, "conditions": [{"type": "Ready", "status": "True" if ready else "False"}]}
    return Object.parse({"apiVersion": "v1", "kind": "Pod", "metadata": meta, "status": status}, "shop")


def test_the_pod_to_go_into_runs_and_is_rather_ready_and_rather_new() -> None:
    old, new, starting = one("old", made="2025"), one("new"), one("starting", ready=False, made="2027")
    none = [one("done", "Succeeded"), one("waits", "Pending"), one("goes", leaves=True)]
    assert parts.best([old, new, starting, *none]) == new
    assert parts.best([old, starting]) == old
    assert parts.best([starting, *none]) == starting
    assert parts.best(none) is None


def test_the_container_is_the_one_named_else_the_one_the_pod_says_else_its_first() -> None:
    raw: dict[str, Any] = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}}
    raw["spec"] = {"containers": [{"name": "proxy"}, {"name": "web"}]}
    said = {**raw, "metadata": {"name": "p", "annotations": {parts.DEFAULT: "web"}}}
    wrong = {**raw, "metadata": {"name": "p", "annotations": {parts.DEFAULT: "gone"}}}
    assert parts.container(Object.parse(raw, "shop"), None) == "proxy"
    assert parts.container(Object.parse(wrong, "shop"), None) == "proxy"
    assert parts.container(Object.parse(said, "shop"), None) == "web"
    assert parts.container(Object.parse(said, "shop"), "proxy") == "proxy"
    with pytest.raises(UsageError, match="pod/p has no container wbe; there are: proxy, web"):
        parts.container(Object.parse(raw, "shop"), "wbe")


def test_all_are_restarted_at_once_and_the_forwards_come_last() -> None:
    from datetime import UTC, datetime

    objects = [Object.parse(workload("Deployment", name), "shop") for name in ("a", "b")]
    steps = restarting(objects, datetime(2026, 1, 1, tzinfo=UTC), 60, served=True)
    kinds = [(type(step.action), step.name, step.needs) for step in steps]
    assert kinds == [
        (Restart, "restart deployment/a", ()),
        (AwaitReady, "ready deployment/a", ("restart deployment/a",)),
        (Restart, "restart deployment/b", ()),
        (AwaitReady, "ready deployment/b", ("restart deployment/b",)),
        (AwaitForwards, "forwards open", ("ready deployment/a", "ready deployment/b")),
    ]
    assert steps[0].action == Restart(objects[0], "2026-01-01T00:00:00Z")
    assert len(restarting(objects, datetime(2026, 1, 1, tzinfo=UTC), 60, served=False)) == 4


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    with looking.machine(tmp_path) as made:
        made.cluster.put(f"{DEPLOYMENTS}/web", deployment(1, 1))
        yield made


def deployment(generation: int, observed: int) -> dict[str, Any]:
    """Return the Deployment, which wants no pods, as its controller has seen it."""
    made = workload("Deployment", "web")
    made["metadata"] |= {"uid": "uid-web", "generation": generation}
    made["spec"]["replicas"] = 0
    made["status"] = {"observedGeneration": observed}
    return made


def test_restart_changes_the_template_as_kubectl_does_and_waits(machine: Machine) -> None:
    machine.cluster.made = lambda _: machine.cluster.put(f"{DEPLOYMENTS}/web", deployment(2, 2))
    done = machine.run("restart", "web")
    assert done.returncode == 0, done.stderr
    assert done.stderr.endswith("restarted: deployment/web\n")
    ((path, body),) = machine.cluster.bodies
    assert path.startswith(f"{DEPLOYMENTS}/web?")
    assert body["metadata"] == {"uid": "uid-web"}
    (stamp,) = body["spec"]["template"]["metadata"]["annotations"].items()
    assert stamp[0] == "kubectl.kubernetes.io/restartedAt"
    assert stamp[1].startswith("20")


def test_a_restart_that_does_not_become_ready_is_told_as_up_tells_it(machine: Machine) -> None:
    machine.cluster.made = lambda _: machine.cluster.put(f"{DEPLOYMENTS}/web", deployment(2, 1))
    late = machine.run("restart", "web")
    assert late.returncode == 3
    assert "deployment/web is not ready after 3 s: its controller has not seen the change yet" in late.stderr


def test_what_cannot_be_restarted_or_is_not_there_is_refused(machine: Machine) -> None:
    job = machine.run("restart", "move")
    assert (job.returncode, job.stdout) == (2, "")
    assert "job/move: only Deployment, StatefulSet, DaemonSet can be restarted" in job.stderr
    gone = machine.run("restart", "db")
    assert gone.returncode == 1
    assert "statefulset/db is not in the cluster\nhint: devenv up" in gone.stderr
    assert machine.cluster.bodies == []


def test_exec_says_why_there_is_nothing_to_go_into(machine: Machine) -> None:
    empty = machine.run("exec", "web", "--", "true")
    assert empty.returncode == 1
    assert "no pod of deployment/web is running\nhint: devenv status" in empty.stderr
    machine.cluster.put(f"{PODS}/web-1-aaaaa", pod("web-1-aaaaa", owner("ReplicaSet", "web-1"), container("web", "w1")))
    wrong = machine.run("exec", "web", "-c", "copy", "--", "true")
    assert wrong.returncode == 2
    assert "pod/web-1-aaaaa has no container copy; there are: web" in wrong.stderr
    none = machine.run("exec", "web")
    assert none.returncode == 2
    assert "no command given\nhint: devenv exec web -- sh" in none.stderr


@pytest.mark.parametrize(
    ("probe", "url"),
    [
        ("http /health", "http://127.0.0.1:8000/"),
        ("tls", "https://127.0.0.1:8000/"),
        ("redis", "redis://127.0.0.1:8000"),
        ("postgres", "postgresql://127.0.0.1:8000"),
        ("tcp", "tcp://127.0.0.1:8000"),
    ],
)
def test_the_address_of_a_forward_has_the_protocol_of_its_probe(probe: str, url: str) -> None:
    assert browse.url_of(Forward(service="s", ports="8000:80", probe=probe)) == url
    assert browse.Address(url, ()).is_page is url.startswith("http")


@pytest.mark.parametrize("state", [OPEN, HOLDING, LOST])
def test_an_address_is_of_use_while_its_forwards_are_open(state: str) -> None:
    seen = ForwardStatus("web", 8000, "shop", "web", "tcp", 30, state, "why")
    assert browse.closed(browse.Address("", ("web",)), [seen]) == (
        "" if state == OPEN else f"forward web is {state}: why"
    )
    assert browse.closed(browse.Address("", ("web",)), []) == "forward web is LOST: no process serves it"
    assert browse.closed(browse.Address("", ()), []) == ""


def test_open_names_what_there_is_and_opens_nothing_that_does_not_answer(machine: Machine) -> None:
    wrong = machine.run("open", "dcos")
    assert wrong.returncode == 2
    assert "nothing here is named dcos; there are: web, docs" in wrong.stderr
    lost = machine.run("open", "docs")
    assert (lost.returncode, lost.stdout) == (1, "")
    assert "forward web is LOST" in lost.stderr


def test_an_address_of_the_table_refers_to_what_there_is(machine: Machine) -> None:
    file = machine.root / "pyproject.toml"
    file.write_text(file.read_text().replace("${forwards.web}/docs", "${forwards.wbe}/docs"))
    assert "${forwards.wbe} is not known" in machine.run("open", "docs").stderr
    file.write_text(file.read_text().replace("http://127.0.0.1:${forwards.wbe}/docs", "javascript:alert(1)"))
    assert "open.docs" in machine.run("open", "docs").stderr


def listed(machine: Machine) -> list[dict[str, Any]]:
    return list(json.loads("\n".join(machine.fine("list", "-o", "json"))))


def test_list_names_the_state_of_each_cluster_without_asking_it(machine: Machine) -> None:
    known = {"name": "looking", "namespace": "shop", "context": None, "checkout": "/home/me/shop", "since": 5.0}
    home = machine.state / "devenv"
    (home / "looking/environment.json").write_text(json.dumps(known))
    spec = {"hash": "h", "node": "", "via": "auto", "forwards": [{"name": "web", "local_port": 18080}]}
    (home / "looking/forwards.json").write_text(json.dumps(spec))
    states = {
        "RUNNING": (True, False, True), "PAUSED": (True, True, True),
        "STOPPED": (False, False, True), "UNFINISHED": (True, False, False),
    }  # fmt: skip
    for state, (machine.node.running, machine.node.paused, machine.node.made) in states.items():
        assert listed(machine) == [
            {**known, "cluster": state, "since": 1767225600.0, "ports": {"web": 18080}, "served": False}
        ]
    machine.docker.answers |= {"/containers/json": [], "/networks": []}
    assert listed(machine)[0]["cluster"] == "ABSENT"
    assert machine.cluster.asked == []
    machine.extra["DOCKER_HOST"] = "unix:///nowhere/docker.sock"
    done = machine.run("list")
    assert done.returncode == 0
    assert done.stdout.splitlines()[1].split()[:3] == ["looking", "kind", "-"]
    assert "Docker does not answer" in done.stderr


def test_list_knows_clusters_without_a_folder_and_folders_without_a_cluster(machine: Machine) -> None:
    home = machine.state / "devenv"
    (home / "looking/kubeconfig").unlink()
    (home / "looking").rmdir()
    (home / "empty").mkdir()
    (home / "team-0123abcd").mkdir()
    about = {"name": "team", "namespace": "a", "context": "staging", "checkout": "/srv/team", "since": 7.0}
    (home / "team-0123abcd/environment.json").write_text(json.dumps(about))
    (home / "old").mkdir()
    (home / "old/environment.json").write_text("[]")
    found = listed(machine)
    assert [(e["name"], e["context"], e["cluster"], e["checkout"]) for e in found] == [
        ("looking", None, "RUNNING", None), ("team", "staging", None, "/srv/team"),
    ]  # fmt: skip
    machine.node.ours = False
    assert [e["name"] for e in listed(machine)] == ["team"]
