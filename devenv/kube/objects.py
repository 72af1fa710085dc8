"""A Kubernetes object as a value: parsed once, where YAML is read or the API server answers. Pure."""

import json
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import scrypt

from devenv.images.graph import REGISTRY
from devenv.images.reference import repository
from devenv.kube import pods
from devenv.kube.pods import Document as Document  # of which an object is made
from devenv.system.digest import of_value

MANAGED_BY = "app.kubernetes.io/managed-by"
MANAGER = "devenv"
ENVIRONMENT, HOME = "devenv/name", "devenv/namespace"  # the labels that name the environment
TTL = "ttlSecondsAfterFinished"  # of a Job
SOURCE = "devenv/source"  # the hash of what we applied
CHECKOUT = "devenv/checkout"  # on the namespace of a cluster of ours: the folder of the project that it belongs to
CONFIG = "devenv/config"  # on a pod template: the hash of the ConfigMaps and Secrets that it reads
INPUTS = "devenv/inputs"  # on a gate: the digest of the files that decide whether it runs again
WRITTEN = "devenv/written"  # beside it: the hash of the object as the manifests have it, with their names of images
RUNS = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController", "Job", "CronJob", "Pod")
RUN_AGAIN = ("Job", "Pod")  # of which hardly anything can be changed: the old one goes first
# Never pruned or replaced: what holds data, and definitions, with which everybody's objects of their kind go.
KEPT = ("Namespace", "PersistentVolume", "PersistentVolumeClaim", "CustomResourceDefinition")
# What runs nothing, and yet is not ready by being there; custom resources may not be either.
AWAITED = ("PersistentVolumeClaim", "CustomResourceDefinition", "APIService")
BUILT_IN = ("", "apps", "autoscaling", "batch", "policy")  # groups of Kubernetes itself, beside those of .k8s.io
# Kinds without a namespace, by the API's own list (kubectl api-resources). By hand, because manifests are read before
# there is a cluster to ask; what one says of a kind is asked where it matters (`kube.api.Api.is_namespaced`).
CLUSTER_SCOPED = (
    "Namespace", "ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition", "IngressClass", "PersistentVolume",
    "PriorityClass", "RuntimeClass", "StorageClass", "ValidatingWebhookConfiguration", "MutatingWebhookConfiguration",
    "ClusterIssuer", "Node",
)  # fmt: skip
# What other objects name comes before them; kinds that are not here come last.
FIRST = (
    "Namespace", "CustomResourceDefinition", "PriorityClass", "StorageClass", "ServiceAccount", "ClusterRole", "Role",
    "ClusterRoleBinding", "RoleBinding", "Secret", "ConfigMap", "PersistentVolumeClaim", "Service",
)  # fmt: skip
# n, r and p as RFC 7914 names them for interactive use: some 50 ms for each guess.
COST = {"n": 2**14, "r": 8, "p": 1}
# kubectl's own short names (kubectl api-resources).
SHORT = {
    "deploy": "deployment", "sts": "statefulset", "ds": "daemonset", "svc": "service", "cm": "configmap",
    "pvc": "persistentvolumeclaim", "pv": "persistentvolume", "crd": "customresourcedefinition", "ns": "namespace",
}  # fmt: skip


@dataclass(frozen=True, order=True)
class Id:
    """What tells one object from all others. `home`, the project's own namespace, only decides how it is shown."""

    group: str
    kind: str
    namespace: str  # empty for a kind that has none
    name: str
    home: str = field(default="", compare=False)

    def __str__(self) -> str:
        """Return how a person names the object: `deployment/api`, or `deployment/api@other` outside of home."""
        elsewhere = f"@{self.namespace}" if self.namespace not in ("", self.home) else ""
        return f"{self.kind.lower()}/{self.name}{elsewhere}"


