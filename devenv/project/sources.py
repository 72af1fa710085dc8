"""The project's files, read: manifests (in manifests.py), images' folders, the env-file. What they mean: stack.py."""

import os
import platform
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path

from devenv.errors import DevenvError, UsageError
from devenv.images import daemon
from devenv.images.folder import read_folder, read_outside
from devenv.images.graph import OWN, Context, Source
from devenv.kube import secrecy
from devenv.kube.objects import Object
from devenv.project import envfile, gate_inputs, hashes, manifests, render, stack
from devenv.project.schema import Image
from devenv.project.settings import Settings
from devenv.project.stack import Stack
from devenv.system import masking, state
from devenv.system.state import Folder

GOARCH = {"x86_64": "amd64", "aarch64": "arm64"}  # Docker has Go's names of processors


def runtime(settings: Settings) -> Folder:
    """Return the runtime folder of the environment, be it there or not."""
    return state.folder(settings.project.name, settings.project.context, settings.project.namespace)


def load(settings: Settings) -> Stack:
    """Read all that the wanted state is made of. Changes nothing."""
    env_file, env_text = environment(settings)
    objects, images = manifests.objects(settings), image_sources(settings)
    decisive = gate_inputs.digests(settings.root, settings.project.gates)
    with hashes.kept(runtime(settings).hashes) as hashed:
        desired = stack.make(settings, objects, images, env_file, env_text, decisive, hashed)
    masking.hide(secrecy.of_objects(desired.objects))  # those of the table too
    return desired


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


def passwords(settings: Settings, environ: Mapping[str, str]) -> set[str]:
    """Return what no message may show: the values of settings and secrets whose names say that they are passwords.

    The caller's environment counts: a renderer, a credential plugin or a suite has it, and may print it.
    """
    try:
        found = [environment(settings)[0]]
    except UsageError:  # told where they are needed
        found = []
    project = settings.project
    found += [*project.secrets.values(), *project.existing.secrets.values(), project.env, project.existing.env]
    found += [project.open, *(s.env for s in project.tests.values())]
    found += [image.args for image in project.images.values()]
    # `…_TOKEN_FILE` and the like name a file, and messages do so too.
    found.append({key: text for key, text in environ.items() if not (text.startswith("/") and Path(text).exists())})
    return {text for data in found for text in secrecy.named(data)}


def values(file: Path, text: str) -> dict[str, str]:
    try:
        return envfile.read(text)
    except envfile.Fault as error:
        raise UsageError(f"{file}: {error}") from error
