"""Small objects that are each broken in one way, as manifests; nothing of the stack depends on them."""

# ruff: noqa: E501  a table has a line for each part

import json
from collections.abc import Iterable
from typing import Any

from tests import broken

IMAGE = "registry.example.com/somatechlat/somabrain:stable"  # has Python, and is on the node
Object = dict[str, Any]
SMALL = {"requests": {"cpu": "5m", "memory": "16Mi"}, "limits": {"cpu": "500m", "memory": "128Mi"}}
RESTRICTED = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
FALLS_AFTER_S = 8
WAITS = "import time; time.sleep(3600)"
SERVES = "import http.server; http.server.test(http.server.SimpleHTTPRequestHandler, port=8080)"
ANSWERS_LATE = """
import http.server, time
class Late(http.server.SimpleHTTPRequestHandler):
    def do_GET(self):
        time.sleep(5)
        self.send_error(200)
http.server.test(Late, http.server.ThreadingHTTPServer, port=8080)
"""
FILLS = "open('/full/file', 'wb').write(b'x' * (8 << 20))"
TAKES_MEMORY = "whole = b'x' * (400 << 20)"
# An executable for aarch64, as far as the kernel looks (ELF header: e_machine is 183).
FOREIGN = "import os; open('/x/p', 'wb').write(bytes.fromhex('7f454c46020101') + bytes(9) + bytes.fromhex('0200b700') + bytes(44)); os.chmod('/x/p', 0o755)"


def container(program: str = WAITS, *args: str, name: str = "c", **more: Any) -> Object:
    made = {
        "name": name,
        "image": IMAGE,
        "command": ["python3", "-c", program, *args],
        "imagePullPolicy": "IfNotPresent",
    }
    return {**made, "resources": SMALL, "securityContext": RESTRICTED, **more}


def falls(program: str) -> str:
    """Return a program that fails after a while: its node starts it again in a second, and many would be a load."""
    return f"import time; time.sleep({FALLS_AFTER_S})\n{program}"


def pod(*containers: Object, **more: Any) -> Object:
    security = {
        "runAsNonRoot": True,
        "runAsUser": 10001,
        "fsGroup": 10001,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    spec = {"automountServiceAccountToken": False, "securityContext": security, "terminationGracePeriodSeconds": 0}
    return {**spec, "containers": [*containers], **more}


def deployment(name: str, spec: Object, **labels: str) -> Object:
    own = {"app": name, **labels}
    template = {"metadata": {"labels": own}, "spec": spec}
    body = {"replicas": 1, "selector": {"matchLabels": {"app": name}}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": body}


def job(name: str, spec: Object) -> Object:
    template = {"metadata": {"labels": {"app": name}}, "spec": {**spec, "restartPolicy": "Never"}}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {"backoffLimit": 0, "template": template},
    }


def core(kind: str, name: str, spec: Object) -> Object:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}, "spec": spec}


def probe(port: int, path: str = "/", **more: int) -> Object:
    return {
        "readinessProbe": {"httpGet": {"path": path, "port": port}, "periodSeconds": 1, **more},
        "ports": [{"containerPort": 8080}],
    }


def volume(name: str, **source: Any) -> Object:
    return {"volumes": [{"name": name, **source}]}


def mounted(path: str, name: str) -> Object:
    return {"volumeMounts": [{"name": name, "mountPath": path}]}


SECRET: Object = {
    "env": [{"name": "X", "valueFrom": {"secretKeyRef": {"name": "somabrain-secrets", "key": "NOWHERE"}}}]
}
FREE: Object = {"resources": {}}

