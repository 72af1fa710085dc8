"""The files that a container has of ConfigMaps, Secrets and its pod's fields, for a process in no pod. Pure.

Source: the Kubernetes API, Volume, ProjectedVolumeSource and VolumeMount; Kubernetes documentation, "Volumes".
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from devenv.kube.objects import Document
from devenv.kube.pod_env import Place, contents, expanded, field_of, lacking, required
from devenv.kube.pods import mapping, mappings

KINDS = ("configMap", "secret", "projected", "downwardAPI")
EXECUTABLE = 0o111


@dataclass(frozen=True)
class File:
    data: bytes
    executable: bool = False


@dataclass(frozen=True)
class Mounted:
    """What lies where in the container. `files` are by their whole paths."""

    mounts: tuple[str, ...] = ()  # that are made of such files
    files: Mapping[str, File] = field(default_factory=dict)
    elsewhere: Mapping[str, str] = field(default_factory=dict)  # other mounts -> what they are of
    lacks: tuple[str, ...] = ()


def mounted(place: Place, variables: Mapping[str, str]) -> Mounted:
    """Return the files that are mounted into the container. Raise DevenvError for what no pod starts without."""
    volumes = {str(v.get("name")): v for v in mappings(mapping(place.pod.raw.get("spec")).get("volumes"))}
    mounts, files, elsewhere, lacks = [], dict[str, File](), dict[str, str](), list[str]()
    for mount in mappings(place.container.get("volumeMounts")):
        path, name = str(PurePosixPath(str(mount.get("mountPath")))), str(mount.get("name"))
        volume = volumes.get(name, {})
        if not any(kind in volume for kind in KINDS):
            kind = next((key for key in volume if key != "name"), "volumeClaimTemplates")
            elsewhere[path] = f"volume {name} ({kind})"
            continue
        there = dict(files_of(place, volume, lacks))
        below = str(mount.get("subPath") or expanded(str(mount.get("subPathExpr") or ""), variables))
        chosen = dict(selected(there, below))
        if below and not chosen:
            lacks.append(f"{path} is not there: volume {name} has no {below}")
            continue
        mounts.append(path)
        files |= {f"{path}/{rest}" if rest else path: file for rest, file in chosen.items()}
    return Mounted(tuple(mounts), files, elsewhere, tuple(dict.fromkeys(lacks)))


def selected(files: Mapping[str, File], below: str) -> Iterator[tuple[str, File]]:
    """Yield the files of a volume that are mounted, by their paths below the mount: all of it, or a part."""
    for path, file in files.items():
        if not below or path == below:
            yield ("" if below else path), file
        elif path.startswith(f"{below}/"):
            yield path.removeprefix(f"{below}/"), file


def files_of(place: Place, volume: Document, lacks: list[str]) -> Iterator[tuple[str, File]]:
    """Yield the files of a volume by their paths in it; what only a pod has is added to `lacks`."""
    projected = mapping(volume.get("projected"))
    default = next((mapping(volume.get(k)).get("defaultMode") for k in KINDS if k in volume), None) or 0
    for source in mappings(projected.get("sources")) if projected else (volume,):
        for kind, key, named in (("ConfigMap", "configMap", "name"), ("Secret", "secret", "secretName")):
            if ref := mapping(source.get(key)):
                name = str(ref.get(named) or ref.get("name"))
                yield from keys(place, kind, name, ref, default)
        for item in mappings(mapping(source.get("downwardAPI")).get("items")):
            value, path = field_of(place, item), str(item.get("path"))
            if value is None:
                lacks.append(f"file {path} of volume {volume.get('name')} is not there: only a pod has it")
            else:
                yield path, File(value.encode())
        for key in ("serviceAccountToken", "clusterTrustBundle", "podCertificate"):
            if key in source:
                path = mapping(source[key]).get("path", "")
                lacks.append(f"file {path} of volume {volume.get('name')} is not there: only a pod has it ({key})")


def keys(place: Place, kind: str, name: str, ref: Document, default: int) -> Iterator[tuple[str, File]]:
    """Yield the files of a ConfigMap or Secret: all its keys, or those that are asked for."""
    obj = required(place, kind, ref, name)
    there, items = dict(contents(obj)), mappings(ref.get("items"))
    if not items:
        yield from ((key, File(data, bool(default & EXECUTABLE))) for key, data in there.items())
    for item in items:
        key, path = str(item.get("key")), str(item.get("path"))
        if key in there:
            yield path, File(there[key], bool((item.get("mode") or default) & EXECUTABLE))
        elif not ref.get("optional"):
            raise lacking(f"key {key} of {kind.lower()}/{name}")
