"""devenv explain: what is printed of a cluster where something is wrong, and of one where nothing is."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import looking
from tests.causes import BACK_OFF, ended, status
from tests.looking import DEPLOYMENTS, EVENTS, NAMESPACE, PODS, Machine, at, owner, pod, service, workload
from tests.test_events import event

SERVICES, STATEFUL = f"/api/v1/namespaces/{NAMESPACE}/services", DEPLOYMENTS.replace("deployments", "statefulsets")
JOBS = f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs"
POD = "web-1-aaaaa"
LOG = (
    at(0, "starting with hunter2secret"),
    at(1, "Traceback (most recent call last):"),
    at(2, '  File "/app/main.py", line 3, in <module>'),
    at(3, f"ValueError: no bread {'of any kind ' * 22}but a hunter2secret"),
)


def there(kind: str, name: str, **status: Any) -> dict[str, Any]:
    made = workload(kind, name)
    made["metadata"] |= {"uid": f"uid-{name}", "generation": 1}
    made["spec"]["replicas"] = status.pop("replicas", 0)
    return {**made, "status": {"observedGeneration": 1, **status}}


def ready(name: str) -> dict[str, Any]:
    made = pod(name, owner("ReplicaSet", "web-1"), {"name": "web", "ready": True, "state": {"running": {}}})
    made["metadata"]["labels"] = {"app": "web"}
    return dict(made)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """A stack of which all is well: no pods are wanted but one of web, and the Job is complete."""
    with looking.machine(tmp_path) as made:
        counts = {"replicas": 1, "readyReplicas": 1, "updatedReplicas": 1}
        made.cluster.put(
            f"{DEPLOYMENTS}/web",
            {**there("Deployment", "web", replicas=1), "status": {"observedGeneration": 1, **counts}},
        )
        made.cluster.put(f"{STATEFUL}/db", there("StatefulSet", "db"))
        made.cluster.put(f"{JOBS}/move", there("Job", "move", conditions=[{"type": "Complete", "status": "True"}]))
        served = service("web")
        served["metadata"] |= {"namespace": NAMESPACE, "uid": "uid-service"}
        made.cluster.put(f"{SERVICES}/web", served)
        made.cluster.put(f"{PODS}/{POD}", ready(POD))
        yield made


def crash(machine: Machine) -> None:
    """Have the one pod of web crash, again and again."""
    seen = status(BACK_OFF, ended(1, containerID="run"), 2)
    made = pod(POD, owner("ReplicaSet", "web-1"), seen)
    made["metadata"]["labels"] = {"app": "web"}
    made["status"]["conditions"] = [{"type": "Ready", "status": "False", "reason": "ContainersNotReady"}]
    machine.cluster.put(f"{PODS}/{POD}", made)
    machine.cluster.say("run", *LOG)
    told = event("1", ("Pod", POD), 3, "Back-off restarting failed container web", type="Warning", reason="BackOff")
    told["involvedObject"]["uid"] = f"uid-{POD}"
    machine.cluster.put(f"{EVENTS}/1", told)


def test_where_nothing_is_wrong_it_says_so_in_one_line(machine: Machine) -> None:
    assert machine.fine("explain") == ["nothing is wrong"]
    assert machine.fine("explain", "deploy/web") == ["deployment/web: nothing is wrong"]
    assert machine.fine("explain", "-o", "json") == ["[]"]


def test_the_chain_is_a_tree_of_80_columns_that_ends_in_the_cause_and_the_next_command(machine: Machine) -> None:
    crash(machine)
    done = machine.run("explain", "web")
    assert done.returncode == 1, done.stderr
    lines = done.stdout.splitlines()
    assert lines[:4] == [
        "deployment/web: pending",
        "└ replicaset/web-1: 0 of 0 pods ready",
        f"  └ pod/{POD}: Running, on no node",
        "    └ container web: CrashLoopBackOff, 2 restarts, exit code 1",
    ]
    assert lines[4:6] == [
        "      ├ Ready False: ContainersNotReady",
        "      ├ event BackOff: Back-off restarting failed container web",
    ]
    assert lines[8].startswith("      └ log (former run): ValueError: no bread")
    end = lines.index("next: devenv logs deployment/web --tail 50")
    assert lines[9].startswith("cause: container web crashes with exit code 1, 2 restarts so far:")
    assert " ".join(line.strip() for line in lines[9:end]).count("of any kind") > 5
    assert max(map(len, lines)) <= 80
    assert "hunter2" not in done.stdout
    # The Service of the same name leads to no pod, which is said too where it is asked for.
    assert "none of 1 with its labels is ready" in " ".join(done.stdout.split())


def test_of_all_parts_only_the_cause_is_told_and_not_what_follows_from_it(machine: Machine) -> None:
    crash(machine)
    done = machine.run("explain", "-o", "json")
    assert done.returncode == 1
    (found,) = json.loads(done.stdout)
    assert (found["part"], found["state"], found["kind"]) == ("deployment/web", "PENDING", "crash")
    assert "hunter2" not in done.stdout
    assert [link["kind"] for link in found["chain"]] == [
        *("owner", "owner", "pod", "container", "condition", "event", "log", "log", "log"),
    ]  # fmt: skip
    assert found["next"] == "devenv logs deployment/web --tail 50"


def test_a_service_that_selects_other_labels_is_told_with_both(machine: Machine) -> None:
    wrong = service("web")
    wrong["metadata"] |= {"namespace": NAMESPACE, "uid": "uid-service"}
    wrong["spec"]["selector"] = {"app": "wbe"}
    machine.cluster.put(f"{SERVICES}/web", wrong)
    done = machine.run("explain")
    assert done.returncode == 1
    told = " ".join(done.stdout.split())
    assert f"cause: service/web selects app=wbe, and no pod has these labels; pod/{POD} has app=web" in told


def test_what_a_pod_answers_to_its_probe_is_asked_once(machine: Machine) -> None:
    get = {"httpGet": {"path": "/ready?full", "port": "http"}}
    made = ready(POD)
    made["status"]["conditions"] = [{"type": "Ready", "status": "False"}]
    made["status"]["containerStatuses"][0]["ready"] = False
    made["spec"]["containers"][0] |= {"readinessProbe": get, "ports": [{"name": "http", "containerPort": 8080}]}
    machine.cluster.put(f"{PODS}/{POD}", made)
    told = event(
        "1", ("Pod", POD), 3, "Readiness probe failed: HTTP probe failed with statuscode: 503", reason="Unhealthy"
    )
    told["involvedObject"]["uid"] = f"uid-{POD}"
    machine.cluster.put(f"{EVENTS}/1", told)
    machine.cluster.objects[f"{PODS}/{POD}:8080/proxy/ready"] = {"alerts": ["cache", "hunter2secret"]}
    (found,) = json.loads(machine.run("explain", "-o", "json").stdout)
    assert found["kind"] == "unready"
    assert found["cause"].endswith('the program itself says that it is not ready: {"alerts": ["cache", "***"]}')
    assert sum("/proxy/" in line for line in machine.cluster.asked) == 1


def test_a_local_port_that_another_holds_is_told_where_the_stack_itself_is_well(machine: Machine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        machine.extra["DEVENV_PORT_WEB"] = str(port)
        done = machine.run("explain", "-o", "json")
        assert done.returncode == 1, done.stderr
        (found,) = json.loads(done.stdout)
        assert (found["part"], found["state"], found["kind"]) == ("forward/web", "LOST", "port-taken")
        assert f"port {port} of forward web is in use by process " in found["cause"]
        assert machine.fine("explain", "deployment/web") == ["deployment/web: nothing is wrong"]
        crash(machine)
        (found,) = json.loads(machine.run("explain", "-o", "json").stdout)
        assert found["part"] == "deployment/web"


def test_what_is_not_there_is_told_with_the_command_that_brings_it(machine: Machine) -> None:
    del machine.cluster.objects[f"{STATEFUL}/db"]
    done = machine.run("explain", "db")
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        "statefulset/db: not in the cluster",
        "cause: statefulset/db is not in the cluster",
        "next: devenv up",
    ]


def test_a_part_that_is_not_there_is_wrong_usage(machine: Machine) -> None:
    done = machine.run("explain", "wbe")
    assert done.returncode == 2
    assert "nothing here is named wbe; there are: " in done.stderr
    assert "service/web" in done.stderr


def test_nothing_of_the_cluster_is_changed(machine: Machine) -> None:
    crash(machine)
    machine.run("explain")
    assert machine.cluster.bodies == []
    assert {line.split()[0] for line in machine.cluster.asked} == {"GET"}
