"""An environment of a checkout's own: its name and ports by its path, remembered from `up` until `down`."""

import json
import os
import subprocess
import sys
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as rounds
from hypothesis import strategies as st

from devenv.errors import UsageError
from devenv.project import isolated, isolation
from devenv.project.isolation import BLOCK, END, FIRST, Isolation
from devenv.project.schema import Project
from devenv.system import state

ROOT = Path(__file__).parent.parent
PATHS = st.text(st.characters(exclude_characters="\0/", exclude_categories=["Cs"]), min_size=1).map(
    lambda t: Path("/") / t
)
TABLE = {
    "name": "shop",
    "manifests": "k8s",
    "images": {"a": {"pull": "a:1"}},
    "forwards": {name: {"service": name, "ports": f"{port}:80"} for name, port in (("web", 8080), ("admin", 9090))},
}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder of its own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "state/devenv").mkdir(parents=True)
    return tmp_path


def checkout(path: Path, name: str = "shop") -> Path:
    """Return the table of a checkout at a path."""
    (path / "k8s").mkdir(parents=True)
    forwards = "".join(
        f'[forwards.{key}]\nservice = "{key}"\nports = "{value["ports"]}"\n'
        for key, value in TABLE["forwards"].items()  # type: ignore[attr-defined]
    )
    (path / "devenv-stack.toml").write_text(f'name = "{name}"\nmanifests = "k8s"\n{forwards}')
    return path / "pyproject.toml"


def loaded(file: Path, isolate: bool = False, **environ: str) -> tuple[str, list[int], Isolation | None]:
    found = isolated.load(file, environ, {}, isolate=isolate)
    return found.project.name, [f.local_port for f in found.project.forwards.values()], found.isolation


@given(PATHS, st.from_regex(r"[a-z0-9]([-a-z0-9]{0,60}[a-z0-9])?", fullmatch=True))
def test_the_name_is_one_that_a_table_may_have_and_the_same_each_time(root: Path, name: str) -> None:
    for base in (name[:40].rstrip("-"), isolation.folder_name(root)):
        found = isolation.marked(base, root)
        assert Project.model_validate({**TABLE, "name": found}).name == found
        assert found == isolation.marked(base, root)
        assert found.rpartition("-")[2] == isolation.path_hash(root)[:6]
        assert found != isolation.marked(base, root / "other")


@given(PATHS, st.integers(0, 70))
def test_a_block_lies_in_its_range_and_holds_a_port_for_each_forward(root: Path, count: int) -> None:
    ports = isolation.block(root, count, ())
    assert ports.start >= FIRST
    assert ports.stop <= END
    assert len(ports) >= max(count, BLOCK)
    assert (ports.start - FIRST) % BLOCK == 0
    assert ports == isolation.block(root, count, ())


@rounds(deadline=None)
@given(PATHS, st.sets(st.integers(FIRST, END - 1), max_size=200))
def test_where_a_port_is_taken_it_is_the_next_block_that_has_none(root: Path, taken: set[int]) -> None:
    ports = isolation.block(root, 3, taken)
    assert taken.isdisjoint(ports)
    before = list(islice(isolation.bases(root, BLOCK), END))
    for base in before[: before.index(ports.start)]:
        assert not taken.isdisjoint(range(base, base + BLOCK))


def test_where_every_block_is_taken_that_is_told() -> None:
    with pytest.raises(UsageError, match="ports in a row are left"):
        isolation.block(Path("/a"), 1, range(FIRST, END, BLOCK))
    with pytest.raises(UsageError, match="ports in a row are left"):
        isolation.block(Path("/a"), END - FIRST + 1, ())


def test_the_kth_forward_has_the_kth_port_but_for_one_that_a_variable_gives() -> None:
    own = Isolation(Path("/a"), 20040, 20)
    laid = isolation.isolated(TABLE, own, {"web"})
    assert laid["forwards"]["web"]["ports"] == "8080:80"
    assert laid["forwards"]["admin"]["ports"] == "20041:80"
    assert TABLE["forwards"]["admin"]["ports"] == "9090:80"  # type: ignore[index]


@pytest.mark.parametrize("odd", [None, 1, "x", [], {"web": 1}, {"web": {"ports": 1}}, {"web": {"ports": "1"}}])
def test_what_is_no_forward_is_left_to_be_told(odd: Any) -> None:
    laid = isolation.isolated({"name": 1, "forwards": odd}, Isolation(Path("/a"), 20040, 20), ())
    assert laid == {"name": 1, "forwards": odd}


def test_two_checkouts_of_one_project_share_nothing(home: Path) -> None:
    one, two = checkout(home / "one"), checkout(home / "two")
    assert loaded(one)[:2] == ("shop", [8080, 9090])
    (name_1, ports_1, _), (name_2, ports_2, _) = loaded(one, True), loaded(two, True)
    assert name_1 != name_2
    assert {name_1[:5], name_2[:5]} == {"shop-"}
    assert not {*ports_1} & {*ports_2}
    assert ports_1 == [ports_1[0], ports_1[0] + 1]
    assert loaded(one, True)[:2] == (name_1, ports_1)


def test_the_name_auto_is_that_of_the_folder_and_needs_no_word(home: Path) -> None:
    name, ports, own = loaded(checkout(home / "My Shop", "auto"))
    assert name.startswith("my-shop-")
    assert own
    assert ports[0] in range(FIRST, END)


