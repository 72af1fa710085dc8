"""The folder of an image, over real folders: what is in the build and in the tag, and what is in neither."""

import os
import socket
from pathlib import Path

import pytest

from devenv.errors import UsageError
from devenv.images.folder import read_folder, write
from devenv.images.graph import File, Kind, Source, content_tag


def tag(folder: Path) -> str:
    return content_tag(Source(files=read_folder(folder)), [])


def made(folder: Path, **files: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in {"Dockerfile": "FROM scratch\n", **files}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def paths(folder: Path) -> set[str]:
    return {file.path for file in read_folder(folder)}


@pytest.mark.parametrize("target", ["..", ".", "nowhere", "/", "Dockerfile"])
def test_a_link_is_read_as_a_link_wherever_it_leads(tmp_path: Path, target: str) -> None:
    folder = made(tmp_path / "app")
    before = tag(folder)
    (folder / "link").symlink_to(target)
    assert File("link", target.encode(), kind=Kind.LINK) in read_folder(folder)
    assert paths(folder) == {"Dockerfile", "link"}
    with_link = tag(folder)
    (folder / "link").unlink()
    (folder / "link").symlink_to("elsewhere")
    assert len({before, with_link, tag(folder)}) == 3


def test_a_copy_has_the_same_links_empty_folders_and_modes(tmp_path: Path) -> None:
    folder, copy = made(tmp_path / "app", run="#!/bin/sh\n", **{"a/b": "text"}), tmp_path / "copy"
    (folder / "run").chmod(0o700)
    (folder / "empty/below").mkdir(parents=True)
    (folder / "link").symlink_to("/etc")
    for file in read_folder(folder):
        write(file, copy)
    assert read_folder(copy) == read_folder(folder)
    assert (copy / "link").readlink() == Path("/etc")
    assert (copy / "empty/below").is_dir()


def test_an_empty_folder_is_in_the_tag(tmp_path: Path) -> None:
    folder = made(tmp_path / "app")
    before = tag(folder)
    (folder / "empty").mkdir()
    assert tag(folder) != before


IGNORE = "# a remark\n.env\n.git\n/build/\n**/*.log\ndocs\n!docs/kept.md\nDockerfile\nprepare\n"


def test_what_dockerignore_leaves_out_is_neither_in_the_build_nor_in_the_tag(tmp_path: Path) -> None:
    kept = {"main.py": "1", "docs/kept.md": "1", "prepare": "#!/bin/sh\n", ".dockerignore": IGNORE}
    folder = made(tmp_path / "app", **kept)
    before = tag(folder)
    made(folder, **{".env": "PASSWORD=1", ".git/HEAD": "ref", "build/x": "1", "a.log": "", "docs/a.md": "1"})
    assert paths(folder) == {"Dockerfile", *kept}
    assert tag(folder) == before
    made(folder, **{"main.py": "2"})
    assert tag(folder) != before


def test_a_dockerignore_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    folder = made(tmp_path / "app")
    (folder / ".dockerignore").mkdir()
    with pytest.raises(UsageError, match=r"\.dockerignore: Is a directory"):
        read_folder(folder)


def test_a_folder_whose_files_are_all_left_out_is_sent_empty(tmp_path: Path) -> None:
    folder = made(tmp_path / "app", **{".dockerignore": "data/*\n", "data/x": "1"})
    assert File("data", kind=Kind.FOLDER) in read_folder(folder)


def test_caches_are_in_no_image(tmp_path: Path) -> None:
    folder = made(tmp_path / "app", **{"a/main.py": "1"})
    before = tag(folder)
    made(folder, **{"a/__pycache__/main.pyc": "1", ".mypy_cache/x/y": "1"})
    (folder / "b/__pycache__").mkdir(parents=True)
    assert tag(folder) == before


def test_directions_that_lie_elsewhere_are_read(tmp_path: Path) -> None:
    folder, shared = made(tmp_path / "app"), tmp_path / "shared"
    shared.write_text("FROM base\n")
    (folder / "Dockerfile").unlink()
    (folder / "Dockerfile").symlink_to("../shared")
    assert Source(files=read_folder(folder)).dockerfile == "FROM base\n"
    shared.unlink()
    with pytest.raises(UsageError, match=r"Dockerfile: a link to \.\./shared, which does not exist"):
        read_folder(folder)


def test_pipes_and_sockets_are_passed_over_and_odd_names_are_none_the_worse(tmp_path: Path) -> None:
    folder = made(tmp_path / "app")
    os.mkfifo(folder / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(folder / "socket"))
        Path(os.fsdecode(os.fsencode(folder) + b"/\xff")).write_text("1")
        assert paths(folder) == {"Dockerfile", os.fsdecode(b"\xff")}
        assert tag(folder)
