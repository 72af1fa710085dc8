"""Images: present on the Docker host, else pulled, else built from their folder."""

import os
import shutil
import threading
from collections.abc import Mapping
from pathlib import Path
from tempfile import mkdtemp
from urllib.parse import urlsplit

from devenv import docker_host, process, state
from devenv.errors import CommandFailed, DevenvError
from devenv.graph import Image, with_bases
from devenv.manifest import repository

REGISTRY_ANSWERS_WITHIN_S = 3.0
PREPARE_WITHIN_S = 3600.0

# Builds share few cores: two at a time keep them busy, more only make each other wait for memory.
_builders = threading.BoundedSemaphore(2)


def registry_answers(ref: str) -> bool:
    """Whether the registry of a reference serves the distribution API, asked once with a short limit.

    Source: OCI distribution specification, end-1: GET /v2/ is answered with 200, or with 401 where it wants a login.
    """
    import httpx

    host = repository(ref).split("/")[0]
    host = "registry-1.docker.io" if host == "docker.io" else host
    scheme = "http" if urlsplit(f"//{host}").hostname in ("localhost", "127.0.0.1") else "https"
    try:
        return httpx.get(f"{scheme}://{host}/v2/", timeout=REGISTRY_ANSWERS_WITHIN_S).status_code in (200, 401)
    except httpx.HTTPError:
        return False


def obtain(images: Mapping[str, Image], name: str, pull: bool, log: Path, anew: bool = False) -> str:
    """Bring an image to the Docker host and return how. `pull` first where it is said; a folder is the fallback.

    `anew` builds without what Docker kept of earlier builds.
    """
    image = images[name]
    if pull and image.source.pull:
        try:
            docker_host.pull(image.source.pull, image.ref)
            return f"pulled {image.source.pull}"
        except DevenvError:
            if image.source.folder is None:
                raise
            there = docker_host.image_refs()
            for base in (b for b in image.bases if images[b].ref not in there):
                obtain(images, base, bool(images[base].source.pull), log.with_name(f"image-{base}.log"))
    with _builders:
        build(images, image, log, anew)
    return f"built from {image.source.folder}"


def build(images: Mapping[str, Image], image: Image, log: Path, anew: bool = False) -> None:
    """Build an image in a copy of its folder; `prepare` there first writes what the Dockerfile takes."""
    assert image.source.folder
    context = Path(mkdtemp(prefix=f"build-{image.name}-", dir=state.cache()))
    try:
        for file in image.source.files:
            target = context / file.path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.data)
            target.chmod(0o755 if file.executable else 0o644)
        for folder in (path for path in context.rglob("*") if path.is_dir()):
            folder.chmod(0o755)  # what is copied into an image keeps its mode, and that is not the builder's to choose
        refs = {base: images[base].ref for base in image.bases}
        if (context / "prepare").exists():
            prepare(image, context, refs, log)
        (context / "Dockerfile").write_text(with_bases(image.source.dockerfile, refs))
        docker_host.build(context, image.ref, dict(image.source.args), log, anew)
    finally:
        shutil.rmtree(context, ignore_errors=True)


def prepare(image: Image, context: Path, refs: Mapping[str, str], log: Path) -> None:
    variables = {f"DEVENV_IMAGE_{base.upper().replace('-', '_')}": ref for base, ref in refs.items()}
    path = process.search_path([state.cache() / "bin"])
    environment = {**variables, **dict(image.source.args), "DEVENV_CACHE": str(state.cache()), "PATH": path}
    try:
        argv = ["sh", "-c", "umask 022 && exec ./prepare"]
        process.run(argv, cwd=context, env=environment, log=log, within_s=PREPARE_WITHIN_S)
    except CommandFailed as error:
        shown = os.linesep.join(error.output.splitlines()[-docker_host.LAST_LINES :])
        raise DevenvError(f"preparing {image.name} failed; the last lines of {log}:\n{shown}") from error
