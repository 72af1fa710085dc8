"""A suite that runs again after each change: real children, their groups, real pytest."""

import json
import os
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from devenv.commands.export import Suite
from devenv.commands.loop import Loop, Person
from devenv.commands.retest import Retest, is_pytest, named
from devenv.errors import DevenvError
from devenv.project import settings, sources
from devenv.reconcile import environment
from devenv.reconcile.environment import Environment
from devenv.reconcile.sync import Syncer
from devenv.system import process
from devenv.system.follow import Following
from devenv.system.state import Folder
from tests.waiting import eventually


@dataclass
class Desk:
    """A project with one suite, what a person was told, and what wakes the loop."""

    env: Environment
    root: Path
    said: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    woken: threading.Event = field(default_factory=threading.Event)

    def tests(self, *argv: str, args: list[str] | None = None) -> Retest:
        def prepare(_: Environment, given: list[str]) -> Suite:
            return Suite([*argv, *given], {**os.environ, "HERE": str(self.root)}, self.root)

        return Retest("all", args or [], prepare, self.said.append, self.errors.append, self.woken.set)

    def shell(self, script: str) -> Retest:
        return self.tests("sh", "-c", script, "sh")

    def run_to_its_end(self, tests: Retest) -> None:
        self.woken.clear()
        tests.due = True
        tests.go_on(self.env, False)
        assert self.woken.wait(60)
        tests.go_on(self.env, False)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return made(tmp_path, ["sh"])


def made(folder: Path, run: list[str]) -> Desk:
    root = folder.resolve() / "shop"
    (root / "k8s").mkdir(parents=True)
    file = root / "pyproject.toml"
    file.write_text(f'[tool.devenv]\nname = "shop"\nmanifests = "k8s"\n[tool.devenv.tests.all]\nrun = {run}\n')
    return Desk(environment.of(settings.load(file, {}, {}), Folder(folder / "state")), root)


def test_a_green_run_is_one_line_and_a_red_one_says_what_was_wrong(desk: Desk) -> None:
    green = desk.shell("echo much; echo more")
    desk.run_to_its_end(green)
    assert [line.partition(" after ")[0] for line in desk.said] == ["all: passed"]
    assert desk.errors == []
    desk.run_to_its_end(desk.shell("echo the reason >&2; exit 3"))
    (error,) = desk.errors
    assert error.startswith("all: exit code 3\nthe reason\n")
    log = Path(error.rpartition(" ")[2])
    assert log.read_text() == "the reason\n"
    assert log.parent.stat().st_mode & 0o077 == 0


def test_a_run_goes_on_beside_the_loop_and_is_told_once(desk: Desk) -> None:
    tests = desk.shell('while [ ! -e "$HERE/go" ]; do sleep 0.02; done')
    tests.due = True
    for _ in range(3):
        tests.go_on(desk.env, False)
    assert tests.run
    assert desk.said == []
    (desk.root / "go").touch()
    assert desk.woken.wait(60)
    for _ in range(3):
        tests.go_on(desk.env, False)
    assert len(desk.said) == 1
    assert tests.run is None


def test_a_change_ends_the_run_with_all_that_it_started_and_nothing_is_told_of_it(desk: Desk) -> None:
    tests = desk.shell('sh -c \'echo $$ >"$HERE/inner"; exec sleep 600\' & echo $$ >"$HERE/outer"; wait')
    tests.due = True
    tests.go_on(desk.env, False)
    files = [desk.root / "inner", desk.root / "outer"]
    eventually(lambda: all(file.exists() and file.read_text().endswith("\n") for file in files))
    pids = [int(file.read_text()) for file in files]
    assert all(psutil.pid_exists(pid) for pid in pids)
    tests.end()
    assert not any(alive(pid) for pid in pids)
    tests.go_on(desk.env, False)
    assert (desk.said, desk.errors, tests.run) == ([], [], None)


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE  # whose new parent may be slow to ask
    except psutil.NoSuchProcess:
        return False


def test_a_change_that_settled_has_it_run_anew_and_one_that_waits_comes_first(desk: Desk) -> None:
    tests = desk.shell('echo x >>"$HERE/runs"')
    tests.due = True
    tests.go_on(desk.env, True)
    assert tests.run is None
    assert tests.due, "it runs when what waits turns out to be nothing"
    tests.end()
    assert not tests.due, "what waits is brought in first"
    for count in (1, 2):
        desk.run_to_its_end(tests)
        assert (desk.root / "runs").read_text() == "x\n" * count
    assert len(desk.said) == 2


def test_a_suite_that_cannot_begin_is_told_and_tried_again_after_the_next_change(desk: Desk) -> None:
    tests = desk.tests(str(desk.root / "gone"))
    desk.run_to_its_end(tests)
    assert "No such file" in desk.errors[0]

    def closed(_: Environment, __: list[str]) -> Suite:
        raise DevenvError("forward api is HOLDING")

    ready = tests.prepare
    tests.prepare, tests.due = closed, True
    tests.go_on(desk.env, False)
    assert desk.errors[1:] == ["all: forward api is HOLDING"]
    tests.prepare = ready
    (desk.root / "gone").write_text("#!/bin/sh\n")
    (desk.root / "gone").chmod(0o755)
    desk.run_to_its_end(tests)
    assert len(desk.said) == 1


