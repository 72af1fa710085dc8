"""What is in an image, read from its layers, and its bill: over real archives and a real Go program."""

import io
import json
import subprocess
import tarfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from devenv.commands.push import build_info
from devenv.images import packages, sbom
from devenv.images.packages import Contents, Part
from devenv.system import process, state


def faults_of(bill: str) -> object:
    """Return what is wrong with a bill by CycloneDX's own schema."""
    # The library makes 39 grammars when it is imported: 3 s that other tests need not wait for.
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    return JsonStrictValidator(SchemaVersion.V1_6).validate_str(bill)


STATUS = """Package: libc6
Status: install ok installed
Architecture: amd64
Version: 2.36-9
Description: C
 Version: 1

Package: gone
Status: deinstall ok config-files
Architecture: all
Version: 1
"""
COPYRIGHT = """Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/

Files: *
License: LGPL-2.1+

Files: debian/*
License: GPL-2
 The text.
"""
METADATA = """Metadata-Version: 2.4
Name: Some_Thing.X
Version: 1.2
License-Expression: MIT

Version: 3
"""
STATUS_FILE, METADATA_FILE = "var/lib/dpkg/status", "usr/lib/python3/some_thing_x-1.2.dist-info/METADATA"
LIBC = Part("deb", "libc6", "2.36-9", architecture="amd64")
THING = Part("pypi", "some-thing-x", "1.2", ("MIT",))


Files = dict[str, str | bytes | None]


def layer(path: Path, files: Files, mode: int = 0o644) -> Path:
    """Pack files; one that is None is a link to elsewhere."""
    with tarfile.open(path, "w") as archive:
        for name, data in files.items():
            raw = data.encode() if isinstance(data, str) else data or b""
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(raw), mode
            if data is None:
                info.type, info.linkname = tarfile.SYMTYPE, "/elsewhere"
            archive.addfile(info, io.BytesIO(raw))
    return path


def read(*layers: Path) -> Contents:
    return packages.read(layers, build_info)


def test_packages_distributions_and_their_licences_are_found(tmp_path: Path) -> None:
    release = 'NAME="Debian"\nID=debian\nVERSION_ID="12"\n'
    files: Files = {
        STATUS_FILE: STATUS,
        "usr/share/doc/libc6/copyright": COPYRIGHT,
        METADATA_FILE: METADATA,
        "usr/lib/os-release": release,
    }
    licensed = Part("deb", "libc6", "2.36-9", ("GPL-2", "LGPL-2.1+"), "amd64")
    assert read(layer(tmp_path / "low", files)) == Contents((licensed, THING), ("debian", "12"))


@pytest.mark.parametrize(
    ("above", "left"),
    [
        ({}, (LIBC, THING)),
        ({STATUS_FILE: ""}, (THING,)),
        ({STATUS_FILE: None}, (THING,)),
        ({"var/lib/dpkg/.wh.status": ""}, (THING,)),
        ({"var/.wh.lib": ""}, (THING,)),
        ({"usr/lib/python3/.wh..wh..opq": ""}, (LIBC,)),
        ({"usr/lib/.wh.python": "", "usr/lib/python3/other/.wh..wh..opq": ""}, (LIBC, THING)),
    ],
)
def test_what_a_layer_hides_of_those_below_is_not_there(tmp_path: Path, above: Files, left: tuple[Part, ...]) -> None:
    low = layer(tmp_path / "low", {STATUS_FILE: STATUS, METADATA_FILE: METADATA})
    assert read(low, layer(tmp_path / "high", above)).parts == left


def test_what_a_layer_deletes_and_has_anew_is_there(tmp_path: Path) -> None:
    low = layer(tmp_path / "low", {METADATA_FILE: METADATA})
    new = METADATA.replace("Version: 1.2", "Version: 2")
    above: Files = {"usr/lib/python3/.wh..wh..opq": "", METADATA_FILE: new}
    assert [part.version for part in read(low, layer(tmp_path / "high", above)).parts] == ["2"]


@pytest.mark.parametrize(
    ("head", "found"),
    [
        ("License: BSD\nClassifier: License :: OSI Approved :: MIT License", ("MIT License",)),
        ("License: BSD", ("BSD",)),
        ("License: A long\n        text", ()),
        ("", ()),
    ],
)
def test_the_licence_of_a_distribution_is_what_it_names_shortest(head: str, found: tuple[str, ...]) -> None:
    assert packages.python(f"Name: a\nVersion: 1\n{head}\n").licences == found


def test_the_modules_of_a_go_program_are_found_and_other_programs_have_none(tmp_path: Path) -> None:
    (tmp_path / "go.mod").write_text("module example.com/a\n\ngo 1.26\n")
    (tmp_path / "main.go").write_text("package main\n\nfunc main() {}\n")
    go = process.find("go", [state.cache() / "bin"])
    subprocess.run([go, "build", "-trimpath", "-ldflags", "-s -w", "-o", "a", "."], cwd=tmp_path, check=True)
    program = (tmp_path / "a").read_bytes()
    found = read(layer(tmp_path / "low", {"usr/bin/a": program, "usr/bin/b": b"\x7fELF" + bytes(2000)}, 0o755)).parts
    assert [part.name for part in found] == ["example.com/a", "stdlib"]
    version = subprocess.run([go, "env", "GOVERSION"], check=True, capture_output=True, text=True).stdout.strip()
    assert found[1].version == version.removeprefix("go")


