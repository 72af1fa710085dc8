"""The project's files, read: manifests (in manifests.py), images' folders, the env-file. What they mean: stack.py."""

import os
import platform
import re
import tomllib
from functools import cache
from importlib.resources import files
from pathlib import Path
from urllib.parse import unquote, urlsplit

from devenv.errors import DevenvError, UsageError
from devenv.images import daemon
from devenv.images.folder import read_folder, read_outside
from devenv.images.graph import OWN, Context, Source
from devenv.kube.objects import Object
from devenv.project import envfile, manifests, render, stack
from devenv.project.schema import Image
from devenv.project.settings import Settings
from devenv.project.stack import Stack

PASSWORD = re.compile(r"pass(word|wd|phrase)|token|secret|credential|(^|[-_.])(api|private|access)?key$", re.IGNORECASE)
# A password such as `postgres` is a word that names and reasons need.
WORD = re.compile(r".{0,5}|[A-Za-z]{0,11}")
GOARCH = {"x86_64": "amd64", "aarch64": "arm64"}  # Docker has Go's names of processors


def load(settings: Settings) -> Stack:
    """Read all that the wanted state is made of. Changes nothing."""
    env_file, env_text = environment(settings)
    return stack.make(settings, manifests.objects(settings), image_sources(settings), env_file, env_text)


def image_sources(settings: Settings) -> dict[str, Source]:
    """Return the tool's own images and the project's."""
    theirs = {name: source(settings, image) for name, image in settings.project.images.items()}
    return {**own_sources(), **theirs}


def own_sources() -> dict[str, Source]:
    """Return the images that a node is made of: the folders of devenv/cluster/node_images."""
    home = Path(str(files("devenv.cluster").joinpath("node_images")))
    released = tomllib.loads((home / "released.toml").read_text())
    folders = sorted(f.parent for f in home.glob("*/Dockerfile"))
    return {
        f"{OWN}{f.name}": Source(released.get(f.name), f, read_folder(f), (), built_for(), own=True) for f in folders
    }


def cert_manager(ref: str, home: str) -> list[Object]:
    """Return the objects that run cert-manager's controllers from our image."""
    file = Path(str(files("devenv.cluster").joinpath("node_images"))) / "cert-manager.yaml"
    return manifests.parsed({str(file): file.read_text().replace("IMAGE", ref)}, home)


def source(settings: Settings, image: Image) -> Source:
    if image.build is None:
        return Source(image.pull, args=tuple(sorted(image.args.items())), platform=image.platform or built_for())
    folder, file = settings.path(image.build), os.path.normpath(image.dockerfile)
    beside = {name: settings.path(path) for name, path in sorted(image.contexts.items())}
    return Source(
        image.pull,
        folder,
        read_folder(folder, file),
        tuple(sorted(image.args.items())),
        image.platform or built_for(),
        file=file,
        outside=read_outside(folder, file),
        target=image.target,
        builder=image.builder,
        contexts=tuple(Context(name, path, read_folder(path)) for name, path in beside.items()),
    )


@cache
def built_for() -> str:
    """Return the platform of the images; where no Docker answers, none is built, and this machine's will do."""
    try:
        return daemon.platform()
    except DevenvError:
        machine = platform.machine()
        return f"linux/{GOARCH.get(machine, machine)}"


def environment(settings: Settings) -> tuple[dict[str, str], str | None]:
    """Return the env-file's settings and, where it does not exist, the text to write: its example, passwords made."""
    path = settings.path(settings.project.env_file)
    example = path.with_name(f"{path.name}.example")
    if path.is_file():
        return values(path, render.text_of(path)), None
    if not example.is_file():
        return {}, None
    text = envfile.filled(render.text_of(example))
    return values(example, text), text


def passwords(settings: Settings) -> set[str]:
    """Return what no message may show: the values of settings and secrets whose names say that they are passwords."""
    try:
        found = [environment(settings)[0]]
    except UsageError:  # told where they are needed
        found = []
    project = settings.project
    found += [*project.secrets.values(), project.env, project.existing.env, *(s.env for s in project.tests.values())]
    found += [image.args for image in project.images.values()]
    named = {text for data in found for key, text in data.items() if PASSWORD.search(key)}
    named |= {password for data in found for text in data.values() for password in of_url(text)}
    return {text for text in named if not WORD.fullmatch(text) and "${" not in text}


def of_url(text: str) -> set[str]:
    """Return the password in a URL, as it stands there and as it is; nothing where there is none."""
    try:
        password = urlsplit(text).password or ""
    except ValueError:  # its host is none
        return set()
    return {password, unquote(password)} - {""}


def values(file: Path, text: str) -> dict[str, str]:
    try:
        return envfile.read(text)
    except envfile.Fault as error:
        raise UsageError(f"{file}: {error}") from error
