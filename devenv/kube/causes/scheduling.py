"""Pods that no node takes, or that a node has put out. Pure.

Sources: kube-scheduler's filter plugins, the kubelet's eviction manager, the well-known taints of Kubernetes.
"""

import re

from devenv.kube.causes import storage
from devenv.kube.causes.cause import Cause, kubectl, short, up_after
from devenv.kube.causes.facts import Facts
from devenv.kube.pods import mappings
from devenv.kube.readiness import conditions, status_of, told

PRESSURES = {
    "MemoryPressure": "memory", "DiskPressure": "disk", "PIDPressure": "process IDs",
}  # fmt: skip
TAINTS = {
    "node.kubernetes.io/memory-pressure": "its memory is short", "node.kubernetes.io/disk-pressure": "its disk is full",
    "node.kubernetes.io/pid-pressure": "it runs too many processes", "node.kubernetes.io/not-ready": "it is not ready",
    "node.kubernetes.io/unreachable": "it cannot be reached", "node.kubernetes.io/unschedulable": "it is cordoned",
    "node.kubernetes.io/network-unavailable": "its network is not up",
}  # fmt: skip
LOW = re.compile(r"The node was low on resource: (?P<what>[\w-]+)|The node had condition: \[(?P<condition>\w+)\]")
LACKS = re.compile(r"Insufficient ([\w./-]+)")
TAINT = re.compile(r"untolerated taint\(?s?\)? \{(?P<key>[^:}]+)")
VOLUMES = re.compile(r"unbound immediate PersistentVolumeClaims|available persistent volumes|storageclass\S* \"")
CLAIM = re.compile(r'persistentvolumeclaim "(?P<name>[^"]+)" not found')


def evicted(facts: Facts) -> Cause | None:
    status = status_of(facts.pod) if facts.pod else {}
    if status.get("phase") != "Failed" or status.get("reason") != "Evicted":
        return None
    message = str(status.get("message") or "")
    found = LOW.search(message)
    of = (found["what"] or PRESSURES.get(found["condition"], found["condition"])) if found else ""
    text = f"the node put the pod out{f', since its {of} was short' if of else ''}: {short(message)}"
    return Cause("node-pressure", text, "kubectl describe nodes")


def unschedulable(facts: Facts) -> Cause | None:
    """Return why the scheduler finds no node, by its own message."""
    condition = told(facts.pod).get("PodScheduled", {}) if facts.pod else {}
    if condition.get("status") != "False":
        return None
    message = str(condition.get("message") or "")
    if m := CLAIM.search(message):
        return Cause("claim-missing", f"its claim {m['name']} is not there", up_after("add it, or correct claimName"))
    if VOLUMES.search(message):
        return storage.of_pod(facts) or Cause("claim", short(message), kubectl("get pvc", facts.part.namespace))
    if "free ports" in message:
        text = f"the port of the node that the pod wants is taken (hostPort {ports(facts)})"
        return Cause("port-taken", text, "kubectl get pods -A -o wide")
    if found := pressed(message, facts):
        return found
    if lacks := sorted({*LACKS.findall(message)}):
        text = f"no node has enough {' and '.join(lacks)} for what the pod requests"
        return Cause("too-big", text, "kubectl describe nodes  # see Allocated resources; or lower requests")
    if "affinity/selector" in message or "affinity rules" in message:
        text = f"no node has the labels that nodeSelector or affinity asks for: {short(message)}"
        return Cause("no-node", text, "kubectl get nodes --show-labels")
    return Cause("unschedulable", f"no node takes the pod: {short(message)}", "kubectl describe nodes")


def pressed(message: str, facts: Facts) -> Cause | None:
    """Return that a node's own state keeps pods away, or None."""
    keys = [m["key"] for m in TAINT.finditer(message)]
    named = [node.id.name for node in facts.around.nodes if {*PRESSURES} & conditions(node).keys()]
    for key in keys:
        if key in TAINTS:
            kind = "node-pressure" if key.endswith("-pressure") else "node-not-ready"
            node = f"node {', '.join(named)}" if named else "the node"
            return Cause(kind, f"{node} takes no pods: {TAINTS[key]}", "kubectl describe nodes")
    if keys:
        text = f"the nodes are tainted with {', '.join(sorted({*keys}))}, and the pod does not tolerate that"
        return Cause("taint", text, up_after("add a toleration"))
    return None


def ports(facts: Facts) -> str:
    spec = facts.pod.raw.get("spec") or {} if facts.pod else {}
    wanted = [
        str(p["hostPort"])
        for c in mappings(spec.get("containers"))
        for p in mappings(c.get("ports"))
        if p.get("hostPort")
    ]
    return ", ".join(wanted) or "?"