def test_a_run_holds_no_lock_of_ours(desk: Desk) -> None:
    """The next change takes it, while the suite may run for long."""
    with (desk.root / "lock").open("w") as lock:
        process.hold(lock.fileno())
        try:
            desk.run_to_its_end(desk.shell(f"ls /proc/self/fd | grep -x {lock.fileno()} && exit 1; true"))
        finally:
            process.release(lock.fileno())
    assert desk.errors == []


PYTEST = [sys.executable, "-m", "pytest"]
QUIET = ["-q", "-p", "no:randomly", "-p", "no:xdist", "--rootdir=.", "-c", "/dev/null"]


def test_pytest_begins_with_what_failed_the_last_time(tmp_path: Path) -> None:
    desk = made(tmp_path, PYTEST)
    (desk.root / "test_it.py").write_text(
        "from pathlib import Path\n"
        "def ran(name):\n"
        "    with Path('order').open('a') as file: file.write(name)\n"
        "def test_a(): ran('a')\n"
        "def test_b(): ran('b'); assert Path('mended').exists()\n"
        "def test_c(): ran('c')\n"
    )
    tests = desk.tests(*PYTEST, *QUIET, "test_it.py", args=["-k", "not test_c"])
    desk.run_to_its_end(tests)
    assert "test_b" in desk.errors[0]
    assert (desk.root / "order").read_text() == "ab"
    (desk.root / "mended").touch()
    desk.run_to_its_end(tests)
    assert (desk.root / "order").read_text() == "abba"
    assert len(desk.said) == 1


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (["pytest", "-vv", "tests"], True),
        ([".venv/bin/py.test"], True),
        (["python3", "-m", "pytest"], True),
        (["python", "-m", "unittest", "pytest"], False),
        (["make", "pytest"], False),
        (["npm", "test"], False),
        (["pytest", "-p", "no:cacheprovider"], False),
        (["python"], False),
    ],
)
def test_only_what_is_pytest_gets_pytest_s_option(run: list[str], expected: bool) -> None:
    assert is_pytest(run) is expected


def test_the_files_of_a_suite_are_those_that_its_command_names(desk: Desk) -> None:
    (desk.root / "tests/deep").mkdir(parents=True)
    for name in ("tests/test_a.py", "run.sh"):
        (desk.root / name).touch()
    words = [
        *("run.sh", "tests/test_a.py::test_x[a]", "tests/deep/", "-k", "--x=tests", "gone.py", "", ".", "..", "/etc"),
        *("x" * 5000, "a\0b"),
    ]
    assert named(words, desk.root) == {desk.root / name for name in ("run.sh", "tests/test_a.py", "tests/deep")}


def test_what_waits_for_changes_is_woken_when_a_run_has_ended(tmp_path: Path) -> None:
    following = Following()
    try:
        taken = list[frozenset[Path]]()
        waits = threading.Thread(target=lambda: taken.append(following.take(600)), daemon=True)
        waits.start()
        following.wake()
        eventually(lambda: bool(taken))
        assert taken == [frozenset()]
        following.wake()
        assert following.take(600) == frozenset(), "also one that begins to wait only then"
        following.follow([tmp_path])
        following.wake()
        following.take(600)
        (tmp_path / "a").touch()
        assert following.take(600) == {tmp_path / "a"}
    finally:
        following.end()


def test_the_loop_ends_the_run_at_a_change_and_begins_one_only_where_that_settled(desk: Desk) -> None:
    """A file of the suite alone has nothing brought up; manifests that are broken are brought in by nobody."""
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}}
    (desk.root / "k8s/all.yaml").write_text(json.dumps(config))
    (desk.root / "suite.sh").write_text('echo x >>"$HERE/runs"; while [ -e "$HERE/hold" ]; do sleep 0.02; done')
    desk.env.folder.make()
    tests, following = desk.tests("sh", args=["suite.sh"]), Following()
    person = Person(lambda _: None, desk.said.append, desk.errors.append, lambda _: None, lambda _: None)
    loop = Loop(desk.env, person, following, tests)
    desired = sources.load(desk.env.settings)
    loop.syncer, loop.whole = Syncer(desk.env, desired, loop.layout(desired)), True
    (desk.root / "k8s/all.yaml").write_text("a: [")  # whatever would bring anything up says so
    try:
        (desk.root / "hold").touch()
        loop.turn({desk.root / "suite.sh"})
        assert tests.due
        assert loop.whole
        tests.go_on(desk.env, False)
        held = tests.run
        eventually((desk.root / "runs").exists)
        loop.turn({desk.root / "README.md"})
        assert tests.run is held, "what is nothing to the project ends nothing"
        loop.turn({desk.root / "suite.sh"})
        assert tests.run is None
        assert tests.due
        tests.go_on(desk.env, False)
        assert tests.run
        assert desk.errors == []
        loop.turn({desk.root / "k8s/all.yaml"})
        assert "not valid YAML" in desk.errors[-1]
        assert (tests.run, tests.due, loop.whole) == (None, False, False)
        assert desk.said == []
    finally:
        tests.end()
        following.end()
