"""The project's files, read: manifests, folders of images, the env-file. What they mean is for stack.py."""

import os
import secrets
import tomllib
from importlib.resources import files
from io import StringIO
from pathlib import Path
from typing import Any

from dotenv import dotenv_values

from devenv import process, stack
from devenv.config import Settings
from devenv.errors import UsageError
from devenv.graph import File, Source
from devenv.manifest import Document
from devenv.stack import Stack
from devenv.table import Image

IGNORED = {"__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis"}
GENERATED = "<generated>"  # the value in the example file that stands for a password to make


def load(settings: Settings) -> Stack:
    """Read all that the wanted state is made of. Changes nothing."""
    env_file, env_text = environment(settings)
    return stack.make(settings, documents(settings), image_sources(settings), env_file, env_text)


def documents(settings: Settings) -> list[Document]:
    """Return the manifests' objects: of a kustomize folder as rendered, else of all .yaml files."""
    import yaml

    path = settings.path(settings.project.manifests)
    if (path / "kustomization.yaml").is_file():
        # An overlay may stand on a file above its folder: it is all the project's own.
        argv = [process.find("kubectl"), "kustomize", "--load-restrictor", "LoadRestrictionsNone", str(path)]
        texts = {path: process.run(argv)}
    else:
        found = [path] if path.is_file() else sorted(path.glob("*.y*ml"))
        texts = {file: file.read_text() for file in found}
    objects: list[Document] = []
    for file, text in texts.items():
        try:
            objects += [d for d in yaml.safe_load_all(text) if d]
        except yaml.YAMLError as error:
            raise UsageError(f"{file}: {error}") from error
    for obj in objects:
        if not (isinstance(obj, dict) and obj.get("kind") and obj.get("apiVersion") and named(obj)):
            raise UsageError(f"{path}: an object without apiVersion, kind or metadata.name: {str(obj)[:80]}")
    return objects


def named(obj: Any) -> bool:
    return isinstance(obj.get("metadata"), dict) and bool(obj["metadata"].get("name"))


def image_sources(settings: Settings) -> dict[str, Source]:
    """Return the tool's own images and the project's; a project may replace one of ours by its name."""
    theirs = {name: source(settings, image) for name, image in settings.project.images.items()}
    return {**own_sources(), **theirs}


def own_sources() -> dict[str, Source]:
    """Return the images that a node is made of: the folders of devenv/cluster."""
    home = Path(str(files("devenv").joinpath("cluster")))
    released = tomllib.loads((home / "released.toml").read_text())
    folders = sorted(f.parent for f in home.glob("*/Dockerfile"))
    return {f.name: Source(released.get(f.name), f, read_folder(f)) for f in folders}


def cert_manager(ref: str) -> list[Document]:
    """Return the objects that run cert-manager's controllers from our image."""
    import yaml

    text = (Path(str(files("devenv").joinpath("cluster"))) / "cert-manager.yaml").read_text()
    return [*yaml.safe_load_all(text.replace("IMAGE", ref))]


def source(settings: Settings, image: Image) -> Source:
    folder = settings.path(image.build) if image.build else None
    return Source(image.pull, folder, read_folder(folder) if folder else (), tuple(sorted(image.args.items())))


def read_folder(folder: Path) -> tuple[File, ...]:
    """Return every file of an image's folder but caches; links are followed, so that content is what counts."""
    paths = (
        Path(where) / name
        for where, below, names in os.walk(folder, followlinks=True)
        if below.sort() is None and not IGNORED & set(Path(where).relative_to(folder).parts)
        for name in sorted(names)
    )
    return tuple(File(str(p.relative_to(folder)), p.read_bytes(), os.access(p, os.X_OK)) for p in paths)


def environment(settings: Settings) -> tuple[dict[str, str], str | None]:
    """Return the env-file's settings and, where it does not exist, the text to write: its example, passwords made."""
    path = settings.path(settings.project.env_file)
    example = path.with_name(f"{path.name}.example")
    if path.is_file():
        return values(path.read_text()), None
    if not example.is_file():
        return {}, None
    lines = [filled(line) for line in example.read_text().splitlines()]
    text = "\n".join(lines) + "\n"
    return values(text), text


def filled(line: str) -> str:
    key, equals, value = line.partition("=")
    return f"{key}={secrets.token_urlsafe(24)}" if equals and value.strip() == GENERATED else line


def values(text: str) -> dict[str, str]:
    return {key: value or "" for key, value in dotenv_values(stream=StringIO(text)).items()}