@pytest.mark.parametrize(
    ("file", "gap"),
    [
        ("lib/apk/db/installed", "apk packages"),
        ("usr/lib/apk/db/installed", "apk packages"),
        ("var/lib/rpm/rpmdb.sqlite", "rpm packages"),
        ("usr/lib/sysimage/rpm/Packages.db", "rpm packages"),
        ("app/node_modules/@scope/a/package.json", "npm packages"),
        ("app/service.jar", "jar packages"),
        ("bin/sh", "anything: no package of a known kind was found"),
    ],
)
def test_what_is_not_recognized_is_told_and_is_in_the_bill(tmp_path: Path, file: str, gap: str) -> None:
    found = read(layer(tmp_path / "low", {file: "x"}))
    assert found.gap == gap
    bill = sbom.document("a", DIGEST, AT, found)
    assert faults_of(bill) is None
    properties = json.loads(bill)["metadata"]["component"]["properties"]
    assert properties == [{"name": "devenv:unrecognized", "value": gap}]


def test_an_image_whose_contents_are_all_known_has_no_such_property(tmp_path: Path) -> None:
    found = read(layer(tmp_path / "low", {STATUS_FILE: STATUS, "a.jar": "x"}), layer(tmp_path / "h", {".wh.a.jar": ""}))
    assert found.gap == ""
    assert "properties" not in json.loads(sbom.document("a", DIGEST, AT, found))["metadata"]["component"]


def test_a_package_that_is_there_twice_is_one_component_and_the_bill_stays_the_same() -> None:
    twice = Contents(
        (
            Part("golang", "example.com/A/b", "1"),
            Part("golang", "example.com/a/b", "1"),
            Part("pypi", "b", "1", ("BSD-2-Clause",)),
            Part("pypi", "b", "1", ("MIT",)),
        )
    )
    bill = sbom.document("a", DIGEST, AT, twice)
    assert sbom.document("a", DIGEST, AT, twice) == bill
    parts = {c["purl"]: c for c in json.loads(bill)["components"]}
    assert [c["bom-ref"] for c in json.loads(bill)["components"]] == [*parts]
    assert {licence["license"]["id"] for licence in parts["pkg:pypi/b@1"]["licenses"]} == {"BSD-2-Clause", "MIT"}


DIGEST = f"sha256:{'0' * 64}"
AT = datetime(2026, 1, 2, tzinfo=UTC)
ALL = Contents(
    (
        Part("deb", "libc6", "2.36-9+deb12u1", ("GPL-2 or prose", "LGPL-2.1+"), "amd64"),
        Part("golang", "example.com/a", ""),
        Part("golang", "stdlib", "1.26.6"),
        Part("pypi", "numpy", "2.4", ("BSD-3-Clause AND MIT",)),
        Part("pypi", "b", "1", ("MIT", "Nobody's")),
    ),
    ("debian", "12"),
)


def test_a_bill_is_valid_and_the_same_for_the_same_image() -> None:
    bill = sbom.document("ghcr.io/owner/a", DIGEST, AT, ALL)
    assert faults_of(bill) is None
    assert sbom.document("ghcr.io/owner/a", DIGEST, AT, ALL) == bill
    assert json.loads(bill)["serialNumber"] != json.loads(sbom.document("b", DIGEST, AT, ALL))["serialNumber"]


def test_a_bill_names_the_image_by_digest_and_each_part_by_its_package_url() -> None:
    bill = json.loads(sbom.document("ghcr.io/owner/a", DIGEST, AT, ALL))
    image = bill["metadata"]["component"]
    assert (image["type"], image["name"], image["version"]) == ("container", "ghcr.io/owner/a", DIGEST)
    assert image["hashes"] == [{"alg": "SHA-256", "content": "0" * 64}]
    assert bill["metadata"]["timestamp"] == "2026-01-02T00:00:00+00:00"
    assert {c["name"]: c["purl"] for c in bill["components"]} == {
        "libc6": "pkg:deb/debian/libc6@2.36-9%2Bdeb12u1?arch=amd64&distro=debian-12",
        "example.com/a": "pkg:golang/example.com/a",
        "stdlib": "pkg:golang/stdlib@1.26.6",
        "numpy": "pkg:pypi/numpy@2.4",
        "b": "pkg:pypi/b@1",
    }
    licences = {c["name"]: c.get("licenses") for c in bill["components"]}
    assert licences["numpy"] == [{"expression": "BSD-3-Clause AND MIT"}]
    assert licences["b"] == [{"license": {"id": "MIT"}}, {"license": {"name": "Nobody's"}}]
