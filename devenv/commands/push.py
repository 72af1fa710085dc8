"""devenv images push: the project's images in a registry, each told by its digest."""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from devenv.commands import images
from devenv.commands.images import Log
from devenv.errors import DevenvError, UsageError
from devenv.images import daemon, graph, registry, reproducible, sbom
from devenv.images import git as revision
from devenv.images import packages as contents
from devenv.images.git import Revision
from devenv.images.graph import Image
from devenv.images.packages import Contents
from devenv.project import sources
from devenv.project.stack import Stack
from devenv.reconcile.environment import Environment
from devenv.reconcile.execute import OnEvent
from devenv.system import process, state

LABEL = "org.opencontainers.image"  # OCI image specification, annotations.md


@dataclass(frozen=True)
class Target:
    """Where images go. Without a tag each has that of its content; without a source, that of the working tree."""

    registry: str
    tag: str = ""
    source: str = ""

    def named(self, image: Image) -> str:
        return f"{self.registry}/{image.name}:{self.tag or image.ref.rpartition(':')[2]}"


def target(env: Environment, tag: str, source: str) -> Target:
    """Return where the project's images go. Raise UsageError for what can name none."""
    destination = env.project.registry
    if destination is None:
        raise UsageError(f"no registry given: pass --registry HOST[/PATH] or set registry in {env.settings.file.name}")
    registry.checked(destination, tag)
    return Target(destination, tag, source)


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


def push(env: Environment, names: list[str], to: Target, bills: Path, on_event: OnEvent, log: Log) -> list[Pushed]:
    """Push images of the project, all that its manifests use or those named, and write what is in them to `bills`.

    A given tag is never moved: if another image has it, nothing is pushed.
    """
    with state.locked(env.folder, "images push", log), ExitStack() as held:
        desired = sources.load(env.settings)
        chosen = known(desired, names)
        for image in (desired.images[name] for name in chosen):
            if not image.source.pull:
                made_from(desired, image)  # what cannot be pushed is told before it is built
        images.obtain(env, desired, chosen, on_event, log)
        ready = []
        for name in chosen:
            held.enter_context(registry.temporary_tag(to.named(desired.images[name])))
            ready.append(prepared(desired, desired.images[name], to))
            log(f"{name}: {'as it was released' if not ready[-1].revision else ready[-1].revision.commit}")
        there = {r.target: registry.digest(r.target) for r in ready} if to.tag else {}
        refuse_taken(there)
        return [pushed(r, there.get(r.target, ""), bills, log) for r in ready]


def known(desired: Stack, names: list[str]) -> list[str]:
    ours = desired.settings.project.images
    if unknown := [name for name in names if name not in ours]:
        raise UsageError(f"no image {', '.join(unknown)} in the project; there are: {', '.join(ours)}")
    return [*dict.fromkeys(names or desired.wanted_images)]


def made_from(desired: Stack, image: Image) -> Revision:
    """Return the last commit that changed the image: its folder, those of its bases, the file with its arguments."""
    below = [desired.images[name].source for name in graph.closure(desired.images, image.name)]
    folders = [path for source in below for path in source.paths]
    arguments = [desired.settings.file] if any(source.args for source in below) else []
    return revision.of_paths(desired.settings.root, [*folders, *arguments])


def prepared(desired: Stack, image: Image, to: Target) -> Ready:
    """Bring an image under its target's name: a built one made reproducible, a released one as it is."""
    name = to.named(image)
    with TemporaryDirectory(prefix=f"push-{image.name}-", dir=state.cache()) as folder:
        saved = reproducible.unpack(daemon.save(image.ref), Path(folder), daemon.inspect_image(image.ref).layers)
        if registry.was_pulled(image.ref, image.source.pull):
            daemon.tag(image.ref, name)
            return Ready(image.name, name, None, reproducible.created(saved), read(saved))
        of = made_from(desired, image)
        source = to.source or revision.origin(desired.settings.root)
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
            "\n  ".join(["released tags are never moved; nothing was pushed:", *taken]) + "\nhint: choose another --tag"
        )


def pushed(ready: Ready, there: str, bills: Path, log: Log) -> Pushed:
    """Push an image that is not there yet, and write its bill."""
    repository, _, tag = ready.target.rpartition(":")
    digest = there or daemon.push(ready.target)
    if not digest:
        raise DevenvError(f"push {ready.target}: the registry told no digest")
    log(f"{ready.target} {'was there already' if there else 'pushed'}")
    bills.mkdir(parents=True, exist_ok=True)
    bill = bills / f"{ready.name}.cdx.json"
    if ready.contents.gap:
        log(f"warning: {bill} does not list {ready.contents.gap}")
    bill.write_text(sbom.document(repository, digest, ready.made, ready.contents))
    commit = ready.revision.commit if ready.revision else None
    return Pushed(ready.name, f"{repository}@{digest}", digest, tag, commit, str(bill))
