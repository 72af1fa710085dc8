"""Migration, wait and overrides: what they answer to whoever started them."""

import time
from pathlib import Path

import pytest
from somabrain.apply_overrides import listed, target_of
from somabrain.schema import VERSIONS, Revisions

from tests.service.programs import run, silent_port


def test_a_migration_without_postgres_says_that_trying_again_may_help() -> None:
    with silent_port() as port:
        done = run("migrate", SOMABRAIN_POSTGRES_DSN=f"postgresql://a:b@127.0.0.1:{port}/c")
    assert done.returncode == 75, done.stderr
    assert "could not be reached" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_migration_without_an_address_fails_for_good() -> None:
    done = run("migrate")
    assert done.returncode == 1
    assert "SOMABRAIN_POSTGRES_DSN is missing" in done.stderr


def test_waiting_for_postgres_has_an_end() -> None:
    with silent_port() as port:
        begun = time.monotonic()
        dsn = f"postgresql://a:secret@127.0.0.1:{port}/c"
        done = run("wait_for_postgres", "--timeout", "1.5", SOMABRAIN_POSTGRES_DSN=dsn)
    assert done.returncode == 1
    assert time.monotonic() - begun < 20
    assert "did not answer within 1.5 s" in done.stderr
    assert "secret" not in done.stdout + done.stderr


def test_a_service_with_faulty_settings_names_them_all_and_does_not_start() -> None:
    done = run("__main__", SOMABRAIN_POSTGRES_DSN="mysql://x:secret@y/z", SOMABRAIN_PORT="tcp://10.0.0.1:9696")
    assert done.returncode == 2
    for name in ("SOMABRAIN_POSTGRES_DSN", "SOMABRAIN_REDIS_URL", "SOMABRAIN_PORT"):
        assert name in done.stderr
    assert "enableServiceLinks" in done.stderr
    assert "secret" not in done.stderr


def test_the_migrations_have_one_first_and_one_last() -> None:
    assert "0001_context_feedback" in {path.stem for path in VERSIONS.glob("*.py")}
    assert Revisions.here().head == sorted(path.stem for path in VERSIONS.glob("*.py"))[-1]


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("somabrain.context.py", "somabrain/context.py"),
        ("alembic.versions.0001_context_feedback.py", "alembic/versions/0001_context_feedback.py"),
        ("alembic.ini", "alembic.ini"),
    ],
)
def test_a_key_names_a_path(key: str, path: str) -> None:
    assert str(target_of(key)) == path


@pytest.mark.parametrize("key", ["", "py", ".py", "a..py", "..a.py", "/etc.passwd", "a/b.py", "a. .py", "a.", "..a..b"])
def test_a_key_that_names_no_path_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match="not a dotted path"):
        target_of(key)


def folders(tmp_path: Path) -> tuple[Path, Path]:
    source, target = tmp_path / "overrides", tmp_path / "code"
    source.mkdir()
    (target / "somabrain").mkdir(parents=True)
    (target / "somabrain" / "context.py").write_text("old")
    return source, target


def test_overrides_replace_and_add_files(tmp_path: Path) -> None:
    source, target = folders(tmp_path)
    data = source / "..2026_01_01"  # what a mounted ConfigMap looks like
    data.mkdir()
    (data / "somabrain.context.py").write_text("new")
    (data / "somabrain.deep.er.py").write_text("added")
    (source / "..data").symlink_to(data.name)
    for name in ("somabrain.context.py", "somabrain.deep.er.py"):
        (source / name).symlink_to(f"..data/{name}")
    done = run("apply_overrides", str(source), str(target))
    assert (done.returncode, done.stderr) == (0, "")
    assert (target / "somabrain" / "context.py").read_text() == "new"
    assert (target / "somabrain" / "deep" / "er.py").read_text() == "added"
    assert "2 overrides applied" in done.stdout
    assert listed(target) == ["somabrain/context.py", "somabrain/deep/er.py"]


def test_an_empty_config_map_changes_nothing(tmp_path: Path) -> None:
    source, target = folders(tmp_path)
    done = run("apply_overrides", str(source), str(target))
    assert (done.returncode, done.stdout) == (0, "0 overrides applied\n")
    assert listed(target) == []


def test_an_override_never_leaves_the_tree_and_then_none_is_applied(tmp_path: Path) -> None:
    source, target = folders(tmp_path)
    outside = tmp_path / "outside"
    outside.mkdir()
    (target / "link").symlink_to(outside)
    (source / "somabrain.context.py").write_text("new")
    (source / "link.evil.py").write_text("evil")
    done = run("apply_overrides", str(source), str(target))
    assert done.returncode == 1
    assert "lies outside" in done.stderr
    assert list(outside.iterdir()) == []
    assert (target / "somabrain" / "context.py").read_text() == "old"


def test_a_key_that_is_no_path_stops_everything(tmp_path: Path) -> None:
    source, target = folders(tmp_path)
    (source / "somabrain.context.py").write_text("new")
    (source / "readme").write_text("no suffix")
    assert run("apply_overrides", str(source), str(target)).returncode == 1
    assert (target / "somabrain" / "context.py").read_text() == "old"
