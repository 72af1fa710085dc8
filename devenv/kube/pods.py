"""The pods that an object is or makes, whatever its kind: their containers, and what they read. Pure.

A pod is known by its shape, a mapping with a list of containers: so it is found in a Deployment, a CronJob and a custom
resource alike.
"""

from collections.abc import Iterator
from typing import Any

Document = dict[str, Any]

LISTS = ("initContainers", "containers")  # what is started with the pod


def specs(value: Any) -> Iterator[Document]:
    """Yield the spec of each pod within a document."""
    if isinstance(value, list):
        for item in value:
            yield from specs(item)
    elif isinstance(value, dict):
        found = value.get("containers")
        if isinstance(found, list) and all(isinstance(c, dict) and "name" in c for c in found):
            yield value
        for item in value.values():
            yield from specs(item)


def templates(value: Any) -> Iterator[Document]:
    """Yield what has the spec of each pod within a document: its template, or the pod itself."""
    for one in value if isinstance(value, list) else (value,):
        if isinstance(one, dict):
            if (spec := one.get("spec")) and next(specs(spec), None) is spec:
                yield one
            for item in one.values():
                yield from templates(item)


def containers(document: Document) -> Iterator[Document]:
    """Yield the containers and init containers of all its pods."""
    for spec in specs(document):
        for key in LISTS:
            yield from mappings(spec.get(key))


def claims(document: Document) -> set[str]:
    """Return the names of the PersistentVolumeClaims among the volumes of its pods."""
    volumes = (volume for spec in specs(document) for volume in mappings(spec.get("volumes")))
    return {str(mapping(volume.get("persistentVolumeClaim")).get("claimName", "")) for volume in volumes} - {""}


def variables(document: Document) -> Iterator[tuple[str, str, str]]:
    """Yield the environment variables that its pods take from Secrets: name, Secret and key.

    Of a whole Secret, the prefix of its variables, and an empty key.
    """
    for container in containers(document):
        for variable in container.get("env") or ():
            source = (variable.get("valueFrom") or {}).get("secretKeyRef") or {}
            if source.get("name"):
                yield str(variable["name"]), str(source["name"]), str(source.get("key", ""))
        for whole in container.get("envFrom") or ():
            if name := (whole.get("secretRef") or {}).get("name"):
                yield str(whole.get("prefix") or ""), str(name), ""


def read(document: Document) -> Iterator[tuple[str, str, bool]]:
    """Yield kind and name of every ConfigMap and Secret that its pods read, and whether they start without it."""
    for spec in specs(document):
        yield from read_by(spec)


def read_by(spec: Document) -> Iterator[tuple[str, str, bool]]:
    """Yield kind and name of every ConfigMap and Secret that a pod's spec reads, and whether the pod starts without it.

    Source: the Kubernetes API, EnvVarSource, EnvFromSource, VolumeSource and ProjectedVolumeSource. What is of another
    shape, as it may be in a custom resource, reads nothing.
    """
    for container in (*mappings(spec.get("initContainers")), *mappings(spec.get("containers"))):
        for variable in mappings(container.get("env")):
            yield from named(mapping(variable.get("valueFrom")), "configMapKeyRef", "secretKeyRef")
        for whole in mappings(container.get("envFrom")):
            yield from named(whole, "configMapRef", "secretRef")
    for volume in mappings(spec.get("volumes")):
        for source in (volume, *mappings(mapping(volume.get("projected")).get("sources"))):
            yield from named(source, "configMap", "secret")


def named(source: Document, config_map: str, secret: str) -> Iterator[tuple[str, str, bool]]:
    for kind, reader in (("ConfigMap", mapping(source.get(config_map))), ("Secret", mapping(source.get(secret)))):
        if isinstance(name := reader.get("secretName") or reader.get("name"), str):
            yield kind, name, bool(reader.get("optional"))


def is_labelled(template: Document) -> bool:
    """Whether the template of a pod has labels or annotations, so that its kind lets it have both."""
    meta = mapping(template.get("metadata"))
    there = [meta[key] for key in ("labels", "annotations") if key in meta]
    return bool(there) and all(isinstance(entries, dict) for entries in there)


def mapping(value: Any) -> Document:
    """Return a mapping, or an empty one for what is none."""
    return value if isinstance(value, dict) else {}


def mappings(value: Any) -> list[Document]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
