"""Images as streams: `docker save` into the cache, an OCI layout out of it; over real tar archives."""

import io
import json
import os
import tarfile
import time
from hashlib import sha256
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from devenv.layers import Cache, Stream, oci_layout


def digest(data: bytes) -> str:
    return f"sha256:{sha256(data).hexdigest()}"


def archive(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def in_chunks(data: bytes, size: int = 1000) -> list[bytes]:
    return [data[n : n + size] for n in range(0, len(data), size)]


LOW, HIGH = os.urandom(3000), os.urandom(512)
CONFIG = json.dumps({"rootfs": {"diff_ids": [digest(LOW), digest(HIGH)]}}).encode()


def filled(folder: Path) -> Cache:
    cache = Cache(folder / "layers")
    saved = archive({"a/layer.tar": LOW, "b/layer.tar": HIGH, "c.json": CONFIG, "repositories": b"{}"})
    cache.split(in_chunks(saved))
    return cache


def test_layers_and_configuration_are_kept_under_their_digests(tmp_path: Path) -> None:
    cache = filled(tmp_path)
    assert {p.name for p in cache.path.iterdir()} == {digest(d).replace(":", "-") for d in (LOW, HIGH, CONFIG)}
    assert cache.blob(digest(LOW)).read_bytes() == LOW
    assert not cache.has(digest(b"other"))


def test_a_layout_names_all_layers_and_carries_those_that_are_sent(tmp_path: Path) -> None:
    cache = filled(tmp_path)
    layers = [digest(LOW), digest(HIGH)]
    stream = b"".join(oci_layout(cache, digest(CONFIG), layers, [digest(HIGH)], ["a:1", "b:1"]))
    with tarfile.open(fileobj=io.BytesIO(stream)) as tar:
        files = {m.name: (tar.extractfile(m) or io.BytesIO()).read() for m in tar.getmembers()}
    index = json.loads(files["index.json"])
    assert [m["annotations"]["io.containerd.image.name"] for m in index["manifests"]] == ["a:1", "b:1"]
    (pointer,) = {m["digest"] for m in index["manifests"]}
    manifest = json.loads(files[f"blobs/{pointer.replace(':', '/')}"])
    assert [(x["digest"], x["size"]) for x in manifest["layers"]] == [(digest(LOW), 3000), (digest(HIGH), 512)]
    carried = {name for name in files if name.startswith("blobs/")}
    assert carried == {f"blobs/{d.replace(':', '/')}" for d in (pointer, digest(CONFIG), digest(HIGH))}
    for name in carried:
        assert digest(files[name]) == name.removeprefix("blobs/").replace("/", ":")


def test_a_layer_that_was_not_used_for_long_is_dropped_and_a_used_one_stays(tmp_path: Path) -> None:
    cache = filled(tmp_path)
    long_ago = time.time() - 30 * 24 * 3600
    for blob in cache.path.iterdir():
        os.utime(blob, (long_ago, long_ago))
    for _ in oci_layout(cache, digest(CONFIG), [digest(LOW), digest(HIGH)], [digest(HIGH)], ["a:1"]):
        pass
    cache.drop_unused()
    assert {p.name for p in cache.path.iterdir()} == {digest(d).replace(":", "-") for d in (HIGH, CONFIG)}


@given(st.lists(st.binary(max_size=50)), st.integers(1, 20))
def test_a_stream_reads_as_its_chunks_joined(chunks: list[bytes], size: int) -> None:
    stream, got = Stream(chunks), b""
    while part := stream.read(size):
        got += part
    assert got == b"".join(chunks)
