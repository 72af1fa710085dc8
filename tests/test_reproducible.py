"""Images without the marks of their making, over real archives: equal contents give equal bytes."""

import io
import json
import tarfile
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devenv.images import reproducible
from devenv.images.reproducible import EPOCH, Saved

MADE = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
CAPABILITY = "SCHILY.xattr.security.capability"


@dataclass(frozen=True)
class Entry:
    name: str
    data: bytes = b""
    type: bytes = tarfile.REGTYPE
    link: str = ""
    mode: int = 0o644
    owner: int = 0
    xattr: str = ""


def chances(seed: int) -> Random:
    return Random(seed)  # noqa: S311 - nothing is kept secret by it


def packed(entries: list[Entry], chance: Random) -> bytes:
    """Return entries as a tar, with all that chance decides of a build: order, times, names of owners."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for entry in entries:
            info = tarfile.TarInfo(entry.name)
            info.type, info.linkname, info.mode, info.uid = entry.type, entry.link, entry.mode, entry.owner
            info.size, info.mtime = len(entry.data), chance.randrange(2_000_000_000)
            info.uname, info.gname = chance.choice(("root", "x")), chance.choice(("root", ""))
            info.pax_headers = {"mtime": f"{info.mtime}.5", "atime": f"{chance.random()}"}
            if entry.xattr:
                info.pax_headers[CAPABILITY] = entry.xattr
            archive.addfile(info, io.BytesIO(entry.data))
    return out.getvalue()


def normalised(layer: bytes) -> bytes:
    out = io.BytesIO()
    digest = reproducible.normalise(io.BytesIO(layer), out)
    assert digest == f"sha256:{sha256(out.getvalue()).hexdigest()}"
    return out.getvalue()


def listed(layer: bytes) -> dict[str, Entry]:
    with tarfile.open(fileobj=io.BytesIO(layer)) as archive:
        return {
            m.name: Entry(
                m.name, (f.read() if m.isreg() and (f := archive.extractfile(m)) else b""), m.type, m.linkname,
                m.mode & 0o7777, m.uid, m.pax_headers.get(CAPABILITY, ""),
            )
            for m in archive
        }  # fmt: skip


NAMES = st.lists(st.text("ab-.é", min_size=1, max_size=3).filter(lambda t: t.strip(".")), min_size=1, max_size=3)
FILES = st.builds(
    Entry,
    name=NAMES.map("/".join),
    data=st.binary(max_size=600),
    mode=st.sampled_from((0o644, 0o755, 0o4755)),
    owner=st.sampled_from((0, 999)),
    xattr=st.sampled_from(("", "\x01\x00\x02")),
)
FOLDERS = st.builds(Entry, name=NAMES.map("/".join), type=st.just(tarfile.DIRTYPE), mode=st.just(0o755))
SYMLINKS = st.builds(Entry, name=NAMES.map("/".join), type=st.just(tarfile.SYMTYPE), link=st.just("../b"))
ENTRIES = st.lists(st.one_of(FILES, FOLDERS, SYMLINKS), max_size=8, unique_by=lambda e: e.name)


@given(ENTRIES, st.randoms(use_true_random=False))
def test_neither_order_nor_time_nor_the_name_of_an_owner_is_left(entries: list[Entry], chance: Random) -> None:
    shuffled = chance.sample(entries, len(entries))
    one, other = normalised(packed(entries, chance)), normalised(packed(shuffled, chance))
    assert one == other
    assert normalised(one) == one
    with tarfile.open(fileobj=io.BytesIO(one)) as archive:
        assert {(m.mtime, m.uname, m.gname) for m in archive} <= {(EPOCH, "", "")}
        assert all(m.pax_headers.keys() <= {CAPABILITY, "path", "linkpath"} for m in archive)


@given(ENTRIES, st.randoms(use_true_random=False))
def test_what_a_container_sees_of_a_layer_stays(entries: list[Entry], chance: Random) -> None:
    assert listed(normalised(packed(entries, chance))) == {e.name: e for e in entries}


def test_of_several_names_of_a_file_the_first_has_its_data_whichever_was_packed_first() -> None:
    chance = chances(1)
    linked = [Entry("b/x", b"data"), Entry("a", type=tarfile.LNKTYPE, link="b/x")]
    turned = [Entry("a", b"data"), Entry("b/x", type=tarfile.LNKTYPE, link="a")]
    one, other = normalised(packed(linked, chance)), normalised(packed(turned, chance))
    assert one == other
    assert listed(one) == {e.name: e for e in turned}


SUITES = (("debian", "bookworm"), ("debian", "bookworm-updates"), ("debian-security", "bookworm-security"))
LIST = "".join(f"deb http://mirror.example.com/{where} {suite} main\n" for where, suite in SUITES).encode()
POINTER = b'Dir::Etc::sourcelist "mirror.list";\n'
PREPARE = Path(reproducible.__file__).parents[1] / "cluster/node_images/rootfs/prepare"


def apt(pointer: bytes, mirrors: bytes, top: str = "") -> list[Entry]:
    return [Entry(f"{top}etc/apt/apt.conf.d/10mirror", pointer), Entry(f"{top}etc/apt/mirror.list", mirrors)]


@pytest.mark.parametrize("top", ["", "./"])
def test_the_mirror_of_the_builders_network_is_left_out(top: str) -> None:
    kept = Entry("etc/apt/sources.list", b"deb")
    assert POINTER.decode().strip() in PREPARE.read_text()
    assert listed(normalised(packed([kept, *apt(POINTER, LIST, top)], chances(1)))) == {kept.name: kept}


@pytest.mark.parametrize(
    "own",
    [
        apt(b"Acquire::Retries 3;\n", LIST),
        apt(POINTER, b"set base_path /var/spool/apt-mirror\n"),
        apt(POINTER, LIST)[1:],
    ],
)
def test_a_person_s_own_files_of_the_mirror_s_names_stay(own: list[Entry]) -> None:
    assert listed(normalised(packed(own, chances(1)))) == {entry.name: entry for entry in own}


CONTAINER = {
    "architecture": "amd64",
    "os": "linux",
    "created": "2026-07-08T09:10:11.123456789Z",
    "container": "5a9c2f005623",
    "docker_version": "20.10.24",
    "history": [{"created": "2026-07-08T09:10:11Z", "created_by": "/bin/sh"}],
    "container_config": {"Hostname": "5a9c2f005623"},
    "config": {
        "Hostname": "5a9c2f005623", "Image": "sha256:52b3", "Env": ["A=1"], "User": "1", "Cmd": None,
        "Labels": {"a": "b"},
    },
    "rootfs": {"type": "layers", "diff_ids": ["sha256:old"]},
}  # fmt: skip


def test_a_configuration_says_what_runs_and_nothing_of_the_build() -> None:
    config = json.loads(reproducible.configuration(CONTAINER, ["sha256:new"], MADE, {"c": "d"}))
    assert config == {
        "architecture": "amd64",
        "os": "linux",
        "created": "2026-01-02T03:04:05Z",
        "config": {"Env": ["A=1"], "User": "1", "Labels": {"a": "b", "c": "d"}},
        "rootfs": {"type": "layers", "diff_ids": ["sha256:new"]},
    }


def image(folder: Path, layers: list[bytes]) -> Saved:
    folder.mkdir()
    paths = [folder / str(number) for number in range(len(layers))]
    for path, layer in zip(paths, layers, strict=True):
        path.write_bytes(layer)
    digests = [f"sha256:{sha256(layer).hexdigest()}" for layer in layers]
    config = {**CONTAINER, "rootfs": {"type": "layers", "diff_ids": digests}}
    return Saved(json.dumps(config).encode(), tuple(paths))


def test_an_image_comes_whole_through_save_and_load(tmp_path: Path) -> None:
    low, high = packed([Entry("a", b"1")], chances(1)), packed([Entry("a", b"2")], chances(2))
    whole = image(tmp_path / "image", [low, high, low])
    out = tmp_path / "out"
    out.mkdir()
    again = reproducible.unpack(reproducible.loadable(whole, "r/a:1"), out)
    assert again.config == whole.config
    assert [layer.read_bytes() for layer in again.layers] == [low, high, low]


def test_a_layer_that_was_saved_as_a_link_to_another_is_found(tmp_path: Path) -> None:
    described = json.dumps([{"Config": "c.json", "Layers": ["1/layer.tar", "2/layer.tar"]}]).encode()
    saved = packed(
        [
            Entry("1/layer.tar", b"layer"),
            Entry("2/layer.tar", type=tarfile.SYMTYPE, link="../1/layer.tar"),
            Entry("c.json", b"{}"),
            Entry("manifest.json", described),
        ],
        chances(1),
    )
    assert [layer.read_bytes() for layer in reproducible.unpack([saved], tmp_path).layers] == [b"layer", b"layer"]


def test_the_same_image_built_twice_is_one(tmp_path: Path) -> None:
    entries = [Entry("etc", type=tarfile.DIRTYPE, mode=0o755), Entry("etc/a", b"1")]
    built = [image(tmp_path / f"image-{n}", [packed(entries, chances(n))]) for n in range(2)]
    assert built[0].config != built[1].config
    for n in range(2):
        (tmp_path / f"out-{n}").mkdir()
    one, two = (reproducible.normalised(b, tmp_path / f"out-{n}", MADE, {}) for n, b in enumerate(built))
    assert one.config == two.config
    changed = image(tmp_path / "changed", [packed([*entries[:1], replace(entries[1], data=b"2")], chances(1))])
    (tmp_path / "out").mkdir()
    assert reproducible.normalised(changed, tmp_path / "out", MADE, {}).config != one.config