# By name: what is broken, and the kind of its cause.
PARTS: dict[str, tuple[Object, str]] = {
    "deployment/b-image": (deployment("b-image", pod(container(image="registry.invalid/nowhere:1"))), "image-missing"),
    "deployment/b-never": (deployment("b-never", pod(container(image="nowhere:1", imagePullPolicy="Never"))), "image-missing"),
    "deployment/b-foreign": (
        deployment(
            "b-foreign",
            pod(
                container(command=["/x/p"], **mounted("/x", "x")),
                initContainers=[container(FOREIGN, name="write", **mounted("/x", "x"))],
                **volume("x", emptyDir={}),
            ),
        ),
        "wrong-architecture",
    ),
    "deployment/b-crash": (deployment("b-crash", pod(container(falls(broken.RAISES)))), "crash"),
    "deployment/b-init": (deployment("b-init", pod(container(), initContainers=[container(broken.RAISES, name="prepare")])), "init-failed"),
    "deployment/b-port": (deployment("b-port", pod(container(SERVES, **probe(9999)))), "probe-port"),
    "deployment/b-strict": (deployment("b-strict", pod(container(ANSWERS_LATE, **probe(8080, timeoutSeconds=1)))), "probe-strict"),
    "deployment/b-path": (deployment("b-path", pod(container(SERVES, **probe(8080, "/nowhere")))), "probe-path"),
    "deployment/b-memory": (deployment("b-memory", pod(container(falls(TAKES_MEMORY)))), "out-of-memory"),
    "persistentvolumeclaim/b-claim": (
        core("PersistentVolumeClaim", "b-claim", {"storageClassName": "nowhere", "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}),
        "no-provisioner",
    ),
    "deployment/b-claimed": (deployment("b-claimed", pod(container(), **volume("v", persistentVolumeClaim={"claimName": "b-claim"}))), "no-provisioner"),
    "deployment/b-full": (
        deployment("b-full", pod(container(falls(FILLS), **mounted("/full", "v")), **volume("v", emptyDir={"medium": "Memory", "sizeLimit": "1Mi"}))),
        "volume-full",
    ),
    "deployment/b-key": (deployment("b-key", pod(container(**SECRET))), "key-missing"),
    "deployment/b-mount": (deployment("b-mount", pod(container(**mounted("/v", "v")), **volume("v", configMap={"name": "nowhere"}))), "config-missing"),
    "deployment/b-quota": (deployment("b-quota", pod(container(**FREE))), "quota"),
    "deployment/b-security": (deployment("b-security", {"containers": [{"name": "c", "image": IMAGE, "resources": SMALL}]}), "pod-security"),
    "deployment/b-webhook": (deployment("b-webhook", pod(container()), broken="webhook"), "webhook"),
    "deployment/b-policy": (deployment("b-policy", pod(container()), broken="policy"), "policy"),
    "deployment/b-room": (deployment("b-room", pod(container(resources={"requests": {"memory": "1000Gi"}}))), "too-big"),
    "deployment/b-name": (deployment("b-name", pod(container(falls(broken.ASKS_FOR_NOBODY)))), "dns"),
    "deployment/b-twice": (deployment("b-twice", pod(container(falls(broken.TAKES_A_PORT_TWICE)))), "port-taken"),
    "job/b-migrate": (job("b-migrate", pod(container(broken.MIGRATES))), "migration-failed"),
    "job/b-ahead": (job("b-ahead", pod(container(broken.MIGRATES, "0009"))), "database-ahead"),
    "service/b-service": (core("Service", "b-service", {"selector": {"app": "b-crahs"}, "ports": [{"port": 80}]}), "no-endpoints"),
}  # fmt: skip
QUOTA = core("ResourceQuota", "b-quota", {"hard": {"pods": "0"}, "scopes": ["BestEffort"]})


def guards(namespace: str) -> list[Object]:
    """Return a webhook that does not answer and a policy that denies, each for the pods with its label alone."""
    rules = [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}]
    there = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}

    def only(which: str) -> Object:
        return {"namespaceSelector": there, "objectSelector": {"matchLabels": {"broken": which}}}

    hook = {
        "name": "broken.example.com", "rules": rules, "sideEffects": "None", "admissionReviewVersions": ["v1"],
        "failurePolicy": "Fail", "timeoutSeconds": 1, **only("webhook"),
        "clientConfig": {"service": {"name": "nowhere", "namespace": namespace}},
    }  # fmt: skip
    group = "admissionregistration.k8s.io/v1"
    policy = {
        "matchConstraints": {"resourceRules": rules, **only("policy")},
        "validations": [{"expression": "false", "message": "no bread"}],
    }
    binding = {"policyName": "b-policy.example.com", "validationActions": ["Deny"]}
    named = {"name": "b-policy.example.com"}
    return [
        {
            "apiVersion": group,
            "kind": "ValidatingWebhookConfiguration",
            "metadata": {"name": "b-webhook"},
            "webhooks": [hook],
        },
        {"apiVersion": group, "kind": "ValidatingAdmissionPolicy", "metadata": named, "spec": policy},
        {"apiVersion": group, "kind": "ValidatingAdmissionPolicyBinding", "metadata": named, "spec": binding},
    ]


def manifests(objects: Iterable[Object]) -> str:
    """Return objects as a list in JSON, which every reader of manifests takes alike."""
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": [*objects]})
