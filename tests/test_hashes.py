"""The slow hashes of Secrets, kept for the next command: what they are, when they are made again, who can use them."""

import json
from pathlib import Path

import pytest

from devenv.kube.objects import Object, config_hash, secret
from devenv.project import hashes

OTHER = "f" * 32  # what no Secret has: it is seen only where it was kept


def hashed(file: Path, *objects: Object, boot: Path = hashes.BOOT) -> list[str]:
    with hashes.kept(file, boot) as of:
        return [of(obj) for obj in objects]


def of(value: str, name: str = "s", home: str = "home") -> Object:
    return secret(name, {"key": value}, home)


def replaced(file: Path) -> None:
    """Have the file tell another hash of all that it knows."""
    told = json.loads(file.read_text())
    file.write_text(json.dumps({**told, "hashes": dict.fromkeys(told["hashes"], OTHER)}))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "hashes.json"


def test_a_hash_is_the_one_that_is_made_without_a_file_and_is_made_once(file: Path) -> None:
    both = [of("a"), of("b")]
    assert hashed(file, *both) == [config_hash(obj) for obj in both] == hashed(file, *both)
    replaced(file)
    assert hashed(file, *both) == [OTHER, OTHER]


@pytest.mark.parametrize(
    "changed", [of("b"), of("a", name="t"), secret("s", {"key": "a", "more": ""}, "home")], ids=str
)
def test_another_secret_has_another_hash_which_is_made(file: Path, changed: Object) -> None:
    hashed(file, of("a"))
    replaced(file)
    assert hashed(file, changed) == [config_hash(changed)]


def test_what_is_no_secret_is_not_kept(file: Path) -> None:
    config = Object.parse(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": "b"}}, "home"
    )
    assert hashed(file, config) == [config_hash(config)]
    assert not file.exists()


def test_only_what_was_used_last_is_kept_in_a_private_file_without_the_secret(file: Path) -> None:
    hashed(file, of("hunter2hunter2"))
    hashed(file, of("correct horse"), of("battery staple"))
    told = file.read_text()
    assert len(json.loads(told)["hashes"]) == 2
    assert not any(word in told for word in ("hunter2", "horse", "staple"))
    assert file.stat().st_mode & 0o077 == 0


def test_a_copy_of_the_file_tells_nothing_where_the_machine_has_started_again(file: Path, tmp_path: Path) -> None:
    """What knows a Secret again is no digest that the file alone lets anybody compute."""
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_text("2f1c\n")
    second.write_text("9d07\n")
    hashed(file, of("a"), boot=first)
    replaced(file)
    assert hashed(file, of("a"), boot=first) == [OTHER]
    assert hashed(file, of("a"), boot=second) == [config_hash(of("a"))]


def test_nothing_is_kept_without_a_boot_id_or_a_runtime_folder(file: Path, tmp_path: Path) -> None:
    assert hashed(file, of("a"), boot=tmp_path / "none") == [config_hash(of("a"))]
    assert hashed(tmp_path / "none/hashes.json", of("a")) == [config_hash(of("a"))]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"key": "", "hashes": {}}', '{"key": 1, "hashes": []}', '{"hashes": 3}']
)
def test_a_file_that_is_not_ours_is_written_anew(file: Path, text: str) -> None:
    file.write_text(text)
    assert hashed(file, of("a")) == [config_hash(of("a"))]
    assert len(json.loads(file.read_text())["key"]) == 2 * hashes.KEY_BYTES
