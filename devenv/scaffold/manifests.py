"""Manifests that are there already, and the table that brings them up: images, forwards, gates. Pure."""

from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from typing import Any

from devenv.images.reference import repository
from devenv.kube import hooks
from devenv.kube.objects import Object
from devenv.scaffold import known
from devenv.scaffold.draft import Draft
from devenv.scaffold.known import label, last_part

SHARED = ("docker", "build", "container", "images", "image")  # folders that say nothing of what is built in them


def into(draft: Draft, objects: Iterable[Object], dockerfiles: Iterable[str], names: Iterable[str]) -> None:
    """Put what the objects say into a draft."""
    found = [obj for obj in objects if hooks.runs_with_up(obj)]
    for name in images(draft, found, {*dockerfiles}, [*names]):
        draft.notes.append(name)
    gates(draft, found)
    for obj in found:
        if obj.kind == "Service" and obj.id.group == "":
            service(draft, obj)
    tell_secrets(draft, found)


def namespace(objects: Iterable[Object], home: str) -> str:
    """Return the namespace of all objects, if they agree on one; else the project's own."""
    spaces = {obj.id.namespace for obj in objects} - {""}
    return spaces.pop() if len(spaces) == 1 else home


def builds(dockerfiles: Iterable[str], names: list[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the names that an image may have by where its Dockerfile is, with what the table says of it."""
    for path in sorted(map(PurePosixPath, dockerfiles), key=lambda p: (len(p.parts), str(p))):
        table = {"build": str(path.parent)}
        if path.name != "Dockerfile":
            table["dockerfile"] = path.name
        suffix = path.name.partition(".")[2]
        folders = [part for part in reversed(path.parts[:-1]) if part not in SHARED]
        for name in [suffix] if suffix else folders[:1] or names:
            yield label(name), table


def images(draft: Draft, objects: list[Object], dockerfiles: set[str], names: list[str]) -> Iterator[str]:
    """Put the images of the workloads into a draft. Yield what is to be told of them."""
    used = sorted({image for obj in objects if obj.runs for image in obj.images})
    named: dict[str, dict[str, str]] = {}
    for name, table in builds(dockerfiles, names):
        named.setdefault(name, table)
    by_repository: dict[str, list[str]] = {}
    for image in used:
        by_repository.setdefault(repository(image), []).append(image)
    ours = {repo: named[key] for repo in by_repository if (key := label(last_part(repo))) in named}
    left = [repo for repo in by_repository if repo not in ours and not known.of_image(repo)]
    unused = [path for path in dockerfiles if not any(of_path(table) == path for table in ours.values())]
    if len(left) == 1 and len(unused) == 1 and len(dockerfiles) == 1:
        ours[left[0]] = next(table for _, table in builds(dockerfiles, names))
        yield f"image {by_repository[left[0]][0]}: taken for the one that {unused[0]} builds"
    for repo, references in by_repository.items():
        name = known.free(label(last_part(repo)), draft.images)
        if repo in ours:
            stands = {} if repository(name) == repo else {"image": plain(references[0])}
            draft.images[name] = {**stands, **ours[repo]}
        elif len(references) == 1:
            draft.images[name] = {"pull": references[0]}
        else:
            yield f"{', '.join(references)}: several images of one repository: the node pulls them by itself"


def of_path(table: dict[str, str]) -> str:
    return str(PurePosixPath(table["build"]) / table.get("dockerfile", "Dockerfile"))


def plain(image: str) -> str:
    head, slash, last = image.partition("@")[0].rpartition("/")
    return f"{head}{slash}{last.partition(':')[0]}"


def gates(draft: Draft, objects: list[Object]) -> None:
    """Have the workloads with the image of a Job wait for it; a chart's hooks have an order of their own."""
    of_table = {repository(t.get("image") or t.get("pull") or name) for name, t in draft.images.items()}
    running = {repository(i) for o in objects if o.runs and o.kind != "Job" for i in o.images} & of_table
    for obj in objects:
        annotations = obj.meta.get("annotations") or {}
        if obj.kind == "Job" and "helm.sh/hook" not in annotations and running & {*map(repository, obj.images)}:
            elsewhere = f"@{obj.id.namespace}" if obj.id.namespace != draft.namespace else ""
            draft.gates[f"job/{obj.id.name}{elsewhere}"] = []


def service(draft: Draft, obj: Object) -> None:
    """Forward the ports of a Service."""
    spec: dict[str, Any] = obj.raw.get("spec") or {}
    ports = [p for p in spec.get("ports") or () if isinstance(p.get("port"), int)]
    tcp = [p for p in ports if p.get("protocol", "TCP") == "TCP" and 0 < p["port"] < 65536]
    if not spec.get("selector") or spec.get("type") == "ExternalName":
        return
    for port in tcp:
        number = port["port"]
        own = label(obj.id.name, "s")
        stem = own if len(tcp) == 1 else label(f"{own[: known.LONGEST - 16]}-{port.get('name') or number}")
        name = known.free(stem, draft.forwards)
        local = known.local_port(number, draft.local_ports)
        elsewhere = obj.id.namespace if obj.id.namespace != draft.namespace else None
        draft.forward(name, obj.id.name, local, number, known.PROBES.get(number, "tcp"), elsewhere)
        draft.env[f"{known.upper(name)}_ADDRESS"] = f"127.0.0.1:${{forwards.{name}}}"


def tell_secrets(draft: Draft, objects: list[Object]) -> None:
    """Tell of Secrets that pods cannot start without, and that the manifests do not have."""
    there = {obj.id for obj in objects}
    for id_ in sorted({i for o in objects for i in o.required} - there, key=str):
        if id_.kind == "Secret":
            draft.notes.append(f"{id_} is not in the manifests: write [secrets.{id_.name}] into the table")
