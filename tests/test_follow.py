"""Files followed by the system's own means, and what is sent of them: real files, real events."""

import shutil
import tarfile
import time
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devenv.errors import UsageError
from devenv.images.graph import File, Kind
from devenv.reconcile import tree
from devenv.reconcile.watched import Files
from devenv.reconcile.ways import Folder, Synced, Watched
from devenv.system.follow import Following
from tests.waiting import eventually

SOON_S = 10.0


def followed(folder: Path) -> Following:
    following = Following()
    following.follow([folder])
    return following


def project(root: Path) -> Files:
    """Return the files of an image whose folder `src` is sent."""
    home = root / "api"
    (home / "src").mkdir(parents=True)
    folder = Folder("api", home, (Synced(home / "src", PurePosixPath("/code")),))
    return Files(Watched(root / "pyproject.toml", root / ".env", folders=(folder,)), folder)


def test_a_hundred_saves_end_in_the_last_state(tmp_path: Path) -> None:
    """Whatever is taken together: what is read after the last event is what was saved last."""
    files, source = project(tmp_path), tmp_path / "api/src"
    following, seen, sent = followed(tmp_path / "api"), dict[str, File](), dict[str, bytes]()

    def take(within_s: float) -> None:
        if following.take(within_s):
            now = files.now()
            delta = tree.difference(seen, now)
            seen.clear()
            seen.update(now)
            for path in delta.gone:
                sent.pop(path)
            sent.update({file.path: file.data for file in delta.put})

    for number in range(100):
        (source / f"{number % 7}.py").write_text(f"x = {number}")
        if number % 10 == 9:
            (source / f"{number % 7}.py").unlink()
        if number % 33 == 32:
            take(5)  # in the middle of it
    last = {f"src/{f.name}": f.read_bytes() for f in source.iterdir()}

    def arrived() -> bool:
        take(0.1)
        return sent == last

    eventually(arrived, SOON_S)
    following.end()


def test_a_file_that_is_emptied_before_it_is_written_is_not_taken_empty(tmp_path: Path) -> None:
    files, file = project(tmp_path), tmp_path / "api/src/a.py"
    with file.open("w") as half, ThreadPoolExecutor() as pool:
        seen = pool.submit(files.now)
        time.sleep(0.1)
        assert not seen.done()
        half.write("x = 1")
        half.flush()
        assert seen.result(SOON_S)["src/a.py"].data == b"x = 1"


def test_a_file_that_stays_empty_is_taken_as_it_is(tmp_path: Path) -> None:
    files = project(tmp_path)
    (tmp_path / "api/src/__init__.py").touch()
    assert files.now()["src/__init__.py"].data == b""


def test_a_file_is_read_when_another_change_of_it_gets_another_time(tmp_path: Path) -> None:
    """Two changes within one tick of the file system's clock, of the same length, look the same."""
    files, file = project(tmp_path), tmp_path / "api/src/a.py"
    file.write_text("x = 1")
    files.now()
    assert time.time() - file.stat().st_mtime > 0.01


def test_a_folder_that_is_gone_as_a_whole_is_an_error_and_not_sent(tmp_path: Path) -> None:
    files, source = project(tmp_path), tmp_path / "api/src"
    (source / "a.py").write_text("x = 1")
    assert [*files.now()] == ["src/a.py"]
    (source / "a.py").unlink()
    assert [*files.now()] == ["src"]  # a folder is something too
    source.rmdir()
    with pytest.raises(UsageError, match="src: no such file or folder"):
        files.now()


def test_a_file_that_is_put_in_the_place_of_another_is_followed_on(tmp_path: Path) -> None:
    """As editors save: a new file, renamed over the old one. So is one that is not there at first."""
    table, made = tmp_path / "pyproject.toml", tmp_path / ".env"
    table.write_text("old")
    following = Following()
    assert following.follow([table, made])
    assert not following.follow([made, table])
    for text in ("1", "2"):
        (tmp_path / "new").write_text(text)
        (tmp_path / "new").rename(table)
        eventually(lambda: table in following.take(0.1), SOON_S)
    made.write_text("x")
    eventually(lambda: made in following.take(0.1), SOON_S)
    following.end()


def test_a_change_of_a_file_that_lies_in_a_followed_folder_too_comes_once(tmp_path: Path) -> None:
    """Told twice, what was sent for the first time would count as followed by another change."""
    inner = tmp_path / "a/b"
    inner.mkdir(parents=True)
    (inner / "x").write_text("1")
    following = Following()
    following.follow([tmp_path / "a", inner, inner / "x"])
    (inner / "x").write_text("2")
    eventually(lambda: inner / "x" in following.take(0.1), SOON_S)
    assert following.take(1.5) == frozenset()
    following.end()


