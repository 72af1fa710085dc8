"""Images: present on the Docker host, else pulled, else built from their folder."""

import os
import shutil
import threading
from collections.abc import Mapping
from pathlib import Path
from tempfile import mkdtemp

from devenv.errors import CommandFailed, DevenvError
from devenv.images import daemon, endpoint, folder
from devenv.images.dockerfile import encoded, with_bases
from devenv.images.graph import Image
from devenv.system import process, state
from devenv.system.cancel import Cancel

PREPARE_WITHIN_S = 3600.0

# Builds share few cores: two at a time keep them busy, more only make each other wait for memory.
_builders = threading.BoundedSemaphore(2)


def obtain(
    images: Mapping[str, Image], name: str, pull: bool, log: Path, no_cache: bool = False, cancel: Cancel | None = None
) -> str:
    """Bring an image to the Docker host and return how. `pull` first where it is said; a folder is the fallback.

    `no_cache` builds without what Docker kept of earlier builds.
    """
    image = images[name]
    if pull and image.source.pull:
        try:
            daemon.pull(image.source.pull, image.ref)
            return f"pulled {image.source.pull}"
        except DevenvError:
            if image.source.folder is None:
                raise
            there = daemon.image_refs()
            for base in (b for b in image.bases if images[b].ref not in there):
                obtain(images, base, bool(images[base].source.pull), log.with_name(f"image-{base}.log"), cancel=cancel)
    with _builders:
        build(images, image, log, no_cache, cancel)
    return f"built from {image.source.folder}"


def build(
    images: Mapping[str, Image], image: Image, log: Path, no_cache: bool = False, cancel: Cancel | None = None
) -> None:
    """Build an image in a copy of its folder; `prepare` there first writes what the Dockerfile takes."""
    assert image.source.folder
    context = Path(mkdtemp(prefix=f"build-{image.name}-", dir=state.cache()))
    try:
        for file in image.source.files:
            folder.write(file, context)
        for path in (path for path in context.rglob("*") if path.is_dir() and not path.is_symlink()):
            path.chmod(0o755)  # what is copied into an image keeps its mode, and that is not the builder's to choose
        refs = {base: images[base].ref for base in image.bases}
        if (context / "prepare").exists():
            prepare(image, context, refs, log, cancel)
        args = dict(image.source.args)
        (context / "Dockerfile").write_bytes(encoded(with_bases(image.source.dockerfile, refs, args)))
        daemon.build(context, image.ref, args, log, no_cache)
    finally:
        shutil.rmtree(context, ignore_errors=True)


def prepare(image: Image, context: Path, refs: Mapping[str, str], log: Path, cancel: Cancel | None) -> None:
    variables = {f"DEVENV_IMAGE_{base.upper().replace('-', '_')}": ref for base, ref in refs.items()}
    path = process.search_path([state.cache() / "bin"])
    own = {**endpoint.variables(), "DEVENV_CACHE": str(state.cache()), "PATH": path}
    environment = {**variables, **dict(image.source.args), **own}
    try:
        argv = ["sh", "-c", "umask 022 && exec ./prepare"]
        process.run(argv, cwd=context, env=environment, log=log, within_s=PREPARE_WITHIN_S, cancel=cancel)
    except CommandFailed as error:
        shown = os.linesep.join(error.output.splitlines()[-daemon.LAST_LINES :])
        raise DevenvError(f"preparing {image.name} failed; the last lines of {log}:\n{shown}") from error
