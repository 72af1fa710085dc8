"""What a project's folder has: Dockerfiles, a chart, kustomizations, manifests, a compose file, tests."""

import json
import os
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from devenv.errors import UsageError
from devenv.kube import documents
from devenv.project.render import KUSTOMIZATION, MANIFEST_SUFFIXES
from devenv.scaffold.compose import encodable
from devenv.scaffold.known import label

COMPOSE = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")  # in Compose's own order
FOLDERS = ("k8s", "kubernetes", "manifests", "deploy")
CHARTS = ("chart", "charts", "helm", "deploy")
FOR_DEVELOPMENT = ("dev", "development", "local")
FOR_OTHERS = ("prod", "production", "staging", "stage", "test")
DEEPEST = 4
SKIPPED = {
    "node_modules",
    "vendor",
    "venv",
    "dist",
    "build",
    "target",
    "tests",
    "test",
    "examples",
    "docs",
    "third_party",
}
LARGEST = 1 << 20  # of a file that is looked into


@dataclass(frozen=True)
class Found:
    """What is there, by paths from the project's folder."""

    root: Path
    dockerfiles: tuple[str, ...] = ()
    charts: tuple[str, ...] = ()
    kustomizations: tuple[str, ...] = ()  # folders, that for development first
    manifests: tuple[str, ...] = ()  # a folder, or the files of it that are manifests
    compose: str | None = None
    names: tuple[str, ...] = ()  # of the project, by its own files, and of its folder
    tests: dict[str, list[str]] = field(default_factory=dict)

    def read(self, path: str) -> str | None:
        return text_of(self.root / path)


def text_of(path: Path) -> str | None:
    """Return what a file holds; None where it is not there, too large, or no text."""
    with suppress(OSError, ValueError):
        if path.is_file() and path.stat().st_size <= LARGEST:
            return path.read_text(encoding="utf-8-sig")
    return None


def look(root: Path) -> Found:
    """Look at a folder. Nothing is asked of a program, and nothing is changed."""
    files = sorted(walk(root), key=lambda path: (len(path.parts), str(path)))
    pyproject, package = toml_of(root / "pyproject.toml"), json_of(root / "package.json")
    names = [table.get("name") for table in (pyproject.get("project"), package) if isinstance(table, dict)]
    return Found(
        root,
        tuple(str(path) for path in files if is_dockerfile(path) and len(path.parts) <= 3),
        tuple(str(path.parent) for path in files if path.name == "Chart.yaml" and "charts" not in path.parts[:-2]),
        tuple(kustomizations(root, files)),
        tuple(plain_manifests(root)),
        next((name for name in COMPOSE if (root / name).is_file()), None),
        tuple(dict.fromkeys([*(label(name, "p") for name in names if isinstance(name, str)), label(root.name, "p")])),
        tests(root, pyproject, package),
    )


def walk(root: Path) -> Iterator[PurePosixPath]:
    """Yield the files of a project, as far as they are its own."""
    for here, folders, names in os.walk(root):
        inner = Path(here).relative_to(root)
        deep = len(inner.parts) >= DEEPEST
        folders[:] = [] if deep else [name for name in sorted(folders) if name not in SKIPPED and name[0] not in "._"]
        yield from (PurePosixPath(inner / name) for name in names if encodable(str(inner / name)))


def is_dockerfile(path: PurePosixPath) -> bool:
    ignore = path.name.endswith(".dockerignore")
    return not ignore and (path.name in ("Dockerfile", "Containerfile") or path.name.startswith("Dockerfile."))


def kustomizations(root: Path, files: list[PurePosixPath]) -> list[str]:
    """Return the folders that kustomize renders: for development first, then what others stand on, others last."""
    found = [path for path in files if path.name in KUSTOMIZATION]
    whole = [path.parent for path in found if "kind: Component" not in (text_of(root / path) or "")]
    return [str(path) for path in sorted(whole, key=lambda p: (rank(p.name), len(p.parts), str(p)))]


def rank(name: str) -> int:
    if name in FOR_DEVELOPMENT:
        return FOR_DEVELOPMENT.index(name)
    return 10 if name in FOR_OTHERS else 6 if name == "base" else 5


def plain_manifests(root: Path) -> list[str]:
    """Return the first folder of manifests, or of its files those that are manifests where others lie beside them."""
    for folder in FOLDERS:
        there = root / folder
        files = [file for file in listed(there) if file.suffix in MANIFEST_SUFFIXES]
        kept = [file for file in files if is_manifest(file)]
        if kept:
            return [folder] if len(kept) == len(files) else [f"{folder}/{file.name}" for file in kept]
    return []


def listed(folder: Path) -> list[Path]:
    """Return what lies in a folder; nothing where there is none. Raise UsageError for one that cannot be read."""
    try:
        return sorted(folder.iterdir()) if folder.is_dir() else []
    except OSError as error:
        raise UsageError(f"{folder}: {error.strerror}") from error


def is_manifest(file: Path) -> bool:
    """Whether each document of a file is an object. One that cannot be read is taken for one, and told later."""
    text = text_of(file)
    try:
        found = [document for _, document in documents.read(text or "")]
    except documents.Fault:
        return text is not None and "apiVersion" in text
    return bool(found) and all(isinstance(d, dict) and {"apiVersion", "kind"} <= d.keys() for d in found)


def toml_of(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(text_of(path) or "")
    except tomllib.TOMLDecodeError:
        return {}


def json_of(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(text_of(path) or "{}")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def tests(root: Path, pyproject: dict[str, Any], package: dict[str, Any]) -> dict[str, list[str]]:
    """Return the command of the project's tests, as `tests.all`."""
    folder = next((name for name in ("tests", "test") if (root / name).is_dir()), None)
    if folder and "pytest" in json.dumps(pyproject, default=str):
        return {"all": ["pytest", folder]}
    scripts = package.get("scripts")
    return {"all": ["npm", "test"]} if isinstance(scripts, dict) and scripts.get("test") else {}
