"""The images on a kind node: what its containerd has, and how it gets what it lacks."""

from collections.abc import Iterable, Iterator

from devenv.errors import CommandFailed, DevenvError
from devenv.images import daemon, endpoint
from devenv.images.layers import Cache, oci_layout
from devenv.system import process, state
from devenv.system.cancel import Cancel
from devenv.system.digest import chain_ids

IMPORT_WITHIN_S = 300.0


def ctr(
    node: str, *words: str, stdin: bytes | Iterable[bytes] = b"", within_s: float = 30, cancel: Cancel | None = None
) -> str:
    """Run containerd's client on the node, in the namespace that the kubelet uses."""
    return process.run(
        ["docker", "exec", "--interactive", node, "ctr", "--namespace", "k8s.io", *words],
        env=endpoint.variables(),
        stdin=stdin,
        within_s=within_s,
        cancel=cancel,
    )


def images(node: str) -> frozenset[str]:
    return frozenset(ctr(node, "images", "list", "--quiet").split())


def unpacked(node: str) -> frozenset[str]:
    """Return the chain IDs of the layers that the node has unpacked."""
    rows = ctr(node, "snapshots", "list").splitlines()[1:]
    return frozenset(row.split()[0] for row in rows if row.split())


def load(node: str, ref: str, names: tuple[str, ...], cancel: Cancel) -> str:
    """Bring an image of the Docker host to the node, sending only what it lacks, and see that it is there.

    Returns what was sent, for the person. `names` are further names that the image has on the node.
    """
    if {ref, *names} <= images(node):
        return "is there"
    wanted = daemon.inspect_image(ref)
    cache = Cache(state.cache() / "layers")
    chains = unpacked(node)
    lacking = [
        layer for layer, chain in zip(wanted.layers, chain_ids(wanted.layers), strict=True) if chain not in chains
    ]
    config = cached(cache, ref, wanted, lacking)
    sent = sum(cache.blob(layer).stat().st_size for layer in lacking)
    try:
        put(node, oci_layout(cache, config, wanted.layers, lacking, (ref, *names)), cancel)
        said = f"{len(lacking)} of {len(wanted.layers)} layers, {sent / 1e6:.1f} MB"
    except CommandFailed:
        # An import makes the image's record before it unpacks: a failed one leaves a record of what is not there.
        ctr(node, "images", "remove", ref, *names)
        config = cached(cache, ref, wanted, wanted.layers)
        put(node, oci_layout(cache, config, wanted.layers, wanted.layers, (ref, *names)), cancel)
        said = f"all {len(wanted.layers)} layers, after a partial load was refused"
    if ref not in images(node):
        raise DevenvError(f"{ref}: was loaded, yet containerd on {node} does not list it")
    cache.drop_unused()
    return said


def cached(cache: Cache, ref: str, image: daemon.ImageConfig, sent: Iterable[str]) -> str:
    """See that the cache has an image, and those of its layers that are sent intact. Return its configuration."""

    def there() -> str | None:
        whole = all([*map(cache.has, image.layers), *map(cache.intact, sent)])
        return cache.config(image.id, image.layers) if whole else None

    if config := there():
        return config
    cache.split(daemon.save(ref))
    if config := there():
        return config
    raise DevenvError(f"{ref}: docker save wrote another image than {image.id}, which Docker has under this name")


def put(node: str, archive: Iterator[bytes], cancel: Cancel) -> None:
    ctr(node, "images", "import", "-", stdin=archive, within_s=IMPORT_WITHIN_S, cancel=cancel)
