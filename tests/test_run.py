"""The run of the tests itself: what keeps it from starting ends it, and is never taken for a run that passed."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.waiting import eventually

CHECKOUT = Path(__file__).parents[1]
PASSES = "#!/bin/sh\nexit 0\n"
PROGRAMS = ("scripts/setup.sh", "scripts/tools.sh", ".venv/bin/python", ".venv/bin/devenv", ".venv/bin/pytest")
# A lane that takes down what it has, once it is told to end.
LANE = """#!/bin/sh
trap 'sleep 0.5; touch ended-$DEVENV_TEST_LANE; exit 2' TERM
touch began-$DEVENV_TEST_LANE
while :; do sleep 0.1; done
"""
# What scripts/test.sh would install where it is missing.
CALLED = ("psql", "redis-cli", "jq", "curl", "openssl", "docker-registry")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout of nothing but scripts/test.sh, where every program that it calls passes."""
    for name in (*PROGRAMS, *(f"bin/{name}" for name in CALLED)):
        program(tmp_path / name, PASSES)
    shutil.copy2(CHECKOUT / "scripts/test.sh", tmp_path / "scripts")
    return tmp_path


def program(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    file.chmod(0o755)


def environ(checkout: Path) -> dict[str, str]:
    return {**os.environ, "PATH": f"{checkout / 'bin'}:{os.environ['PATH']}"}


def run(checkout: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    argv = [str(checkout / "scripts/test.sh"), *words]
    return subprocess.run(argv, env=environ(checkout), capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize(
    ("words", "fails"),
    [
        ((), "scripts/setup.sh"),
        ((), ".venv/bin/python"),  # tests.fitness
        ((), ".venv/bin/devenv"),  # the images of the stack
        ((), ".venv/bin/pytest"),
        (("--no-three-nodes",), ".venv/bin/python"),
        (("--quick",), "scripts/setup.sh"),
        (("--quick",), ".venv/bin/pytest"),
        (("--lane", "gentle"), ".venv/bin/python"),
        (("--lane", "unit"), "scripts/tools.sh"),
        (("-k", "forward"), ".venv/bin/python"),
    ],
)
def test_a_run_fails_with_whatever_fails_in_it(checkout: Path, words: tuple[str, ...], fails: str) -> None:
    assert run(checkout, *words).returncode == 0
    program(checkout / fails, "#!/bin/sh\nexit 3\n")
    assert run(checkout, *words).returncode != 0


@pytest.mark.parametrize("words", [("--lane",), ("--lane", "nowhere")])
def test_an_unknown_lane_is_wrong_usage(checkout: Path, words: tuple[str, ...]) -> None:
    done = run(checkout, *words)
    assert done.returncode == 2
    assert "there are:" in done.stderr


def test_a_machine_without_docker_is_told_in_the_first_line() -> None:
    argv = [sys.executable, "-m", "tests.fitness"]
    nowhere = {**os.environ, "DOCKER_HOST": "unix:///nowhere/docker.sock"}
    done = subprocess.run(argv, cwd=CHECKOUT, env=nowhere, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("this machine cannot run the tests: Docker does not answer")


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_run_that_is_ended_ends_its_lanes_and_waits_for_them(checkout: Path, how: signal.Signals) -> None:
    program(checkout / ".venv/bin/pytest", LANE)
    program(checkout / "bin/nproc", "#!/bin/sh\necho 3\n")
    started = subprocess.Popen(
        [str(checkout / "scripts/test.sh"), "--no-three-nodes"], env=environ(checkout),
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a run in the background has it turned off
    )  # fmt: skip
    lanes = ("unit", "service", "disturbed")
    eventually(lambda: all((checkout / f"began-{lane}").exists() for lane in lanes))
    started.send_signal(how)
    assert started.wait(30) == 130
    assert sorted(file.name for file in checkout.glob("ended-*")) == sorted(f"ended-{lane}" for lane in lanes)
    assert not (checkout / "began-gentle").exists()


@pytest.mark.parametrize(("cores", "alone"), [(2, True), (4, False)])
def test_three_nodes_have_few_cores_to_themselves(checkout: Path, cores: int, alone: bool) -> None:
    """A lane here says which others it met."""
    lane = """#!/bin/sh
touch running-$DEVENV_TEST_LANE
ls running-* >met-$DEVENV_TEST_LANE
sleep 0.5
ls running-* >>met-$DEVENV_TEST_LANE
rm running-$DEVENV_TEST_LANE
"""
    program(checkout / ".venv/bin/pytest", lane)
    program(checkout / "bin/nproc", f"#!/bin/sh\necho {cores}\n")
    assert run(checkout).returncode == 0
    met = {name: {*(checkout / f"met-{name}").read_text().split()} for name in ("service", "nodes")}
    assert (met["nodes"] == {"running-nodes"}) is alone
    assert len(met["service"]) > 1
