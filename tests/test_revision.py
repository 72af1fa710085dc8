"""What Git knows of an image's folders, over real working trees."""

import subprocess
from pathlib import Path

import pytest

from devenv.errors import DevenvError
from devenv.images import git as revision
from devenv.images.folder import read_folder


def git(tree: Path, *args: str) -> str:
    who = ("-c", "user.name=a", "-c", "user.email=a@example.com")
    return subprocess.run(["git", *who, *args], cwd=tree, check=True, capture_output=True, text=True).stdout.strip()


def commit(tree: Path, file: str, text: str = "1") -> str:
    (tree / file).parent.mkdir(parents=True, exist_ok=True)
    (tree / file).write_text(text)
    git(tree, "add", "--force", file)
    git(tree, "commit", "--quiet", "--message", file)
    return git(tree, "rev-parse", "HEAD")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    git(tmp_path, "init", "--quiet", "tree")
    return tmp_path / "tree"


def test_the_revision_is_the_last_commit_that_changed_the_folders(tree: Path) -> None:
    first = commit(tree, "base/a")
    second = commit(tree, "app/a")
    commit(tree, "docs/a")
    assert revision.of_paths(tree, [tree / "base"]).commit == first
    found = revision.of_paths(tree, [tree / "app", tree / "base"])
    assert found.commit == second
    assert str(int(found.at.timestamp())) == git(tree, "log", "-1", "--format=%ct", second)


def test_a_folder_of_another_project_is_not_asked_for(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "tool").mkdir()
    first = commit(tree, "app/a")
    assert revision.of_paths(tree, [tree / "app", tmp_path / "tool"]).commit == first
    with pytest.raises(DevenvError, match="none of the folders"):
        revision.of_paths(tree, [tmp_path / "tool"])


def test_files_that_no_commit_has_are_named(tree: Path) -> None:
    commit(tree, "app/a")
    commit(tree, ".gitignore", "*.o")
    (tree / "app/a").write_text("2")
    (tree / "app/new").write_text("1")
    (tree / "app/ignored.o").write_text("1")
    (tree / "app/__pycache__").mkdir()
    (tree / "app/__pycache__/a.pyc").write_text("1")
    (tree / "elsewhere").write_text("1")
    with pytest.raises(DevenvError, match="uncommitted files would be pushed") as error:
        revision.of_paths(tree, [tree / "app"])
    assert str(error.value).splitlines()[1:-1] == ["  app/a", "  app/new", "  app/ignored.o"]


def test_a_deleted_file_is_named(tree: Path) -> None:
    commit(tree, "app/a")
    commit(tree, "app/b")
    (tree / "app/a").unlink()
    with pytest.raises(DevenvError, match="app/a"):
        revision.of_paths(tree, [tree / "app"])


def test_a_shallow_clone_is_refused(tree: Path, tmp_path: Path) -> None:
    commit(tree, "app/a")
    commit(tree, "app/b")
    git(tmp_path, "clone", "--quiet", "--depth", "1", tree.as_uri(), "shallow")
    with pytest.raises(DevenvError, match="git fetch --unshallow"):
        revision.of_paths(tmp_path / "shallow", [tmp_path / "shallow/app"])
    git(tmp_path / "shallow", "fetch", "--quiet", "--unshallow")
    assert revision.of_paths(tmp_path / "shallow", [tmp_path / "shallow/app"]).commit


def test_without_a_repository_or_a_commit_there_is_no_revision(tmp_path: Path, tree: Path) -> None:
    (tmp_path / "app").mkdir()
    with pytest.raises(DevenvError, match="not a git repository"):
        revision.of_paths(tmp_path, [tmp_path / "app"])
    (tree / "app").mkdir()
    with pytest.raises(DevenvError):
        revision.of_paths(tree, [tree / "app"])


@pytest.mark.parametrize(
    ("remote", "told"),
    [
        ("https://github.com/owner/project", "https://github.com/owner/project"),
        ("https://github.com/owner/project.git", "https://github.com/owner/project"),
        ("https://user:secret@example.com:8443/owner/project.git", "https://example.com:8443/owner/project"),
        ("https://token@github.com/owner/project/", "https://github.com/owner/project"),
        ("git@github.com:owner/project.git", "https://github.com/owner/project"),
        ("ssh://git@github.com:22/owner/project.git", "https://github.com/owner/project"),
        ("/srv/project.git", ""),
        ("../project", ""),
        ("file:///srv/project.git", ""),
    ],
)
def test_a_remote_is_told_without_credentials_and_a_folder_not_at_all(remote: str, told: str, tree: Path) -> None:
    assert revision.origin(tree) == ""
    git(tree, "remote", "add", "origin", remote)
    assert revision.origin(tree) == told


def test_what_a_link_makes_a_part_of_the_image_is_committed_too(tree: Path, tmp_path: Path) -> None:
    commit(tree, "shared/Dockerfile", "FROM scratch\n")
    (tree / "app").mkdir()
    (tree / "app/Dockerfile").symlink_to("../shared/Dockerfile")
    git(tree, "add", "app")
    git(tree, "commit", "--quiet", "--message", "link")
    assert revision.of_paths(tree, [tree / "app"]).commit == git(tree, "rev-parse", "HEAD")
    second = commit(tree, "shared/Dockerfile", "FROM base\n")
    assert revision.of_paths(tree, [tree / "app"]).commit == second
    (tree / "shared/Dockerfile").write_text("FROM other\n")
    with pytest.raises(DevenvError, match="uncommitted files would be pushed:\n  shared/Dockerfile"):
        revision.of_paths(tree, [tree / "app"])
    git(tree, "checkout", "--quiet", ".")
    (tmp_path / "outside").write_text("FROM base\n")
    (tree / "app/Dockerfile").unlink()
    (tree / "app/Dockerfile").symlink_to(tmp_path / "outside")
    git(tree, "commit", "--quiet", "--all", "--message", "out")
    with pytest.raises(DevenvError, match=r"no commit of .* has what a link of the image leads to: .*/outside"):
        revision.of_paths(tree, [tree / "app"])


def test_the_content_behind_a_link_is_not_in_the_image_so_nobody_asks_whether_it_is_committed(tree: Path) -> None:
    commit(tree, "shared/x")
    (tree / "app").mkdir()
    (tree / "app/shared").symlink_to("../shared")
    first = commit(tree, "app/Dockerfile", "FROM scratch\n")
    with pytest.raises(DevenvError, match="\n  app/shared\n"):
        revision.of_paths(tree, [tree / "app"])
    git(tree, "add", "app")
    git(tree, "commit", "--quiet", "--amend", "--message", "link")
    (tree / "shared/x").write_text("2")
    assert revision.of_paths(tree, [tree / "app"]).commit == git(tree, "rev-parse", "HEAD") != first
    assert [file.path for file in read_folder(tree / "app")] == ["Dockerfile", "shared"]
    assert all(b"2" not in file.data for file in read_folder(tree / "app"))


def test_a_file_that_dockerignore_leaves_out_may_be_uncommitted(tree: Path) -> None:
    commit(tree, ".gitignore", ".env\n.venv\n")
    commit(tree, "app/.dockerignore", ".env\n.venv\nold.py\n")
    commit(tree, "app/old.py")
    (tree / "app/.env").write_text("PASSWORD=1")
    (tree / "app/.venv").mkdir()
    (tree / "app/.venv/x").write_text("1")
    assert revision.of_paths(tree, [tree / "app"])
    (tree / "app/sent").write_text("1")
    with pytest.raises(DevenvError, match="uncommitted files would be pushed:\n  app/sent\n"):
        revision.of_paths(tree, [tree / "app"])
