"""Images as streams: `docker save` into the cache, an OCI layout out of it; over real tar archives."""

import gzip
import io
import json
import os
import sys
import tarfile
import time
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devenv.errors import DevenvError
from devenv.images import reproducible
from devenv.images.layers import Cache, Stream, oci_layout


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


def stored_by_containerd(low: bytes, *more: bytes, docker_too: bool = False) -> tuple[str, bytes]:
    """Return the ID of an image and what `docker save` writes of it in containerd's store: an OCI layout, in which a
    list of manifests also names a platform that is not there.
    """
    blobs = {digest(data): data for data in (low, *more, CONFIG)}
    manifest = json.dumps(
        {"config": {"digest": digest(CONFIG)}, "layers": [{"digest": digest(x)} for x in (low, *more)]}
    )
    other = {"digest": digest(b"another platform"), "platform": {"architecture": "arm64", "os": "linux"}}
    listed = json.dumps({"manifests": [other, {"digest": digest(manifest.encode())}]})
    blobs |= {digest(text.encode()): text.encode() for text in (manifest, listed)}
    files = {f"blobs/{name.replace(':', '/')}": data for name, data in blobs.items()}
    files["index.json"] = json.dumps({"manifests": [{"digest": digest(listed.encode())}]}).encode()
    if docker_too:
        names = [f"blobs/{digest(x).replace(':', '/')}" for x in (low, *more)]
        files["manifest.json"] = json.dumps(
            [{"Config": f"blobs/{digest(CONFIG).replace(':', '/')}", "Layers": names}]
        ).encode()
    return digest(listed.encode()), archive(files)


@pytest.mark.parametrize("docker_too", [True, False])
def test_compressed_layers_are_kept_by_their_diff_ids_and_an_id_leads_to_the_configuration(
    tmp_path: Path, docker_too: bool
) -> None:
    cache = Cache(tmp_path / "layers")
    id_, saved = stored_by_containerd(gzip.compress(LOW), HIGH, docker_too=docker_too)
    layers = [digest(LOW), digest(HIGH)]
    assert cache.config(id_, layers) is None
    cache.split(in_chunks(saved))
    assert cache.config(id_, layers) == digest(CONFIG)
    assert cache.config(digest(CONFIG), layers) == digest(CONFIG)  # Docker's own store: the ID is the configuration's
    assert [cache.blob(layer).read_bytes() for layer in layers] == [LOW, HIGH]
    (tmp_path / "out").mkdir()
    image = reproducible.unpack(in_chunks(saved), tmp_path / "out", layers)
    assert (image.config, [layer.read_bytes() for layer in image.layers]) == (CONFIG, [LOW, HIGH])
    with pytest.raises(DevenvError, match="none of them has the layers"):
        reproducible.unpack(in_chunks(saved), tmp_path / "out", [digest(LOW)])


@pytest.mark.parametrize("broken", [gzip.compress(LOW)[:-100], gzip.compress(LOW)[:-8] + bytes(8)])
def test_a_compressed_layer_that_is_cut_short_or_spoilt_is_refused(tmp_path: Path, broken: bytes) -> None:
    with pytest.raises(DevenvError, match=r"blobs/sha256/\w+: what Docker saved of this layer cannot be read"):
        Cache(tmp_path / "layers").split([stored_by_containerd(broken, HIGH)[1]])
    assert not [p for p in (tmp_path / "layers").iterdir() if p.name.startswith(".")]


def test_a_layer_in_zstd_is_read_or_told_with_what_to_do(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "layers")
    if sys.version_info >= (3, 14):
        from compression import zstd

        cache.split([stored_by_containerd(zstd.compress(LOW), HIGH)[1]])
        assert cache.blob(digest(LOW)).read_bytes() == LOW
    else:
        with pytest.raises(DevenvError, match=r"compressed with zstd, .*\nhint: "):
            cache.split([stored_by_containerd(b"\x28\xb5\x2f\xfd" + LOW, HIGH)[1]])


@pytest.mark.parametrize("spoilt", [LOW[:-1], b"", bytes(len(LOW))])
def test_a_cached_layer_that_is_not_what_its_name_says_is_fetched_again(tmp_path: Path, spoilt: bytes) -> None:
    cache = filled(tmp_path)
    assert cache.intact(digest(LOW))
    cache.blob(digest(LOW)).write_bytes(spoilt)
    assert not cache.intact(digest(LOW))
    assert not cache.has(digest(LOW))


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
