"""Kubernetes objects for the ingress's scenarios, in few words."""

from collections.abc import Iterable
from typing import Any

NAMESPACE = "ingress-test"
# s1, s2 and s3 are three ports of the same two pods.
BACKENDS = {"s1": 8001, "s2": 8002, "s3": 8003}
PYTHON_IMAGE = "registry.example.com/somatechlat/somabrain:stable"
Object = dict[str, Any]


def object_(version: str, kind: str, name: str, **parts: Any) -> Object:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": NAMESPACE}, **parts}


def secret(name: str, kind: str, data: dict[str, str]) -> Object:
    return object_("v1", "Secret", name, type=kind, stringData=data)


def service(name: str, port: int, selector: dict[str, str]) -> Object:
    ports = [{"name": "http", "port": 80, "targetPort": port}]
    return object_("v1", "Service", name, spec={"selector": selector, "ports": ports})


def deployment(name: str, replicas: int) -> Object:
    container = {
        "name": "echo", "image": PYTHON_IMAGE, "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "/echo/echo.py", *(f"{s}={p}" for s, p in BACKENDS.items())],
        "readinessProbe": {"tcpSocket": {"port": BACKENDS["s1"]}, "periodSeconds": 1},
        "volumeMounts": [{"name": "echo", "mountPath": "/echo"}],
    }  # fmt: skip
    pod = {"containers": [container], "volumes": [{"name": "echo", "configMap": {"name": "echo"}}]}
    template = {"metadata": {"labels": {"app": name}}, "spec": {**pod, "terminationGracePeriodSeconds": 5}}
    selector = {"matchLabels": {"app": name}}
    return object_(
        "apps/v1", "Deployment", name, spec={"replicas": replicas, "selector": selector, "template": template}
    )


def ingress_object(
    name: str,
    rules: Iterable[str] = (),
    tls: dict[str, str] | None = None,
    default: str | None = None,
    annotations: dict[str, str] | None = None,
) -> Object:
    """Return an Ingress. A rule is `HOST TYPE PATH SERVICE`, `-` for no host; `tls` has the Secret of each host."""
    spec: Object = {"ingressClassName": "nginx", "rules": [rule(r) for r in rules]}
    if tls:
        spec["tls"] = [{"hosts": [host], "secretName": name} for host, name in tls.items()]
    if default:
        spec["defaultBackend"] = backend(default)
    made = object_("networking.k8s.io/v1", "Ingress", name, spec=spec)
    made["metadata"]["annotations"] = annotations or {}
    return made


def rule(line: str) -> Object:
    host, kind, path, to = line.split()
    made: Object = {"http": {"paths": [{"path": path, "pathType": kind, "backend": backend(to)}]}}
    return made if host == "-" else {"host": host, **made}


def backend(to: str) -> Object:
    name, _, port = to.partition(":")
    return {"service": {"name": name, "port": {"number": int(port or 80)}}}
