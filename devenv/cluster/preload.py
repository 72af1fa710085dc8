"""Images that the next cluster's node has from its first moment on: unpacked layers in a volume beside it.

A node made anew would get the stack's images again, layer by layer. Instead a volume holds what containerd made of
them: the layers, and containerd's own records with links to where the node finds the volume (`MOUNT`). The node's
entrypoint takes the records; the layers are shared by all nodes, and never copied. What has changed since is loaded as
ever.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from importlib.resources import files
from json import dumps
from pathlib import Path
from uuid import uuid4

from devenv.cluster import containerd
from devenv.errors import CommandFailed, DevenvError
from devenv.images import containers, daemon, endpoint, volumes
from devenv.images.layers import Cache
from devenv.kube.readiness import Level, Readiness
from devenv.system import process, state
from devenv.system.cancel import Cancel
from devenv.system.wait import poll

LABEL = "devenv.preload"  # its value is the cluster's name
MOUNT = "/kind/preload"  # the node's entrypoint and the links in the volume know it
# Layers that are less than this are sent to a new node in a moment: not worth unpacking all again.
FEW_BYTES = 20_000_000
SERVES_WITHIN_S, MOVED_WITHIN_S = 60.0, 600.0


@dataclass(frozen=True)
class Preload:
    """What a volume holds."""

    volume: str
    node: str  # the reference of the node image, whose containerd wrote the records
    layers: tuple[str, ...]  # diff IDs
    bytes: int


def record(cluster: str) -> Path:
    return state.cache() / "preload" / f"{cluster}.json"


def known(cluster: str) -> Preload | None:
    """Return what was made whole for the clusters of a name, or None."""
    seen = state.read_json(record(cluster))
    try:
        return Preload(seen["volume"], seen["node"], tuple(seen["layers"]), seen["bytes"])
    except (TypeError, KeyError):
        return None


def found(cluster: str, node: str) -> str:
    """Return where, on Docker's machine, the volume for a node of this image lies; an empty string where none does."""
    made = known(cluster)
    if made is None or made.node != node:
        return ""
    return next((v.path for v in volumes.find(f"{LABEL}={cluster}") if v.name == made.volume), "")


def forget(cluster: str) -> None:
    """Let no further node have it: it is removed with the next one that is made, or by `prune`."""
    record(cluster).unlink(missing_ok=True)


def prune(cluster: str) -> list[str]:
    """Remove the volumes of a name but the one that counts, and return them. One that a node uses stays."""
    made = known(cluster)
    label = f"{LABEL}={cluster}"
    containers.remove_labelled(label, "remove what a killed preload left")
    others = [v for v in volumes.find(label) if made is None or v.name != made.volume]
    return [v.name for v in others if volumes.remove(v)]


def lacking(made: Preload | None, node: str, layers: Mapping[str, int]) -> int:
    """Return how many bytes of some layers, each with its size, a new node would have to be sent."""
    there = made.layers if made and made.node == node else ()
    return sum(size for layer, size in layers.items() if layer not in there)


def make(cluster: str, node: str, images: Mapping[str, tuple[str, ...]], log: Callable[[str], None]) -> Preload | None:
    """Make the volume for a node image and some images, each with further names that it has on the node.

    Return None where the one that there is lacks little. A new one counts once it is whole: whatever ends this early
    leaves the former one in use.
    """
    layers = sizes(images)
    if found(cluster, node) and lacking(known(cluster), node, layers) < FEW_BYTES:
        return None
    volume = volumes.make(f"devenv-preload-{cluster}-{uuid4().hex[:8]}", {LABEL: cluster})
    try:
        with serving(cluster, volume.name, node) as container:
            for ref, names in images.items():
                log(f"{ref}: {containerd.load(container, ref, names, Cancel())}")
            docker("exec", container, "/bin/bash", *script("forget-archives"))
        # containerd has ended and closed its records.
        size = docker(
            "run", "--rm", *beside(cluster, volume.name), node, *script("move-layers"), within_s=MOVED_WITHIN_S
        )
    except BaseException:
        volumes.remove(volume)
        raise
    made = Preload(volume.name, node, tuple(layers), int(size))
    state.write(record(cluster), dumps(asdict(made)))
    return made


def sizes(images: Mapping[str, object]) -> dict[str, int]:
    """Return the layers of some images with their sizes in bytes, as far as this host has loaded them anywhere."""
    cache = Cache(state.cache() / "layers")
    layers = dict.fromkeys(layer for ref in images for layer in daemon.inspect_image(ref).layers)
    return {layer: cache.blob(layer).stat().st_size if cache.has(layer) else 0 for layer in layers}


@contextmanager
def serving(cluster: str, volume: str, node: str) -> Iterator[str]:
    """Yield a container in which a containerd takes images into the volume. It yields the processor to all others."""
    container = f"{volume}-containerd"
    docker("run", "--detach", "--name", container, *beside(cluster, volume), node, *script("serve"))
    try:
        if poll(lambda: answers(container), SERVES_WITHIN_S).level is not Level.READY:
            raise DevenvError(f"containerd does not start on {volume}: {docker('logs', container)}")
        yield container
    finally:
        with suppress(CommandFailed):
            docker("stop", container)
        docker("rm", "--force", container)


def answers(container: str) -> Readiness:
    try:
        containerd.ctr(container, "version")
    except CommandFailed as error:
        return Readiness(Level.PENDING, container, error.output)
    return Readiness(Level.READY, container)


def beside(cluster: str, volume: str) -> list[str]:
    """Return the options of a container of the node image that has the volume where a node has it."""
    own = ["--label", f"{LABEL}={cluster}", "--volume", f"{volume}:{MOUNT}", "--entrypoint", "/bin/bash"]
    return [*own, "--privileged", "--network", "none", "--cpu-shares", "2"]


def script(part: str) -> list[str]:
    text = files("devenv.cluster").joinpath("node_images/preload-images").read_text()
    return ["-c", text, "preload-images", part]


def docker(*words: str, within_s: float = 60.0) -> str:
    return process.run(["docker", *words], env=endpoint.variables(), within_s=within_s).strip()
