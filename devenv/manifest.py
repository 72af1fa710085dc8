"""Kubernetes objects before they are applied: pure functions from documents to documents."""

from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from typing import Any

from devenv.digest import of_value

Document = dict[str, Any]

MANAGED_BY = "app.kubernetes.io/managed-by"
MANAGER = "devenv"
ENVIRONMENT = "devenv/name"  # the label that names the environment
SOURCE = "devenv/source"  # the hash of what we applied
CONFIG = "devenv/config"  # on a pod template: the hash of the ConfigMaps and Secrets that it reads
RUNS = ("Deployment", "StatefulSet", "DaemonSet", "Job")
# Kinds without a namespace that a stack may bring along; the API's own list (kubectl api-resources).
CLUSTER_SCOPED = (
    "Namespace", "ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition", "IngressClass", "PersistentVolume",
    "PriorityClass", "RuntimeClass", "StorageClass", "ValidatingWebhookConfiguration", "MutatingWebhookConfiguration",
)  # fmt: skip
# What other objects name comes before them; kinds that are not here come last.
FIRST = (
    "Namespace", "CustomResourceDefinition", "PriorityClass", "StorageClass", "ServiceAccount", "ClusterRole", "Role",
    "ClusterRoleBinding", "RoleBinding", "Secret", "ConfigMap", "PersistentVolumeClaim", "Service",
)  # fmt: skip


def key(obj: Mapping[str, Any]) -> str:
    """Return how a person names an object: `deployment/api`, or `deployment/api@other` outside the project's namespace.

    An object of the project's own namespace names none: see `at_home`.
    """
    meta = obj["metadata"]
    elsewhere = f"@{meta['namespace']}" if meta.get("namespace") else ""
    return f"{obj['kind'].lower()}/{meta['name']}{elsewhere}"


def at_home(obj: Document, home: str) -> Document:
    """Return the object without the name of its namespace, where that is the project's own."""
    meta = obj["metadata"]
    if meta.get("namespace") != home:
        return obj
    return {**obj, "metadata": {k: v for k, v in meta.items() if k != "namespace"}}


def place(obj: Mapping[str, Any], home: str) -> str:
    """Return the namespace that an object is in, or is; nothing for what has none."""
    meta = obj["metadata"]
    if obj["kind"] == "Namespace":
        return str(meta["name"])
    return "" if obj["kind"] in CLUSTER_SCOPED else str(meta.get("namespace") or home)


# kubectl's own short names (kubectl api-resources).
SHORT = {"deploy": "deployment", "sts": "statefulset", "ds": "daemonset"}


def full_key(name: str) -> str:
    """Return the key that a person means: `deploy/api` is deployment/api."""
    kind, slash, rest = name.partition("/")
    return f"{SHORT.get(kind, kind)}{slash}{rest}"


def pod_template(obj: Document) -> Document | None:
    if obj["kind"] == "Pod":
        return obj
    return obj["spec"]["template"] if obj["kind"] in RUNS else None


def containers(obj: Document) -> Iterator[Document]:
    """Yield the containers and init containers of whatever runs pods."""
    if template := pod_template(obj):
        yield from template["spec"].get("initContainers") or ()
        yield from template["spec"].get("containers") or ()


def images(obj: Document) -> set[str]:
    return {c["image"] for c in containers(obj)}


def repository(image: str) -> str:
    """Return an image reference without tag and digest, in full: `postgres:15` is docker.io/library/postgres.

    Source: the reference grammar of distribution; a first part with a dot, a colon or `localhost` is a host.
    """
    name = image.split("@")[0]
    head, slash, last = name.rpartition("/")
    name = f"{head}{slash}{last.split(':')[0]}"
    host, slash, _ = name.partition("/")
    if not slash:
        return f"docker.io/library/{name}"
    return name if "." in host or ":" in host or host == "localhost" else f"docker.io/{name}"


def with_images(obj: Document, references: Mapping[str, str]) -> Document:
    """Return the object with each image whose repository is a key of `references` replaced."""
    new = deepcopy(obj)
    for container in containers(new):
        container["image"] = references.get(repository(container["image"]), container["image"])
    return new


