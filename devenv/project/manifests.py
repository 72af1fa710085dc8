"""Manifests read into objects: each fault with its place, before anything is asked of a cluster."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from devenv.errors import UsageError
from devenv.kube import documents, hooks, pods, secrecy
from devenv.kube.documents import Fault
from devenv.kube.objects import RUNS, Id, Object
from devenv.project import render
from devenv.project.inputs import Chart, Input, Printed, said
from devenv.project.render import KUSTOMIZATION, MANIFEST_SUFFIXES, text_of
from devenv.project.settings import Settings
from devenv.system import masking

# The kinds that are read here beside workloads, and the keys that are read of them (the Kubernetes API, v1).
ALSO_READ = ("Service", "Ingress")
LISTS = {"ports", "containers", "initContainers", "env", "envFrom", "volumes", "sources", "tls", "volumeClaimTemplates"}
MAPPINGS = {
    *("spec", "template", "jobTemplate", "metadata", "selector", "valueFrom", "projected", "configMap", "secret"),
    *("configMapKeyRef", "secretKeyRef", "configMapRef", "secretRef", "loadBalancer", "status"),
}
NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
FREE = {"labels", "annotations", "selector", "matchLabels", "nodeSelector"}  # whose keys are a person's own


def objects(settings: Settings) -> list[Object]:
    """Return the objects of all manifests, without the hooks of charts that `up` does not run. Raise UsageError where
    there is none.
    """
    project = settings.project
    found: dict[Id, tuple[Object, str]] = {}
    for one in project.manifests:
        release = chart_of(settings, one)
        for obj, place in read(render.texts(settings, one), project.namespace):
            if release and not hooks.runs_with_up(obj):
                continue
            add(found, hooks.released(obj, release) if release else obj, place)
    if not found:
        # Nothing to apply would mean that all is to be deleted.
        raise UsageError(
            f"{settings.file}: manifests: no objects in {said(project.manifests)}\n"
            f"hint: name a kustomize folder, a Helm chart, a file, or a folder with {', '.join(MANIFEST_SUFFIXES)} "
            f"files in it"
        )
    return [obj for obj, _ in found.values()]


def chart_of(settings: Settings, one: Input) -> str:
    """Return the name of the release that a chart is rendered for; an empty string for what is no chart."""
    if isinstance(one, Path) and (settings.path(one) / "Chart.yaml").is_file():
        one = Chart(chart=one)
    return render.release(settings, one) if isinstance(one, Chart) else ""


def followed(settings: Settings) -> frozenset[Path]:
    """Return the files and folders that the manifests are read from."""
    found = set[Path]()
    for one in settings.project.manifests:
        match one:
            case Chart():
                found |= {settings.path(path).resolve() for path in (one.chart, *one.values)}
            case Printed():
                found |= {settings.path(path).resolve() for path in one.reads}
            case _:
                found |= files_of(settings.path(one))
    return frozenset(found)


def files_of(path: Path) -> frozenset[Path]:
    """Return the files and folders that a kustomize folder is read from: those that it names, with theirs.

    Any text of a kustomization that is the name of a file counts: rather one file too many than one too few.
    """
    found, left = set[Path](), [path.resolve()]
    while left:
        if (here := left.pop()) in found:
            continue
        found.add(here)
        for kustomization in (here / name for name in KUSTOMIZATION if (here / name).is_file()):
            named = (word.rpartition("=")[2] for word in words(text_of(kustomization)))  # of a generator: KEY=FILE
            left += [(here / name).resolve() for name in named if is_path(here, name)]
    return frozenset(found)


def words(text: str) -> Iterator[str]:
    """Yield every text in a YAML file; none of one that is not valid, which is told where it is read for good."""
    try:
        values: list[Any] = [document for _, document in documents.read(text)]
    except Fault:
        return
    while values:
        match values.pop():
            case dict() as mapping:
                values += mapping.values()
            case list() as items:
                values += items
            case str() as word:
                yield from word.split("\n") if "\n" in word else (word,)


def is_path(folder: Path, name: str) -> bool:
    """Whether a text names something beside or below a folder, or elsewhere, but nothing that holds the folder."""
    try:
        return bool(name) and not folder.is_relative_to((folder / name).resolve()) and (folder / name).exists()
    except (OSError, ValueError):  # a text that is too long for a name, or that no name can be
        return False


def parsed(texts: Mapping[str, str], home: str) -> list[Object]:
    """Return the objects of YAML texts, by their names. Raise UsageError for what is no object."""
    found: dict[Id, tuple[Object, str]] = {}
    for obj, place in read(texts, home):
        add(found, obj, place)
    return [obj for obj, _ in found.values()]


def read(texts: Mapping[str, str], home: str) -> Iterator[tuple[Object, str]]:
    for source, text in texts.items():
        for line, document in within(source, text):
            place = f"{source}: line {line}"
            if why := fault(document):
                raise UsageError(f"{place}: {why}")
            obj = Object.parse(document, home)
            masking.hide(secrecy.of_object(obj))
            yield obj, place


def add(found: dict[Id, tuple[Object, str]], obj: Object, place: str) -> None:
    """Raise UsageError for an object that is there twice: the last of them would win without a word."""
    if obj.id in found:
        raise UsageError(f"{place}: {obj.id} is there twice, first in {found[obj.id][1]}")
    found[obj.id] = (obj, place)


def within(source: str, text: str) -> Iterator[tuple[int, Any]]:
    """Yield the documents of a text; those of a list each for itself."""
    try:
        for line, document in documents.read(text):
            if isinstance(document, dict) and is_list(document):
                yield from ((line, item) for item in items(document))
            elif document != {}:
                yield line, document
    except Fault as error:
        raise UsageError(f"{source}: not valid YAML: {error}") from error


def is_list(document: dict[str, Any]) -> bool:
    """Whether a document is a list of objects, which has no name; one without items may be empty."""
    kind = str(document.get("kind", ""))
    empty = kind == "List" and "items" not in document  # a null was dropped at reading
    return kind.endswith("List") and (empty or isinstance(document.get("items"), list))


def items(document: dict[str, Any]) -> Iterator[Any]:
    """Yield the objects of a list, as kubectl does: those of `ConfigMapList` need not say that they are ConfigMaps."""
    kind = str(document["kind"]).removesuffix("List")
    implied = {"apiVersion": document.get("apiVersion"), "kind": kind} if kind else {}
    for item in document.get("items") or ():
        yield {**implied, **item} if isinstance(item, dict) else item


def fault(document: Any) -> str:
    """Return why a document is no object that we can apply, or an empty string.

    What it holds is not told: that may be a Secret.
    """
    meta = document.get("metadata") if isinstance(document, dict) else None
    if isinstance(meta, dict) and any(not isinstance(document.get(key, ""), str) for key in ("apiVersion", "kind")):
        return "an object whose apiVersion or kind is no text"
    if isinstance(meta, dict) and meta.get("generateName") and not meta.get("name"):
        return "metadata.generateName: an object that is applied needs a name of its own"
    if not (isinstance(meta, dict) and meta.get("name") and document.get("kind") and document.get("apiVersion")):
        return f"an object without apiVersion, kind or metadata.name: {outline(document)}"
    what = f"{str(document['kind']).lower()}/{meta['name']}"
    if wrong := [key for key in ("name", "namespace") if not isinstance(meta.get(key, ""), str)]:
        return f"{what}: metadata.{wrong[0]} is no text; put it in quotes"
    if why := misnamed(meta):
        return f"{what}: {why}"
    for key in ("labels", "annotations"):
        entries = meta.get(key, {})
        if not isinstance(entries, dict) or not all(isinstance(value, str) for value in entries.values()):
            return f"{what}: metadata.{key} is no mapping of texts; put its values in quotes"
    if document["kind"] == "Secret" and (where := untold(document)):
        return f"{what}: {where}"
    if document["kind"] in (*RUNS, *ALSO_READ) and (where := misshapen(document)):
        return f"{what}: {where}"
    if document["kind"] in RUNS and not any(pods.templates(document)):
        return f"{what}: has no {'spec' if document['kind'] == 'Pod' else 'pod template'} with containers"
    if any(not isinstance(c.get("image", ""), str) for c in pods.containers(document)):
        return f"{what}: an image is no text"
    return ""


def untold(secret: dict[str, Any]) -> str:
    """Return what of a Secret is no text, which it has to be: `true` and 010 would be others than they look."""
    for key in ("data", "stringData"):
        found = secret.get(key, {})
        if not isinstance(found, dict):
            return f"{key} is no mapping"
        if wrong := [name for name, value in found.items() if not isinstance(value, str)]:
            return f"{key}.{wrong[0]} is no text; put it in quotes"
    return ""


def misnamed(meta: dict[str, Any]) -> str:
    """Return why no object has this name (Kubernetes, "Object Names and IDs": path segments, labels), or nothing."""
    if meta["name"] in (".", "..") or set(meta["name"]) & {"/", "%"}:
        return "metadata.name may not be . or .., or hold / or %"
    if (namespace := meta.get("namespace")) and not NAMESPACE.fullmatch(namespace):
        return "metadata.namespace is no name of a namespace: letters a to z, digits and -, at most 63"
    return ""


def misshapen(value: Any, path: str = "") -> str:
    """Return what of an object that we read ourselves is neither a mapping nor a list of such, and has to be, or an
    empty string. The rest is the API server's to judge.
    """
    items = value.items() if isinstance(value, dict) else ((f"[{n}]", item) for n, item in enumerate(value))
    for key, inner in items:
        here = f"{path}{key}" if str(key).startswith("[") else f"{path}.{key}".lstrip(".")
        if key in LISTS and not (isinstance(inner, list) and all(isinstance(item, dict) for item in inner)):
            return f"{here} is no list of mappings"
        if key in MAPPINGS and not isinstance(inner, dict):
            return f"{here} is no mapping"
        if isinstance(inner, dict | list) and key not in FREE and (found := misshapen(inner, here)):
            return found
    return ""


def outline(document: Any) -> str:
    if not isinstance(document, dict):
        return f"a {type(document).__name__}"
    return f"{document.get('kind') or 'a mapping'} with the keys {', '.join(map(str, document))}"
