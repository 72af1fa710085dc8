"""What `docker save` writes, whichever store the daemon keeps its images in.

Docker's own store saves plain layers and a manifest.json. The one of containerd (the default of Docker 29 and of Docker
Desktop) saves an OCI layout, whose layers may be compressed, so that a blob's digest is no diff ID; and an image's ID
there is the digest of its manifest, or of a list of manifests of which only some are in the archive. Sources: OCI image
specification (image-layout.md, image-index.md, manifest.md); Docker's image specification v1.2.
"""

import gzip
import io
import json
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import IO, Any, cast

from devenv.errors import DevenvError

GZIP, ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"

Find = Callable[[str], Any]  # a digest to the JSON document under it, or None


@contextmanager
def uncompressed(blob: IO[bytes], name: str) -> Iterator[IO[bytes]]:
    """Yield the content of a layer. Anything that is not compressed is its own content."""
    content = io.BufferedReader(cast(io.RawIOBase, blob))
    head = content.peek(len(ZSTD))[: len(ZSTD)]
    try:
        if head == ZSTD:
            yield opened_zstd(content, name)
        else:
            yield cast("IO[bytes]", gzip.GzipFile(fileobj=content)) if head[:2] == GZIP else content
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DevenvError(f"{name}: what Docker saved of this layer cannot be read: {error}") from error
    finally:
        content.detach()  # the archive closes what is its own


def opened_zstd(content: IO[bytes], name: str) -> IO[bytes]:
    try:
        from compression import zstd  # type: ignore[import-not-found, unused-ignore]  # since Python 3.14
    except ImportError:
        raise DevenvError(
            f"{name}: this layer is compressed with zstd, which Python reads from 3.14 on\n"
            "hint: build or push the image with gzip: docker buildx build --output type=image,compression=gzip"
        ) from None
    return cast("IO[bytes]", zstd.open(content))


def manifests(find: Find, digest: str) -> Iterator[dict[str, Any]]:
    """Yield the manifests below a digest that are at hand, whether it is one or a list of them."""
    document = find(digest) or {}
    if "config" in document:
        yield document
    for below in document.get("manifests") or ():
        yield from manifests(find, below["digest"])


def config_of(find: Find, digest: str, layers: Iterable[str]) -> str | None:
    """Return the digest of the configuration of an image with this ID and these layers (diff IDs)."""
    if "rootfs" in (find(digest) or {}):
        return digest
    configs = (manifest["config"]["digest"] for manifest in manifests(find, digest))
    return next((config for config in configs if diff_ids(find(config)) == [*layers]), None)


def diff_ids(config: Any) -> list[str]:
    return ((config or {}).get("rootfs") or {}).get("diff_ids") or []


def described(read: Callable[[str], bytes | None], layers: Iterable[str] | None) -> tuple[bytes, list[str]]:
    """Return configuration and names of the layers' files of the image in an archive; of several, of that with these
    layers.
    """
    found = [(read(config) or b"{}", names) for config, names in entries(read)]
    wanted = [image for image in found if layers is None or diff_ids(json.loads(image[0])) == [*layers]]
    if not wanted:
        raise DevenvError(f"docker save wrote {len(found)} images, and none of them has the layers that Docker tells")
    return wanted[0]


def entries(read: Callable[[str], bytes | None]) -> Iterator[tuple[str, list[str]]]:
    """Yield the names of the configuration and of the layers of each image in an archive."""
    if (old := read("manifest.json")) is not None:
        yield from ((image["Config"], image["Layers"]) for image in json.loads(old))
        return

    def find(digest: str) -> Any:
        data = read(digest if digest == "index.json" else blob_name(digest))
        return json.loads(data) if data else None

    for manifest in manifests(find, "index.json"):
        yield blob_name(manifest["config"]["digest"]), [blob_name(layer["digest"]) for layer in manifest["layers"]]


def blob_name(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"
