"""The texts of the manifests: files as they stand, folders by kustomize, charts by Helm, and what a command prints."""

import json
import os
import shutil
from pathlib import Path

from devenv.errors import CannotRun, CommandFailed, DevenvError, UsageError
from devenv.project.inputs import Chart, Input, Printed
from devenv.project.settings import Settings
from devenv.system import process

KUSTOMIZATION = ("kustomization.yaml", "kustomization.yml", "Kustomization")  # as kustomize itself looks for it
MANIFEST_SUFFIXES = (".yaml", ".yml", ".json")  # as kubectl apply -f takes them of a folder
# Google's kubectl asks the cluster of the person's kubeconfig, for up to 5 s, before it renders: nothing listens there.
NO_CLUSTER = ("--server", "http://127.0.0.1:0")
# Go's memory is not collected in a program that ends at once, unless it takes much: a quarter of its processor's time.
UNCOLLECTED = {"GOGC": "off", "GOMEMLIMIT": "512MiB"}
PRINTED_WITHIN_S = 120.0  # a command may be a program that is compiled first
HELM = (
    "helm: not found on PATH, and the manifests have a chart\n"
    "hint: install it (https://helm.sh/docs/intro/install), or run scripts/tools.sh helm of a devenv checkout"
)


def texts(settings: Settings, one: Input) -> dict[str, str]:
    """Return what one of `manifests` says, by names that a person knows it by."""
    match one:
        case Chart():
            return {f"helm template {one.chart}": chart(settings, one)}
        case Printed():
            return {str(one): printed(settings, one)}
    path = settings.path(one)
    if not path.exists():
        raise UsageError(f"{settings.file}: manifests: {one}: no such file or folder")
    if is_kustomized(path):
        return {f"kubectl kustomize {path}": kustomized(path)}
    if (path / "Chart.yaml").is_file():
        return {f"helm template {one}": chart(settings, Chart(chart=one))}
    found = [path] if path.is_file() else sorted(f for f in path.iterdir() if is_manifest(f))
    return {str(file): text_of(file) for file in found}


def is_manifest(file: Path) -> bool:
    """Whether a name in the folder is that of a manifest; a link to nothing is one, which cannot be read."""
    return file.suffix in MANIFEST_SUFFIXES and (file.is_file() or (file.is_symlink() and not file.exists()))


def is_kustomized(folder: Path) -> bool:
    return any((folder / name).is_file() for name in KUSTOMIZATION)


def kustomized(folder: Path) -> str:
    """Return a kustomize folder rendered. An overlay may stand on a file above its folder: it is all the project's own.

    kustomize renders charts itself (`helmCharts`), where it is told that it may and has a Helm of version 3.
    """
    argv = [process.find("kubectl"), "kustomize", "--load-restrictor", "LoadRestrictionsNone", *NO_CLUSTER]
    if helm := shutil.which("helm", path=process.search_path()):
        argv += ["--enable-helm", "--helm-command", helm]
    more = {name: os.environ.get(name, value) for name, value in UNCOLLECTED.items()}
    try:
        return process.run([*argv, str(folder)], env={**more, "KUBECONFIG": os.devnull})
    except CommandFailed as error:
        if not helm and "enable-helm" in error.output:
            raise DevenvError(HELM) from error
        if helm and f"{helm} version" in error.output:  # how kustomize asks what it has been given
            raise DevenvError(
                f"{folder}: helmCharts: this kubectl's kustomize needs Helm 3, and {helm} is another\n"
                "hint: put a Helm 3 first on PATH, or move the chart to manifests = { chart = … }"
            ) from error
        raise


def release(settings: Settings, one: Chart) -> str:
    return one.release or settings.project.name


def chart(settings: Settings, one: Chart) -> str:
    """Return a chart rendered as `helm install` would apply it, hooks and definitions too. No cluster is asked."""
    helm = shutil.which("helm", path=process.search_path())
    if helm is None:
        raise DevenvError(HELM)
    folder = settings.path(one.chart)
    argv = [helm, "template", release(settings, one), str(folder), "--include-crds"]
    argv += ["--namespace", settings.project.namespace]
    for file in one.values:
        argv += ["--values", str(settings.path(file))]
    try:
        # YAML takes JSON as it is; by the standard input no value is seen among the arguments.
        return process.run([*argv, "--values", "-"], cwd=settings.root, stdin=json.dumps(one.set).encode())
    except CommandFailed as error:
        if "missing in charts/ directory" in error.output:
            raise UsageError(f"{one.chart}: {error.output}\nhint: helm dependency build {one.chart}") from error
        raise


def printed(settings: Settings, one: Printed) -> str:
    try:
        return process.run(one.command, cwd=settings.root, within_s=PRINTED_WITHIN_S)
    except CannotRun as error:
        raise UsageError(f"{settings.file}: manifests: {error}") from error


def text_of(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{file}: not UTF-8 at byte {error.start}") from error
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror}") from error
