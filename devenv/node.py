"""The images on a kind node: what its containerd has, and how it gets what it lacks."""

from collections.abc import Iterable, Iterator

from devenv import docker_host, process, state
from devenv.digest import chain_ids
from devenv.errors import CommandFailed, DevenvError
from devenv.layers import Cache, oci_layout

IMPORT_WITHIN_S = 300.0


def ctr(node: str, *words: str, stdin: bytes | Iterable[bytes] = b"", within_s: float = 30) -> str:
    """Run containerd's client on the node, in the namespace that the kubelet uses."""
    return process.run(
        ["docker", "exec", "--interactive", node, "ctr", "--namespace", "k8s.io", *words],
        stdin=stdin,
        within_s=within_s,
    )


def images(node: str) -> frozenset[str]:
    return frozenset(ctr(node, "images", "list", "--quiet").split())


def unpacked(node: str) -> frozenset[str]:
    """Return the chain IDs of the layers that the node has unpacked."""
    rows = ctr(node, "snapshots", "list").splitlines()[1:]
    return frozenset(row.split()[0] for row in rows if row.split())


def load(node: str, ref: str, names: tuple[str, ...]) -> str:
    """Bring an image of the Docker host to the node, sending only what it lacks, and see that it is there.

    Returns what was sent, for the person. `names` are further names that the image has on the node.
    """
    wanted = docker_host.inspect_image(ref)
    cache = Cache(state.cache() / "layers")
    have = unpacked(node)
    lacking = [layer for layer, chain in zip(wanted.layers, chain_ids(wanted.layers), strict=True) if chain not in have]
    if not all(cache.has(digest) for digest in (wanted.id, *wanted.layers)):
        cache.split(docker_host.save(ref))
    sent = sum(cache.blob(layer).stat().st_size for layer in lacking)
    try:
        put(node, oci_layout(cache, wanted.id, wanted.layers, lacking, (ref, *names)))
        said = f"{len(lacking)} of {len(wanted.layers)} layers, {sent / 1e6:.1f} MB"
    except CommandFailed:
        # An import makes the image's record before it unpacks: a failed one leaves a record of what is not there.
        ctr(node, "images", "remove", ref, *names)
        put(node, oci_layout(cache, wanted.id, wanted.layers, wanted.layers, (ref, *names)))
        said = f"all {len(wanted.layers)} layers, after a partial load was refused"
    if ref not in images(node):
        raise DevenvError(f"{ref}: was loaded, yet containerd on {node} does not list it")
    cache.drop_unused()
    return said


def put(node: str, archive: Iterator[bytes]) -> None:
    ctr(node, "images", "import", "-", stdin=archive, within_s=IMPORT_WITHIN_S)
