"""Images as streams of tar: layers out of `docker save`, an OCI layout into containerd.

A layer lies in the cache under the digest of its uncompressed content (its diff ID), so that the next cluster gets
it straight from disk. Source: OCI image specification (image-layout.md, manifest.md).
"""

import io
import json
import os
import tarfile
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from hashlib import file_digest, sha256
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO, Any

from devenv.images.saved import blob_name, config_of, uncompressed

BLOCK, CHUNK = 512, 1 << 20
KEPT_S = 14 * 24 * 3600  # a layer that no load used for two weeks is dropped
OCI = "application/vnd.oci.image"


class Stream(io.RawIOBase):
    """Chunks as a readable file, which is what tarfile takes."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            try:
                self._rest = next(self._chunks)
            except StopIteration:
                return 0
        size = min(len(buffer), len(self._rest))
        buffer[:size], self._rest = self._rest[:size], self._rest[size:]
        return size


@dataclass(frozen=True)
class Cache:
    """Layers and image configurations on disk, each named by its digest."""

    path: Path

    def blob(self, digest: str) -> Path:
        return self.path / digest.replace(":", "-")

    def has(self, digest: str) -> bool:
        return self.blob(digest).exists()

    def intact(self, digest: str) -> bool:
        """Whether a blob is there and is what its name says; one that a full disk cut short is dropped."""
        with suppress(FileNotFoundError), self.blob(digest).open("rb") as file:
            if f"sha256:{file_digest(file, 'sha256').hexdigest()}" == digest:
                return True
            self.blob(digest).unlink()
        return False

    def config(self, id_: str, layers: Iterable[str]) -> str | None:
        """Return the digest of the configuration of an image with this ID and these layers, if it is here."""
        return config_of(self.document, id_, layers)

    def document(self, digest: str) -> Any:
        return json.loads(self.blob(digest).read_bytes()) if self.intact(digest) else None

    def keep(self, source: IO[bytes]) -> str:
        """Store a stream under its digest and return that."""
        hashed = sha256()
        file = NamedTemporaryFile(dir=self.path, prefix=".", delete=False)  # noqa: SIM115 - it is closed below
        try:
            with file:
                while chunk := source.read(CHUNK):
                    hashed.update(chunk)
                    file.write(chunk)
            digest = f"sha256:{hashed.hexdigest()}"
            Path(file.name).replace(self.blob(digest))
        finally:
            Path(file.name).unlink(missing_ok=True)  # half of a layer, if it is still there
        return digest

    def split(self, saved: Iterable[bytes]) -> None:
        """Store every layer, uncompressed, and every document of a `docker save` stream; links are passed over."""
        self.path.mkdir(parents=True, exist_ok=True)
        with io.BufferedReader(Stream(saved), CHUNK) as raw, tarfile.open(fileobj=raw, mode="r|") as archive:
            for member in archive:
                if member.isfile() and (member.name.endswith((".tar", ".json")) or "blobs/" in member.name):
                    content = archive.extractfile(member)
                    assert content
                    with uncompressed(content, member.name) as plain:
                        self.keep(plain)

    def drop_unused(self) -> None:
        for blob in self.path.glob("*"):
            with suppress(FileNotFoundError):
                if time.time() - blob.stat().st_mtime > KEPT_S:
                    blob.unlink()


def oci_layout(
    cache: Cache, config: str, layers: Iterable[str], sent: Iterable[str], names: Iterable[str]
) -> Iterator[bytes]:
    """Yield the tar of an OCI layout: one image under several names, naming all `layers`, carrying those in `sent`.

    containerd takes a layer that is not carried from its own store, by its chain ID; its import refuses the image
    where it has none.
    """
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{OCI}.manifest.v1+json",
        "config": descriptor(cache, f"{OCI}.config.v1+json", config),
        "layers": [descriptor(cache, f"{OCI}.layer.v1.tar", layer) for layer in layers],
    }
    body = json.dumps(manifest).encode()
    digest = f"sha256:{sha256(body).hexdigest()}"
    pointer = {"mediaType": manifest["mediaType"], "digest": digest, "size": len(body)}
    named = [{**pointer, "annotations": {"io.containerd.image.name": name}} for name in names]
    yield from entry("oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
    yield from entry("index.json", json.dumps({"schemaVersion": 2, "manifests": named}).encode())
    yield from entry(blob_name(digest), body)
    for blob in dict.fromkeys((config, *sent)):
        yield header(blob_name(blob), cache.blob(blob).stat().st_size)
        yield from content(cache.blob(blob))
    yield bytes(2 * BLOCK)  # the end of a tar: two empty blocks


def descriptor(cache: Cache, media_type: str, digest: str) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest, "size": cache.blob(digest).stat().st_size}


def header(name: str, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size = size
    return info.tobuf(tarfile.GNU_FORMAT)


def entry(name: str, data: bytes) -> Iterator[bytes]:
    yield header(name, len(data)) + data + bytes(-len(data) % BLOCK)


def content(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        os.utime(path)  # used today
        while chunk := file.read(CHUNK):
            yield chunk
        yield bytes(-file.tell() % BLOCK)
