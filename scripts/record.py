"""Record objects in each state that kube/verdict.py tells apart, from a real cluster, into tests/recorded.

Usage: KUBECONFIG=… python scripts/record.py IMAGE     (an image on the node with a shell, such as devenv.local/base:…)
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

TARGET = Path(__file__).parents[1] / "tests/recorded"
NAMESPACE = "recording"
Document = dict[str, Any]


def kubectl(*args: str, stdin: str = "") -> str:
    argv = ["kubectl", "--namespace", NAMESPACE, *args]
    return subprocess.run(argv, input=stdin, capture_output=True, text=True, check=True).stdout


def workload(kind: str, name: str, image: str, command: str = "sleep 600", **pod: Any) -> Document:
    container = {"name": "c", "image": image, "command": ["sh", "-c", command], **pod.pop("container", {})}
    spec = {"containers": [container], "terminationGracePeriodSeconds": 0, **pod}
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": spec}
    head: Document = {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name}}
    if kind == "Job":
        spec["restartPolicy"] = "Never"
        return head | {"apiVersion": "batch/v1", "spec": {"template": template, "backoffLimit": 0}}
    service = {"serviceName": name} if kind == "StatefulSet" else {}
    return head | {"spec": {"selector": {"matchLabels": labels}, "template": template, **service}}


def cases(image: str) -> dict[str, tuple[Document, Callable[[str], bool]]]:
    """Return, for each state, an object that gets there and how its pods' text shows that it has."""
    gold: Document = {"nodeSelector": {"disk": "gold"}}
    huge: Document = {"container": {"resources": {"requests": {"memory": "1000Gi"}}}}
    nowhere: Document = {"container": {"envFrom": [{"secretRef": {"name": "nowhere"}}]}}
    never: Document = {"container": {"readinessProbe": {"exec": {"command": ["false"]}, "periodSeconds": 1}}}
    return {
        "deployment-ready": (workload("Deployment", "ready", image), lambda t: '"availableReplicas": 1' in t),
        "deployment-not-ready": (workload("Deployment", "unready", image, **never), lambda t: '"started": true' in t),
        "deployment-crash-loop": (
            workload("Deployment", "crash", image, "echo no bread; exit 3"),
            lambda t: '"restartCount": 3' in t and "CrashLoopBackOff" in t,
        ),
        "deployment-no-node": (workload("Deployment", "gold", image, **gold), lambda t: "Unschedulable" in t),
        "deployment-too-big": (workload("Deployment", "huge", image, **huge), lambda t: "Unschedulable" in t),
        "deployment-no-image": (
            workload("Deployment", "image", "registry.invalid/nowhere:1"),
            lambda t: "ImagePullBackOff" in t,
        ),
        "deployment-no-secret": (
            workload("Deployment", "secret", image, **nowhere),
            lambda t: "CreateContainerConfigError" in t,
        ),
        "statefulset-ready": (workload("StatefulSet", "set", image), lambda t: '"availableReplicas": 1' in t),
        "daemonset-ready": (workload("DaemonSet", "daemon", image), lambda t: '"numberReady": 1' in t),
        "job-complete": (workload("Job", "done", image, "true"), lambda t: '"type": "Complete"' in t),
        "job-running": (workload("Job", "running", image), lambda t: '"ready": 1' in t),
        "job-failed": (workload("Job", "failed", image, "echo why; exit 1"), lambda t: '"type": "Failed"' in t),
    }


def seen(obj: Document) -> Document:
    """Return the object with the pods and ReplicaSets of the namespace."""
    label = f"app={obj['metadata']['name']}"
    living = json.loads(kubectl("get", obj["kind"], obj["metadata"]["name"], "-o", "json"))
    pods = json.loads(kubectl("get", "pods", "-l", label, "-o", "json"))["items"]
    sets = json.loads(kubectl("get", "replicasets", "-l", label, "-o", "json"))["items"]
    return {"object": living, "pods": pods, "sets": sets}


def main(image: str) -> None:
    made = cases(image)
    account = kubectl("create", "namespace", NAMESPACE)
    while not account.startswith("default"):
        account = kubectl("get", "serviceaccounts", "--no-headers", "--ignore-not-found")
    try:
        for obj, _ in made.values():
            kubectl("apply", "-f", "-", stdin=json.dumps(obj))
        for name, (obj, there) in made.items():
            while not there(text := json.dumps(seen(obj), indent=1)):
                time.sleep(0.5)
            (TARGET / f"{name}.json").write_text(f"{text}\n")
            print(name)
    finally:
        kubectl("delete", "namespace", NAMESPACE, "--wait=false")


if __name__ == "__main__":
    main(sys.argv[1])