def test_what_changes_while_others_are_followed_is_not_lost(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    following = followed(tmp_path / "a")
    (tmp_path / "a/x").write_text("x")
    following.follow([tmp_path / "a", tmp_path / "b"])
    (tmp_path / "b/y").write_text("y")
    seen = set[Path]()

    def both() -> bool:
        seen.update(following.take(0.1))
        return {tmp_path / "a/x", tmp_path / "b/y"} <= seen

    eventually(both, SOON_S)
    following.end()


def test_a_folder_that_was_put_in_the_place_of_another_is_followed_on(tmp_path: Path) -> None:
    """As git does when it checks another branch out."""
    home = tmp_path / "api"
    home.mkdir()
    following = followed(home)
    for text in ("1", "2"):
        home.rename(tmp_path / f"old{text}")
        home.mkdir()
        seen = set[Path]()

        def told(seen: set[Path] = seen) -> bool:
            seen.update(following.take(0.1))
            if any(following.follows(path) for path in seen):
                following.follow([home], anew=True)
            return home in seen

        eventually(told, SOON_S)
        (home / text).write_text(text)
        eventually(lambda text=text: home / text in following.take(0.1), SOON_S)  # type: ignore[misc]
    following.end()


PLACES = ("a", "a/b", "a/b/c", "d", "d/e")
DATA = st.sampled_from([b"", b"1", b"2"])


def trees() -> st.SearchStrategy[dict[str, File]]:
    """Trees as a file system can have them: nothing lies within a file."""

    def whole(found: dict[str, bytes]) -> dict[str, File]:
        inner = {str(p) for path in found for p in PurePosixPath(path).parents}
        return {f"src/{p}": File(f"src/{p}", data) for p, data in found.items() if p not in inner}

    return st.dictionaries(st.sampled_from(PLACES), DATA).map(whole)


def on_disk(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@settings(deadline=None)
@given(trees(), trees())
def test_what_is_removed_and_extracted_makes_one_tree_of_the_other(old: dict[str, File], new: dict[str, File]) -> None:
    """With byte code lying about, as a container leaves it: of a package that is gone nothing is left."""
    with TemporaryDirectory() as name:
        root = Path(name)
        (root / "src").mkdir()
        put(root, tree.archive(((f.path, f) for f in old.values()), 1))
        for folder in {(root / path).parent for path in old} - {root / "src"}:
            (folder / "x.pyc").write_text("")
        delta = tree.difference(old, new, [PurePosixPath("src")])
        for path in delta.gone:
            shutil.rmtree(root / path) if (root / path).is_dir() else (root / path).unlink()
        put(root, tree.archive(((f.path, f) for f in delta.put), 2))
        there = {path: data for path, data in on_disk(root).items() if not path.endswith(".pyc")}
        assert there == {path: file.data for path, file in new.items()}
        assert all(any(p.startswith(str(Path(path).parent)) for p in new) for path in on_disk(root))
        assert not tree.difference(new, new)
        assert tree.count(old, new) == sum(old.get(p) != new.get(p) for p in {*old, *new})


def put(root: Path, archive: bytes) -> None:
    with tarfile.open(fileobj=BytesIO(archive)) as tar:
        tar.extractall(root, filter="data")


def test_links_modes_and_odd_names_travel() -> None:
    odd = b"src/\xff.bin".decode(errors="surrogateescape")
    files = [File("src/run", b"#!", executable=True), File("src/to", b"run", kind=Kind.LINK), File(odd, b"x")]
    with tarfile.open(fileobj=BytesIO(tree.archive([(f.path, f) for f in files], 7)), errors="surrogateescape") as tar:
        seen = {m.name: (m.mode, m.linkname, m.mtime) for m in tar.getmembers()}
    assert seen == {"src/run": (0o755, "", 7), "src/to": (0o644, "run", 7), odd: (0o644, "", 7)}


def test_a_python_file_that_does_not_compile_is_told_with_its_line() -> None:
    files = [File("a.py", b"x = 1\nx ==\n"), File("b.py", b"x = 1"), File("c.txt", b"x =="), File("d.py", b"\0")]
    assert [said.partition(":")[0] for said in tree.uncompilable(files)] == ["a.py", "d.py"]
    assert "line 2" in next(iter(tree.uncompilable(files)))
