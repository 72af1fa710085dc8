"""devenv images push: the project's images in a registry, each told by its digest."""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from devenv import (
    contents,
    docker_host,
    graph,
    image_verbs,
    process,
    provider,
    registry,
    reproducible,
    revision,
    sbom,
    sources,
    state,
)
from devenv.config import Settings
from devenv.contents import Contents
from devenv.errors import DevenvError, UsageError
from devenv.execute import Tell
from devenv.graph import Image
from devenv.image_verbs import Say
from devenv.revision import Revision
from devenv.stack import Stack

LABEL = "org.opencontainers.image"  # OCI image specification, annotations.md


@dataclass(frozen=True)
class Target:
    """Where images go. Without a tag each has that of its content; without a source, that of the working tree."""

    registry: str
    tag: str = ""
    source: str = ""

    def named(self, image: Image) -> str:
        return f"{self.registry}/{image.name}:{self.tag or image.ref.rpartition(':')[2]}"


def target(settings: Settings, tag: str, source: str) -> Target:
    """Return where the project's images go. Raise UsageError for what can name none."""
    where = settings.project.registry
    if where is None:
        raise UsageError(f"where to? --registry HOST[/PATH], or `registry` in {settings.file}")
    registry.checked(where, tag)
    return Target(where, tag, source)


@dataclass(frozen=True)
class Pushed:
    """An image in a registry."""

    name: str
    ref: str
    digest: str
    tag: str
    revision: str | None  # none of an image that others released
    sbom: str


@dataclass(frozen=True)
class Ready:
    """An image of the host under the name that it is pushed by."""

    name: str
    target: str
    revision: Revision | None
    made: datetime
    contents: Contents


def push(settings: Settings, names: list[str], to: Target, bills: Path, tell: Tell, say: Say) -> list[Pushed]:
    """Push images of the project, all that its manifests use or those named, and write what is in them to `bills`.

    A tag that was asked for is never moved: where one is taken by another image, nothing is pushed.
    """
    where = provider.place(settings)
    with state.locked(where, "images push", say), ExitStack() as held:
        want = sources.load(settings)
        chosen = known(want, names)
        for image in (want.images[name] for name in chosen):
            if not image.source.pull:
                made_from(want, image)  # what cannot be pushed is told before it is built
        image_verbs.obtained(want, chosen, where, tell, say)
        ready = []
        for name in chosen:
            held.enter_context(registry.lent(to.named(want.images[name])))
            ready.append(prepared(want, want.images[name], to))
            say(f"{name}: {'as it was released' if not ready[-1].revision else ready[-1].revision.commit}")
        there = {r.target: registry.digest(r.target) for r in ready} if to.tag else {}
        refuse_taken(there)
        return [pushed(r, there.get(r.target, ""), bills, say) for r in ready]


def known(want: Stack, names: list[str]) -> list[str]:
    ours = want.settings.project.images
    if unknown := [name for name in names if name not in ours]:
        raise UsageError(f"no image {', '.join(unknown)} in the project; there are: {', '.join(ours)}")
    return [*dict.fromkeys(names or want.wanted_images)]


def made_from(want: Stack, image: Image) -> Revision:
    """Return the last commit that changed the image: its folder, those of its bases, the file with its arguments."""
    below = [want.images[name].source for name in graph.closure(want.images, image.name)]
    folders = [source.folder for source in below if source.folder]
    arguments = [want.settings.file] if any(source.args for source in below) else []
    return revision.of_paths(want.settings.root, [*folders, *arguments])


def prepared(want: Stack, image: Image, to: Target) -> Ready:
    """Bring an image under its target's name: a built one made reproducible, a released one as it is."""
    name = to.named(image)
    with TemporaryDirectory(prefix=f"push-{image.name}-", dir=state.cache()) as folder:
        saved = reproducible.unpack(docker_host.save(image.ref), Path(folder))
        if registry.was_pulled(image.ref, image.source.pull):
            docker_host.tag(image.ref, name)
            return Ready(image.name, name, None, reproducible.created(saved), read(saved))
        of = made_from(want, image)
        source = to.source or revision.origin(want.settings.root)
        labels = {f"{LABEL}.revision": of.commit, **({f"{LABEL}.source": source} if source else {})}
        new = reproducible.normalised(saved, Path(folder), of.at, labels)
        registry.load(reproducible.loadable(new, name))
        return Ready(image.name, name, of, of.at, read(new))


def read(image: reproducible.Saved) -> Contents:
    return contents.read(image.layers, build_info)


def build_info(program: Path) -> str:
    """Return what Go's linker wrote into a program. The Go at hand reads it, and fetches no other."""
    go = process.find("go", [state.cache() / "bin"])
    return process.run([go, "version", "-m", "-json", str(program)], cwd=program.parent, env={"GOTOOLCHAIN": "local"})


def refuse_taken(there: Mapping[str, str]) -> None:
    taken = [f"{name} is {digest}" for name, digest in there.items() if digest and not registry.has_same(name, digest)]
    if taken:
        raise DevenvError(
            "\n  ".join(["released tags are not moved, and nothing was pushed:", *taken]) + "\nnext: another --tag"
        )


def pushed(ready: Ready, there: str, bills: Path, say: Say) -> Pushed:
    """Push an image that is not there yet, and write its bill."""
    repository, _, tag = ready.target.rpartition(":")
    digest = there or docker_host.push(ready.target)
    if not digest:
        raise DevenvError(f"push {ready.target}: the registry told no digest")
    say(f"{ready.target} {'was there already' if there else 'pushed'}")
    bills.mkdir(parents=True, exist_ok=True)
    bill = bills / f"{ready.name}.cdx.json"
    bill.write_text(sbom.document(repository, digest, ready.made, ready.contents))
    commit = ready.revision.commit if ready.revision else None
    return Pushed(ready.name, f"{repository}@{digest}", digest, tag, commit, str(bill))
