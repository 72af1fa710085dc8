"""Objects in the shape that an API server gives, for the rules of `devenv explain`."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from devenv.kube.causes.facts import Around, Facts, Tail
from devenv.kube.objects import Object
from devenv.reconcile.explaining import Look, judged

HOME = "shop"
NAME = "web-6c9f7d5b8-x2x7p"
POD = f"uid-{NAME}"
Raw = dict[str, Any]


def parsed(raw: Raw) -> Object:
    return Object.parse(raw, HOME)


def head(version: str, kind: str, name: str, **meta: Any) -> Raw:
    body = {"name": name, "namespace": HOME, "uid": f"uid-{name}", "generation": 1, **meta}
    return {"apiVersion": version, "kind": kind, "metadata": body}


def by(kind: str, name: str) -> list[Raw]:
    version = "batch/v1" if kind == "Job" else "apps/v1"
    return [{"apiVersion": version, "kind": kind, "name": name, "uid": f"uid-{name}", "controller": True}]


def container(name: str = "web", image: str = "shop/web:1", **more: Any) -> Raw:
    return {"name": name, "image": image, "imagePullPolicy": "IfNotPresent", "resources": {}, **more}


def status(state: Raw, last: Raw | None = None, restarts: int = 0, name: str = "web", **more: Any) -> Raw:
    kept = {"lastState": {"terminated": last} if last else {}, "restartCount": restarts, "started": False}
    ran = {"containerID": "containerd://1"} if "waiting" not in state or last else {}
    return {"name": name, "image": "shop/web:1", "imageID": "", "ready": False, "state": state, **kept, **ran, **more}


def waiting(reason: str, message: str = "") -> Raw:
    return {"waiting": {"reason": reason, **({"message": message} if message else {})}}


def ended(code: int, reason: str = "Error", **more: Any) -> Raw:
    times = {"startedAt": "2026-01-01T10:00:00Z", "finishedAt": "2026-01-01T10:00:01Z"}
    return {"exitCode": code, "reason": reason, "containerID": "containerd://0", **times, **more}


RUNS: Raw = {"running": {"startedAt": "2026-01-01T10:00:00Z"}}
BACK_OFF = waiting("CrashLoopBackOff", f"back-off 10s restarting failed container=web pod={NAME}_shop({POD})")
NOT_READY = {
    "type": "Ready", "status": "False", "reason": "ContainersNotReady",
    "message": "containers with unready status: [web]",
}  # fmt: skip


def pod(
    *statuses: Raw, spec: Raw | None = None, phase: str = "Running", owner: str = "ReplicaSet", **more: Any
) -> Object:
    """Return a pod with one container, or with those of `spec`."""
    of = {"ReplicaSet": "web-6c9f7d5b8", "Job": "web"}[owner]
    made = head(
        "v1", "Pod", NAME, ownerReferences=by(owner, of), labels={"app": "web", "pod-template-hash": "6c9f7d5b8"}
    )
    made["metadata"]["creationTimestamp"] = "2026-01-01T10:00:00Z"
    made["spec"] = {"nodeName": "node-1", "containers": [container()], "volumes": [], **(spec or {})}
    made["status"] = {"phase": phase, "conditions": [NOT_READY], "containerStatuses": [*statuses], **more}
    return parsed(made)


def unscheduled(message: str, spec: Raw | None = None) -> Object:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    return pod(spec={"nodeName": "", **(spec or {})}, phase="Pending", conditions=[condition])


def event(reason: str, message: str, about: str = POD, type_: str = "Warning", second: int = 1) -> Raw:
    seen = {"lastTimestamp": f"2026-01-01T10:00:{second:02}Z", "count": 1}
    return {"reason": reason, "message": message, "type": type_, "involvedObject": {"uid": about}, **seen}


def deployment(replicas: int = 1, labels: Raw | None = None) -> Object:
    made = head("apps/v1", "Deployment", "web")
    template = {"metadata": {"labels": labels or {"app": "web"}}, "spec": {"containers": [container()]}}
    made["spec"] = {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}}, "template": template}
    made["status"] = {"observedGeneration": 1, "replicas": replicas, "updatedReplicas": replicas}
    return parsed(made)


def replica_set(**status: Any) -> Object:
    made = head("apps/v1", "ReplicaSet", "web-6c9f7d5b8", ownerReferences=by("Deployment", "web"))
    made["metadata"]["annotations"] = {"deployment.kubernetes.io/revision": "1"}
    return parsed({**made, "spec": {"replicas": 1}, "status": {"replicas": 0, **status}})


def job(*conditions: Raw) -> Object:
    made = head("batch/v1", "Job", "web")
    return parsed({**made, "spec": {"completions": 1}, "status": {"conditions": [*conditions]}})


def claim(name: str = "data", phase: str = "Pending", **spec: Any) -> Object:
    return parsed({**head("v1", "PersistentVolumeClaim", name), "spec": spec, "status": {"phase": phase}})


def storage_class(name: str, provisioner: str, default: bool = False, later: bool = False) -> Object:
    made = head("storage.k8s.io/v1", "StorageClass", name)
    made["metadata"]["annotations"] = {"storageclass.kubernetes.io/is-default-class": "true"} if default else {}
    return parsed(
        {**made, "provisioner": provisioner, "volumeBindingMode": "WaitForFirstConsumer" if later else "Immediate"}
    )


def service(name: str = "db", selector: Raw | None = None, **port: Any) -> Object:
    spec = {
        "type": "ClusterIP",
        "clusterIP": "10.96.0.9",
        "selector": selector or {"app": name},
        "ports": [{"port": 80, **port}],
    }
    return parsed({**head("v1", "Service", name), "spec": spec, "status": {"loadBalancer": {}}})


def node(*conditions: str, architecture: str = "amd64") -> Object:
    holds = [{"type": c, "status": "True"} for c in conditions]
    return parsed(
        {**head("v1", "Node", "node-1"), "status": {"conditions": holds, "nodeInfo": {"architecture": architecture}}}
    )


def facts(
    seen: Object | None,
    *pods: Object,
    events: tuple[Raw, ...] = (),
    log: str = "",
    sets: tuple[Object, ...] = (replica_set(),),
    **more: Any,
) -> Facts:
    """Return what is known of a part, as it is read from a cluster with these objects."""
    fields = {f: more.pop(f) for f in [*more] if f in Around.__dataclass_fields__}
    known = Look(Around(**{"pods": pods, **fields}), sets, events, datetime.now(UTC))
    part = seen.id if seen else deployment().id
    found = judged(part, seen, known)
    tail = Tail("web", tuple(log.splitlines())) if log else None
    return replace(found, tail=tail, **more)