def test_variables_have_the_last_word(home: Path) -> None:
    file = checkout(home / "one")
    assert loaded(file, True, DEVENV_PORT_WEB="8181")[1][0] == 8181
    with pytest.raises(UsageError, match=r"both name the cluster\nhint: unset DEVENV_NAME"):
        loaded(file, True, DEVENV_NAME="mine")
    own = loaded(file, True)[2]
    assert own
    isolated.remember(own)
    assert loaded(file, DEVENV_NAME="mine") == ("mine", [8080, 9090], None)
    assert loaded(file, DEVENV_NAME="auto")[0].startswith("one-")


def test_an_existing_cluster_is_not_isolated(home: Path) -> None:
    file = checkout(home / "one")
    with pytest.raises(UsageError, match=r"kind cluster that devenv makes\nhint: .* -n NAMESPACE"):
        loaded(file, True, DEVENV_CONTEXT="team")
    own = loaded(file, True)[2]
    assert own
    isolated.remember(own)
    assert isolated.load(file, {}, {"context": "team"}).project.name == "shop"


def test_the_block_of_another_environment_is_left_to_it_and_ours_is_kept(home: Path) -> None:
    one, two = checkout(home / "one"), checkout(home / "two")
    own = loaded(one, True)[2]
    assert own
    # Another checkout has our first block: one by what is remembered, one by the ports that it serves.
    isolated.remember(Isolation((home / "two").resolve(), own.base, BLOCK))
    second = loaded(one, True)[2]
    assert second
    assert second.base == next(islice(isolation.bases(own.root, BLOCK), 1, None))
    other = state.folder("other")
    other.make()
    state.write_json(other.forwards, {"forwards": [{"local_port": second.base + 5}]})
    third = loaded(one, True)[2]
    assert third
    assert third.base == next(islice(isolation.bases(own.root, BLOCK), 2, None))
    isolated.remember(third)
    isolated.forget(Isolation((home / "two").resolve(), own.base, BLOCK))
    other.remove()
    assert loaded(one)[2] == third  # once it is remembered, it stays
    assert loaded(two)[2] is None


def test_a_block_that_has_become_too_small_is_changed_for_a_larger_one(home: Path) -> None:
    file = checkout(home / "one")
    own = loaded(file, True)[2]
    assert own
    isolated.remember(own)
    more = "".join(f'[forwards.f{n}]\nservice = "x"\nports = "{9200 + n}:80"\n' for n in range(BLOCK))
    own_file = file.with_name("devenv-stack.toml")
    own_file.write_text(own_file.read_text() + more)
    _, ports, now = loaded(file)
    assert now
    assert now.size == 2 * BLOCK
    assert ports == [*range(now.base, now.base + BLOCK + 2)]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"root": 1, "base": "x", "size": 20}', '{"root": "/", "base": 1, "size": 20}']
)
def test_a_memory_that_cannot_be_read_is_none(home: Path, text: str) -> None:
    file = checkout(home / "one")
    state.isolation(isolation.path_hash(file.resolve().parent)).write_text(text)
    assert loaded(file) == ("shop", [8080, 9090], None)


SCRIPT = """
import json, os, sys
from pathlib import Path
from devenv.project import isolated
found = isolated.load(Path("pyproject.toml"), os.environ, {}, isolate="isolate" in sys.argv)
if "remember" in sys.argv:
    isolated.remember(found.isolation)
if "forget" in sys.argv:
    isolated.forget(found.isolation)
print(json.dumps([found.project.name, [f.local_port for f in found.project.forwards.values()]]))
"""


def test_what_one_process_remembers_the_next_finds_until_it_is_forgotten(home: Path) -> None:
    one, two = checkout(home / "one").parent, checkout(home / "two").parent

    def child(folder: Path, *args: str) -> tuple[str, list[int]]:
        environ = {**os.environ, "PYTHONPATH": str(ROOT)}
        argv = [sys.executable, "-c", SCRIPT, *args]
        done = subprocess.run(argv, cwd=folder, env=environ, capture_output=True, text=True, check=True)
        name, ports = json.loads(done.stdout)
        return name, ports

    plain = child(one)
    assert plain == ("shop", [8080, 9090])
    own = child(one, "isolate", "remember")
    assert own != plain
    assert child(one) == own
    link = home / "link"
    link.symlink_to(one)
    assert child(link) == own  # the checkout is the same one
    assert child(two) == plain
    assert child(one, "forget") == own
    assert child(one) == plain
    assert state.isolations() == []


def test_the_command_line_refuses_what_cannot_be_isolated_and_remembers_nothing(home: Path) -> None:
    folder = checkout(home / "one").parent
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "DOCKER_HOST": f"unix://{home}/no-docker"}

    def devenv(*args: str) -> "subprocess.CompletedProcess[str]":
        argv = [sys.executable, "-m", "devenv", *args]
        return subprocess.run(argv, cwd=folder, env=environ, capture_output=True, text=True, check=False)

    refused = devenv("up", "--isolated", "--context", "team")
    assert refused.returncode == 2
    assert "-n NAMESPACE" in refused.stderr
    assert devenv("up", "--isolated").returncode != 0
    assert state.isolations() == []
    assert "No such option" in devenv("status", "--isolated").stderr
