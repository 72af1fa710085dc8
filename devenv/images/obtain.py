"""Images: present on the Docker host, else pulled, else built from their folder."""

import os
import shutil
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import mkdtemp

from devenv.errors import CommandFailed, DevenvError
from devenv.images import builder, daemon, endpoint, folder
from devenv.images.dockerfile import encoded, with_bases
from devenv.images.graph import File, Image, Source, meanings
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
            daemon.pull(image.source.pull, image.ref, image.source.platform)
            return f"pulled {image.source.pull}"
        except DevenvError:
            if image.source.folder is None:
                raise
            there = daemon.image_refs()
            for base in (b for b in image.bases if images[b].ref not in there):
                obtain(images, base, bool(images[base].source.pull), log.with_name(f"image-{base}.log"), cancel=cancel)
    with _builders:
        who = build(images, image, log, no_cache, cancel)
    return f"built from {image.source.folder}" + (" by BuildKit" if who == builder.BUILDKIT else "")


def build(
    images: Mapping[str, Image], image: Image, log: Path, no_cache: bool = False, cancel: Cancel | None = None
) -> str:
    """Build an image in a copy of its folder, and return by whom; `prepare` there first writes what the Dockerfile
    takes.
    """
    source = image.source
    who = builder.choose(source)  # what cannot be built is not prepared either
    home = Path(mkdtemp(prefix=f"build-{image.name}-", dir=state.cache()))
    try:
        context = copied(source.files, home / "context")
        contexts = {c.name: copied(c.files, home / f"beside-{n}") for n, c in enumerate(source.contexts)}
        refs = references(images, image)
        if os.access(context / "prepare", os.X_OK) and (context / "prepare").is_file():
            prepare(image, context, refs, log, cancel)
        dockerfile = directed(source, context, home, with_bases(source.dockerfile, refs, dict(source.args)))
        platform = source.platform if source.platform != daemon.platform() else None
        if who == builder.BUILDKIT:
            made = builder.Build(context, dockerfile, image.ref, source, contexts, platform)
            builder.by_buildkit(made, log, no_cache, cancel)
        else:
            daemon.build(
                context, image.ref, dict(source.args), log, no_cache,
                dockerfile=dockerfile, target=source.target, platform=platform,
            )  # fmt: skip
    finally:
        shutil.rmtree(home, ignore_errors=True)
    return who


def references(images: Mapping[str, Image], image: Image) -> dict[str, str]:
    """Return the reference for each word of the Dockerfile that means an image here."""
    known = meanings({name: one.source for name, one in images.items()}, image.name)
    return {word: images[name].ref for word, name in known.items() if name in image.bases}


def copied(files: Iterable[File], to: Path) -> Path:
    """Write files into a new folder."""
    to.mkdir()
    for file in files:
        folder.write(file, to)
    for path in (to, *(path for path in to.rglob("*") if path.is_dir() and not path.is_symlink())):
        path.chmod(0o755)  # what is copied into an image keeps its mode, and that is not the builder's to choose
    return to


def directed(source: Source, context: Path, home: Path, text: str) -> Path:
    """Write the Dockerfile, and what it has not sent where each builder looks for it. Return its place."""
    place = context / source.file
    if source.outside:
        (home / "outside").mkdir()
        place = home / "outside" / Path(source.file).name
    place.write_bytes(encoded(text))
    ignored = f"{source.file}.dockerignore"
    own = next((f.data for f in (*source.outside, *source.files) if f.path == ignored), None)
    if own is not None:  # it takes the place of .dockerignore, which the classic builder's library reads
        (context / ".dockerignore").write_bytes(own)
        place.with_name(f"{place.name}.dockerignore").write_bytes(own)
    return place


def prepare(image: Image, context: Path, refs: Mapping[str, str], log: Path, cancel: Cancel | None) -> None:
    short = {base.rpartition("/")[2].upper().replace("-", "_"): ref for base, ref in refs.items()}
    variables = {f"DEVENV_IMAGE_{base}": ref for base, ref in short.items()}
    path = process.search_path([state.cache() / "bin"])
    own = {**endpoint.variables(), "DEVENV_CACHE": str(state.cache()), "PATH": path}
    environment = {**variables, **dict(image.source.args), **own}
    try:
        argv = ["sh", "-c", "umask 022 && exec ./prepare"]
        process.run(argv, cwd=context, env=environment, log=log, within_s=PREPARE_WITHIN_S, cancel=cancel)
    except CommandFailed as error:
        shown = os.linesep.join(error.output.splitlines()[-daemon.LAST_LINES :])
        raise DevenvError(f"preparing {image.name} failed; the last lines of {log}:\n{shown}") from error