def config_names(value: Any, field: str = "") -> set[str]:
    """Return `configmap/x` and `secret/x` for all that a pod template reads.

    Source: the Kubernetes API, EnvVarSource, EnvFromSource, VolumeSource and ProjectedVolumeSource.
    """
    if isinstance(value, list):
        return {name for item in value for name in config_names(item, field)}
    if not isinstance(value, dict):
        return set()
    kind = {"configMap": "configmap", "configMapRef": "configmap", "configMapKeyRef": "configmap",
            "secret": "secret", "secretRef": "secret", "secretKeyRef": "secret"}.get(field)  # fmt: skip
    name = value.get("name") or value.get("secretName")
    here = {f"{kind}/{name}"} if kind and name else set()
    return here | {n for k, v in value.items() for n in config_names(v, k)}


def with_config_hash(obj: Document, sources: Mapping[str, str]) -> Document:
    """Return the object with the hash of what its pods read, so that new content means new pods."""
    template, elsewhere = pod_template(obj), key(obj).partition("@")
    read = (
        sorted({n + "".join(elsewhere[1:]) for n in config_names(template["spec"])} & sources.keys())
        if template
        else []
    )
    if obj["kind"] not in RUNS or not read:
        return obj
    new = deepcopy(obj)
    annotations = new["spec"]["template"].setdefault("metadata", {}).setdefault("annotations", {})
    annotations[CONFIG] = of_value([sources[name] for name in read])
    return new


def claimed(obj: Document, environment: str = "") -> Document:
    """Return the object as we apply it: labelled as ours, for an environment by its name, with its source's hash."""
    new = deepcopy(obj)
    meta = new["metadata"]
    meta.setdefault("labels", {}).update(owner(environment))
    meta.setdefault("annotations", {})[SOURCE] = of_value(new)
    return new


def owner(environment: str) -> dict[str, str]:
    """Return the labels of what we apply. A cluster may have several environments, and each prunes its own."""
    return {MANAGED_BY: MANAGER} | ({ENVIRONMENT: environment} if environment else {})


def selector(environment: str) -> str:
    return ",".join(f"{label}={value}" for label, value in owner(environment).items())


def is_ours(obj: Mapping[str, Any], environment: str = "") -> bool:
    """Whether we applied the object; with a name, for that environment."""
    return owner(environment).items() <= (obj["metadata"].get("labels") or {}).items()


def source(obj: Mapping[str, Any]) -> str:
    """Return the hash of the source that the object was applied from, or nothing."""
    return str((obj["metadata"].get("annotations") or {}).get(SOURCE, ""))


def secret(name: str, data: Mapping[str, str]) -> Document:
    head = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}}
    return {**head, "type": "Opaque", "stringData": dict(data)}


def service_port(service: Document, port: int) -> Document | None:
    """Return the port of a Service that has this number, or None."""
    return next((p for p in service["spec"].get("ports") or () if p["port"] == port), None)


def node_port(name: str, service: Document, port: Document) -> Document:
    """Return a NodePort Service that leads where this port of a Service leads."""
    way = {k: port[k] for k in ("port", "targetPort") if k in port}
    spec = {"type": "NodePort", "selector": service["spec"]["selector"], "ports": [way]}
    meta = {**{k: v for k, v in service["metadata"].items() if k == "namespace"}, "name": name}
    return {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec}


def in_order(objects: Iterable[Document]) -> list[Document]:
    """Return the objects so that what others need comes first."""
    rank = {kind: n for n, kind in enumerate(FIRST)}
    return sorted(objects, key=lambda o: (rank.get(o["kind"], len(rank)), key(o)))


def prepared(objects: Iterable[Document], environment: str = "") -> list[Document]:
    """Return the objects as we apply them, in that order; pods follow what the ConfigMaps and Secrets hold."""
    found = in_order(objects)
    hashes = {key(o): of_value(o) for o in found if o["kind"] in ("ConfigMap", "Secret")}
    return [claimed(with_config_hash(o, hashes), environment) for o in found]
