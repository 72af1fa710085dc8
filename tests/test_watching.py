"""`devenv status --watch`: what has changed is told when it has, in lines, as JSON, or on the whole terminal."""

import json
import os
import pty
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from devenv.commands import watching
from devenv.commands.status import Status
from devenv.forwarder.spec import ForwardStatus
from tests import api_store, looking
from tests.looking import DEPLOYMENTS, PODS, Machine, container, owner, pod, workload
from tests.waiting import eventually

FORWARD = ForwardStatus("web", 18080, "shop", "web", "http /", 30.0, "OPEN", "")
WELL = Status(
    "shop", "shop", "RUNNING", True, [{"name": "deployment/web", "state": "READY", "why": ""}], [FORWARD], [], "Next: x"
)
OURS = {"app.kubernetes.io/managed-by": "devenv", "devenv/name": "looking", "devenv/namespace": "shop"}
PENDING = [{"name": "deployment/web", "state": "PENDING", "why": "0 of 1 pods ready"}]


@pytest.mark.parametrize(
    ("before", "seen", "lines"),
    [
        (None, WELL, ["cluster shop is running", "deployment/web: READY", "forward/web: OPEN", "everything is ready"]),
        (WELL, WELL, []),
        (
            WELL,
            replace(WELL, ready=False, workloads=PENDING, next="Next: devenv up"),
            ["deployment/web: PENDING: 0 of 1 pods ready", "Next: devenv up"],
        ),
        (WELL, replace(WELL, forwards=[replace(FORWARD, served=7, sent=100, connections=1)]), []),
        (WELL, replace(WELL, forwards=[replace(FORWARD, state="LOST", reason="why")]), ["forward/web: LOST: why"]),
        (WELL, replace(WELL, workloads=[]), ["deployment/web: is not looked at any more"]),
        (WELL, replace(WELL, replaced=["a.py, by me"]), ["a.py, by me: replaced, not the image's"]),
        (WELL, replace(WELL, cluster="STOPPED", ready=False, next="Next: devenv start"),
         ["cluster shop is stopped", "Next: devenv start"]),
    ],
)  # fmt: skip
def test_a_line_is_told_of_each_part_that_is_not_as_it_was(
    before: Status | None, seen: Status, lines: list[str]
) -> None:
    assert [*watching.told(before, seen)] == lines


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """A machine whose Deployment web has one pod that is ready."""
    with looking.machine(tmp_path) as made:
        made.cluster.objects[f"{DEPLOYMENTS}/web"] = deployment(1)
        made.cluster.objects[f"{PODS}/web-1-a"] = made_pod("web-1-a", "True")
        made.extra["KUBECONFIG"] = str(api_store.kubeconfig(tmp_path, made.cluster.url))
        made.extra["DEVENV_CONTEXT"] = "c"
        yield made


def deployment(ready: int) -> Any:
    made = workload("Deployment", "web")
    made["metadata"] |= {"uid": "uid-web", "labels": OURS}
    made["metadata"]["managedFields"] = [{"manager": "devenv", "operation": "Apply", "fieldsV1": {}}]
    made["metadata"]["annotations"] = {"deployment.kubernetes.io/revision": "1"}
    made["status"] = {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "readyReplicas": ready}
    return made


def made_pod(name: str, ready: str) -> Any:
    made = pod(name, owner("ReplicaSet", "web-1"), container("web", f"run-{name}"))
    made["status"]["conditions"] = [{"type": "Ready", "status": ready}]
    return made


def states(lines: list[str]) -> list[str]:
    """Return the states of the Deployment, as lines of JSON tell them."""
    return [w["state"] for line in lines for w in json.loads(line)["workloads"] if w["name"] == "deployment/web"]


def test_a_change_in_the_cluster_is_a_line_of_json(machine: Machine) -> None:
    with machine.following("status", "--watch", "-o", "json") as told:
        eventually(lambda: states(told.lines)[-1:] == ["READY"])
        count = len(told.lines)
        machine.cluster.put(f"{PODS}/web-1-a", made_pod("web-1-a", "False"))
        machine.cluster.put(f"{DEPLOYMENTS}/web", deployment(0))
        eventually(lambda: states(told.lines)[-1:] == ["PENDING"])
        machine.cluster.cut()  # what is told afterwards is heard of too
        machine.cluster.put(f"{PODS}/web-1-a", made_pod("web-1-a", "True"))
        machine.cluster.put(f"{DEPLOYMENTS}/web", deployment(1))
        eventually(lambda: states(told.lines)[-1:] == ["READY"])
        assert len(told.lines) <= count + 6  # nothing is told twice


def test_a_change_in_the_cluster_is_a_line_for_a_person_until_ctrl_c(machine: Machine) -> None:
    child = machine.start("status", "-w")
    told = looking.Told(child)
    eventually(lambda: any("deployment/web: READY" in line for line in told.lines))
    machine.cluster.put(f"{DEPLOYMENTS}/web", deployment(0))
    eventually(lambda: any("deployment/web: PENDING: 0 of 1 pods ready" in line for line in told.lines))
    child.send_signal(signal.SIGINT)
    assert child.wait(10) == 0


def test_a_terminal_is_filled_with_the_tables_and_comes_back_as_it_was(machine: Machine) -> None:
    here, there = pty.openpty()
    child = machine.start("status", "--watch", stdout=there)
    os.close(there)
    seen = b""

    def read() -> bool:
        nonlocal seen
        seen += os.read(here, 1 << 16)
        return b"deployment/web" in seen and b"Ctrl-C ends" in seen

    eventually(read)
    child.send_signal(signal.SIGINT)
    assert child.wait(10) == 0
    read()
    assert seen.index(b"\x1b[?1049h") < seen.index(b"READY") < seen.rindex(b"\x1b[?1049l")
    os.close(here)