@dataclass(frozen=True)
class Object:
    """An object of the manifests, or one that the API server told."""

    id: Id
    raw: Document = field(hash=False)

    @classmethod
    def parse(cls, raw: Document, home: str) -> "Object":
        """Return the object of a document; one that names no namespace is in the namespace `home`."""
        meta, kind = raw["metadata"], raw["kind"]
        group, _, _ = raw.get("apiVersion", "").rpartition("/")
        namespace = "" if kind in CLUSTER_SCOPED else str(meta.get("namespace") or home)
        return cls(Id(group, kind, namespace, str(meta["name"]), home), raw)

    def placed(self, namespace: str) -> "Object":
        """Return the object as one of this namespace, by its id."""
        return Object(replace(self.id, namespace=namespace), self.raw)

    @property
    def kind(self) -> str:
        return self.id.kind

    @property
    def meta(self) -> Document:
        return dict(self.raw["metadata"])

    @property
    def runs(self) -> bool:
        """Whether it is a workload: it is or makes pods."""
        return self.kind in RUNS

    @property
    def is_custom(self) -> bool:
        return self.id.group not in BUILT_IN and not self.id.group.endswith(".k8s.io")

    @property
    def is_balanced(self) -> bool:
        """Whether it is a Service that asks for an address of a load balancer."""
        return self.kind == "Service" and (self.raw.get("spec") or {}).get("type") == "LoadBalancer"

    @property
    def is_awaited(self) -> bool:
        """Whether it may be there and not ready yet."""
        return self.runs or self.is_balanced or self.kind in AWAITED or self.is_custom

    @cached_property
    def images(self) -> frozenset[str]:
        """The images of its containers and init containers."""
        return frozenset(c["image"] for c in pods.containers(self.raw) if c.get("image"))

    @cached_property
    def references(self) -> frozenset[Id]:
        """The ConfigMaps and Secrets that its pods read."""
        return frozenset(id_ for id_, _ in self._read)

    @cached_property
    def required(self) -> frozenset[Id]:
        """Those of them without which its pods do not start."""
        return frozenset(id_ for id_, optional in self._read if not optional)

    @cached_property
    def _read(self) -> tuple[tuple[Id, bool], ...]:
        here, home = self.id.namespace, self.id.home
        return tuple((Id("", kind, here, name, home), optional) for kind, name, optional in pods.read(self.raw))

    @property
    def source(self) -> str | None:
        """The hash of the source that it is, or was, applied from; None for what we did not apply."""
        return (self.meta.get("annotations") or {}).get(SOURCE)

    @property
    def inputs(self) -> str:
        """The digest of the files that decide whether it runs again, or an empty string where all of it does."""
        return str((self.meta.get("annotations") or {}).get(INPUTS, ""))

    @property
    def said(self) -> tuple[str, ...]:
        """What else decides of an object that has inputs: its manifest, and what its pods read."""
        found = [self.meta.get("annotations") or {}]
        found += [(t.get("metadata") or {}).get("annotations") or {} for t in pods.templates(self.raw)]
        return tuple(str(a.get(key, "")) for a in found for key in (WRITTEN, CONFIG))

    @property
    def leaves(self) -> bool:
        """Whether it is being deleted."""
        return bool(self.meta.get("deletionTimestamp"))

    def is_ours(self, environment: str = "") -> bool:
        """Whether we applied it; with a name, for that environment."""
        return owner(environment, self.id.home).items() <= (self.meta.get("labels") or {}).items()

    @property
    def is_applied(self) -> bool:
        """Whether our field manager applied it: controllers copy our labels to what they make themselves."""
        entries = self.meta.get("managedFields") or ()
        return any(e.get("manager") == MANAGER and e.get("operation") == "Apply" for e in entries)

    def with_images(self, references: Mapping[str, str]) -> "Object":
        """Return the object with each image whose repository is a key of `references` replaced. What no registry has is
        not to be pulled at each start.
        """
        raw = deepcopy(self.raw)
        for container in pods.containers(raw):
            if image := container.get("image"):
                container["image"] = references.get(repository(image), image)
                ours = container["image"].startswith(f"{REGISTRY}/")
                if ours and container.get("imagePullPolicy") == "Always":
                    container["imagePullPolicy"] = "IfNotPresent"
        return Object(self.id, raw)

    def with_config_hash(self, hashes: Mapping[Id, str]) -> "Object":
        """Return the object with the hash of what its pods read, so that new content means new pods.

        Of a custom resource, only a template that has labels or annotations: another may be of a kind that has none.
        """
        read = sorted(self.references & hashes.keys())
        if not (self.runs or self.is_custom) or not read:
            return self
        raw = deepcopy(self.raw)
        for template in pods.templates(raw):
            if self.runs or pods.is_labelled(template):
                annotations = template.setdefault("metadata", {}).setdefault("annotations", {})
                annotations[CONFIG] = of_value([hashes[id_] for id_ in read])
        return Object(self.id, raw)

    def kept(self) -> "Object":
        """Return a Job that stays when it has ended: it is what tells that it ran."""
        if self.kind != "Job" or TTL not in (self.raw.get("spec") or {}):
            return self
        spec = {key: value for key, value in self.raw["spec"].items() if key != TTL}
        return Object(self.id, {**self.raw, "spec": spec})

    def decided_by(self, inputs: str | None, written: str) -> "Object":
        """Return the object with what decides whether it runs again, where that is not all of it."""
        if not inputs:
            return self
        raw = deepcopy(self.raw)
        annotations = raw["metadata"].get("annotations") or {}
        raw["metadata"]["annotations"] = {**annotations, INPUTS: inputs, WRITTEN: written}
        return Object(self.id, raw)

    def claimed(self, environment: str = "") -> "Object":
        """Return the object as we apply it: labelled as ours, and as the environment's, with its source's hash."""
        raw = deepcopy(self.raw)
        raw["metadata"].setdefault("labels", {}).update(owner(environment, self.id.home))
        raw["metadata"].setdefault("annotations", {})[SOURCE] = of_value(raw)
        return Object(self.id, raw)


