"""The environment of a container, made as the kubelet makes it, for a process that is in no pod. Pure.

Source: Kubernetes documentation, "Define Environment Variables for a Container", "Define Dependent Environment
Variables"; k8s.io/kubernetes, pkg/kubelet/kubelet_pods.go (makeEnvironmentVariables) and
third_party/forked/golang/expansion.
"""

import json
import re
from base64 import b64decode
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from devenv.errors import DevenvError
from devenv.kube.objects import Document, Object
from devenv.kube.pods import mapping, mappings

# `$$`, `$(NAME)`, or `$` with whatever follows it, which stays as it is.
REFERENCE = re.compile(r"\$(?:\((?P<name>[^)]*)\)|(?P<other>.))", re.DOTALL)
ENTRY = re.compile(r"metadata\.(labels|annotations)\['([^']*)'\]")
ADDRESSES = ("status.podIP", "status.podIPs", "status.hostIP", "status.hostIPs")


@dataclass(frozen=True)
class Place:
    """What a container's environment and files are made of."""

    pod: Object  # as its workload's template has it, with a name
    container: Document
    there: Mapping[tuple[str, str], Object]  # ConfigMaps and Secrets of its namespace, by kind and name
    address: str = ""  # at which the cluster reaches this machine
    links: Mapping[str, str] = field(default_factory=dict)  # what tells of Services (enableServiceLinks)


@dataclass(frozen=True)
class Made:
    variables: Mapping[str, str]
    lacks: tuple[str, ...]  # what cannot be had outside of a pod


def expanded(text: str, known: Mapping[str, str]) -> str:
    """Return a text with each `$(NAME)` that is known replaced; `$$(NAME)` is `$(NAME)`."""

    def value(found: re.Match[str]) -> str:
        if found["other"] is not None:
            return "$" if found["other"] == "$" else found[0]
        return known.get(found["name"], found[0])

    return REFERENCE.sub(value, text)


def variables(place: Place) -> Made:
    """Return what the container has in its environment: of what is set twice the last counts, `env` after `envFrom`.

    Raise DevenvError for a ConfigMap, a Secret or a key of one that is not there and without which no pod starts.
    """
    found, lacks = dict(whole(place)), []
    for variable in mappings(place.container.get("env")):
        name, source = str(variable.get("name")), mapping(variable.get("valueFrom"))
        if text := str(variable.get("value") or ""):
            found[name] = expanded(text, {**place.links, **found})
        elif not source:
            found[name] = ""
        elif "configMapKeyRef" in source or "secretKeyRef" in source:
            if (value := of_key(place, source)) is not None:
                found[name] = value
        elif (value := field_of(place, source)) is not None:
            found[name] = value
        else:
            lacks.append(f"{name} is not set: only a pod has its {told(source)}")
    usable = {name: text for name, text in found.items() if name and "\0" not in name + text and "=" not in name}
    lacks += [f"{name} is not set: no process can have it" for name in sorted(found.keys() - usable.keys())]
    return Made({**place.links, **usable}, tuple(lacks))


def whole(place: Place) -> Iterator[tuple[str, str]]:
    """Yield what comes from whole ConfigMaps and Secrets."""
    for one in mappings(place.container.get("envFrom")):
        for kind, key in (("ConfigMap", "configMapRef"), ("Secret", "secretRef")):
            if ref := mapping(one.get(key)):
                obj = required(place, kind, ref, str(ref.get("name")))
                yield from ((f"{one.get('prefix') or ''}{k}", v) for k, v in texts(obj))


def of_key(place: Place, source: Document) -> str | None:
    """Return the value of a key; None where that is not there and need not be."""
    kind, ref = ("Secret", source.get("secretKeyRef")) if "secretKeyRef" in source else ("ConfigMap", None)
    ref = mapping(ref or source.get("configMapKeyRef"))
    name, key = str(ref.get("name")), str(ref.get("key"))
    value = dict(texts(required(place, kind, ref, name))).get(key)
    if value is None and not ref.get("optional"):
        raise lacking(f"key {key} of {kind.lower()}/{name}")
    return value


def required(place: Place, kind: str, ref: Document, name: str) -> Object | None:
    """Return a ConfigMap or Secret; None where it is not there and need not be."""
    found = place.there.get((kind, name))
    if found is None and not ref.get("optional"):
        raise lacking(f"{kind.lower()}/{name}")
    return found


def lacking(what: str) -> DevenvError:
    return DevenvError(f"{what} is not in the cluster, and no pod starts without it\nhint: devenv up")


def texts(obj: Object | None) -> Iterator[tuple[str, str]]:
    """Yield what a ConfigMap or Secret holds, as texts."""
    if obj is not None:
        for key, value in mapping(obj.raw.get("data")).items():
            yield str(key), decoded(obj, value).decode(errors="surrogateescape")


def contents(obj: Object | None) -> Iterator[tuple[str, bytes]]:
    """Yield what a ConfigMap or Secret holds, as the content of files."""
    if obj is not None:
        yield from ((str(key), decoded(obj, value)) for key, value in mapping(obj.raw.get("data")).items())
        yield from ((str(key), b64decode(value)) for key, value in mapping(obj.raw.get("binaryData")).items())


def decoded(obj: Object, value: object) -> bytes:
    return b64decode(str(value)) if obj.kind == "Secret" else str(value).encode(errors="surrogateescape")


def field_of(place: Place, source: Document) -> str | None:
    """Return a field of the pod; None for one that only a pod has."""
    path, pod = str(mapping(source.get("fieldRef")).get("fieldPath", "")), place.pod
    if entry := ENTRY.fullmatch(path):
        return str(mapping(pod.meta.get(entry[1])).get(entry[2], ""))
    if path in ("metadata.labels", "metadata.annotations"):
        return listed(mapping(pod.meta.get(path.partition(".")[2])))
    if path in ADDRESSES:
        return place.address or None
    if path == "spec.serviceAccountName":
        return str(mapping(pod.raw.get("spec")).get("serviceAccountName") or "default")
    return {"metadata.name": pod.id.name, "metadata.namespace": pod.id.namespace}.get(path)


def listed(entries: Mapping[str, object]) -> str:
    return "\n".join(f"{key}={json.dumps(str(value), ensure_ascii=False)}" for key, value in sorted(entries.items()))


def told(source: Document) -> str:
    """Return how a person calls a source of a value that cannot be had."""
    path = mapping(source.get("fieldRef")).get("fieldPath") or mapping(source.get("resourceFieldRef")).get("resource")
    return str(path or next(iter(source), "value"))


def links(ways: Iterable[tuple[str, int]]) -> dict[str, str]:
    """Return what the environment tells of Services that forwards lead to: their names with local ports."""
    found: dict[str, str] = {}
    for service, local_port in ways:
        name = service.upper().replace("-", "_")
        found.setdefault(f"{name}_SERVICE_HOST", "127.0.0.1")
        found.setdefault(f"{name}_SERVICE_PORT", str(local_port))
    return found