def reference(api_version: str, kind: str, name: str, namespace: str) -> Object:
    """Return what names an object to the API server, and nothing of its content."""
    meta = {"name": name, **({"namespace": namespace} if namespace else {})}
    return Object.parse({"apiVersion": api_version, "kind": kind, "metadata": meta}, namespace)


def find(objects: Iterable[Object], name: str) -> Object | None:
    """Return the object that a person means by `deployment/api` or `deploy/api`, or None."""
    kind, slash, rest = name.partition("/")
    full = f"{SHORT.get(kind, kind)}{slash}{rest}"
    return next((o for o in objects if str(o.id) == full), None)


def owner(environment: str, home: str) -> dict[str, str]:
    """Return the labels of what we apply. A cluster may have several environments, each of a name and a namespace: each
    prunes its own.
    """
    return {MANAGED_BY: MANAGER} | ({ENVIRONMENT: environment, HOME: home} if environment else {})


def selector(environment: str, home: str) -> str:
    return ",".join(f"{label}={value}" for label, value in owner(environment, home).items())


def secret(name: str, data: Mapping[str, str], home: str) -> Object:
    head: Document = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}}
    return Object.parse({**head, "type": "Opaque", "stringData": dict(data)}, home)


def with_data(obj: Object) -> Object:
    """Return a Secret with its values as `data` alone: a key that `stringData` drops stays in the cluster."""
    if obj.kind != "Secret" or not obj.raw.get("stringData"):
        return obj
    written = {key: b64encode(str(value).encode()).decode() for key, value in obj.raw["stringData"].items()}
    raw = {key: value for key, value in obj.raw.items() if key != "stringData"}
    return Object(obj.id, {**raw, "data": {**(raw.get("data") or {}), **written}})


def config_hash(obj: Object) -> str:
    """Return the hash of what pods read. That of a Secret is slow: who may look at pods is not to guess it."""
    if obj.kind != "Secret":
        return of_value(obj.raw)
    text, salt = hashed_text(obj)
    return scrypt(text, salt=salt, **COST).hex()[:32]


def hashed_text(obj: Object) -> tuple[bytes, bytes]:
    """Return what the hash of a Secret is made of, and its salt."""
    return json.dumps(obj.raw, sort_keys=True).encode(), str(obj.id).encode()


def service_port(service: Object, port: int) -> Document | None:
    """Return the port of a Service that has this number, or None."""
    return next((p for p in (service.raw.get("spec") or {}).get("ports") or () if p.get("port") == port), None)


def node_port(name: str, service: Object, port: Document) -> Object:
    """Return a NodePort Service for the pods behind this port of a Service."""
    ports = [{key: port[key] for key in ("port", "targetPort") if key in port}]
    spec = {"type": "NodePort", "selector": service.raw["spec"]["selector"], "ports": ports}
    meta = {**{k: v for k, v in service.meta.items() if k == "namespace"}, "name": name}
    raw = {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec}
    return Object(replace(service.id, name=name), raw)


def in_order(objects: Iterable[Object]) -> list[Object]:
    """Return the objects so that what others need comes first; a Service that chooses its NodePort before those that
    are given any.
    """
    rank = {kind: n for n, kind in enumerate(FIRST)}

    def key(obj: Object) -> tuple[int, str, bool, str, str]:
        chooses = obj.kind == "Service" and any(
            "nodePort" in port for port in (obj.raw.get("spec") or {}).get("ports") or ()
        )
        return rank.get(obj.kind, len(rank)), obj.kind.lower(), not chooses, obj.id.name, obj.id.namespace

    return sorted(objects, key=key)


def prepared(
    objects: Iterable[Object], environment: str = "", hashed: Callable[[Object], str] = config_hash
) -> list[Object]:
    """Return the objects as we apply them, in that order; pods follow what the ConfigMaps and Secrets hold.

    `hashed` is `config_hash`, or knows what that returns.
    """
    found = [with_data(obj) for obj in in_order(objects)]
    read = {id_ for obj in found if obj.runs or obj.is_custom for id_ in obj.references}
    asked = [o for o in found if o.id in read]
    with ThreadPoolExecutor() as pool:  # those of Secrets take their time, and hold no lock meanwhile
        hashes = dict(zip((o.id for o in asked), pool.map(hashed, asked), strict=True))
    return [o.with_config_hash(hashes).claimed(environment) for o in found]
