"""The command line where no Docker answers: help, wrong usage, faults of the table."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from devenv.cli.app import app
from tests.cluster.environment import CHECKOUT, MARK, Environment, copied


@pytest.fixture
def project(tmp_path: Path) -> Environment:
    """The hello project, with nothing up and no Docker to bring it up."""
    root = copied(CHECKOUT / "tests/projects/hello", tmp_path, ("pyproject.toml", "app", "k8s"))
    return Environment(f"t{MARK}-usage", root, {}, extra={"DOCKER_HOST": "unix:///nowhere/docker.sock"})


def verbs(group: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Return every verb with its words, those of the groups included."""
    if not hasattr(group, "commands"):
        yield " ".join(words), group
        return
    for name, inner in group.commands.items():
        yield from verbs(inner, (*words, name))


def test_every_verb_s_help_has_an_example_of_it() -> None:
    there = dict(verbs(typer.main.get_command(app)))
    assert {"up", "down", "test", "images push", "forward start", "tls up"} <= set(there)
    for words, verb in there.items():
        with typer.Context(verb, info_name=words) as context:
            assert f"devenv {words}" in verb.epilog, words
            assert "Example: " in verb.get_help(context), words


@pytest.mark.parametrize("verb", [[], ["images"], ["forward"], ["no-such-verb"], ["up", "--no-such-flag"]])
def test_wrong_usage_is_told_and_exits_with_2(project: Environment, verb: list[str]) -> None:
    done = project.run(*verb)
    assert done.returncode == 2
    assert "Usage" in done.stderr + done.stdout


def test_faults_of_the_table_are_wrong_usage(project: Environment) -> None:
    project.edit("pyproject.toml", "ready-within-s = 90", "ready-within-s = 90\ncolour = 'blue'")
    failed = project.run("up")
    assert failed.returncode == 2
    assert "colour: unknown key" in failed.stderr


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (("--registry", "https://ghcr.io/a"), "registry: 'https://ghcr.io/a' does not match"),
        (("--registry", "a/b"), "registry a/b: a is not a host"),
        (("--registry", "ghcr.io/A"), "registry: 'ghcr.io/A' does not match"),
        (("--registry", "ghcr.io/a", "--tag", "a:b"), "--tag a:b"),
        (("--registry", "ghcr.io/a", "nothing"), "no image nothing in the project; there are: hello"),
    ],
)
def test_what_can_name_no_image_is_wrong_usage(project: Environment, wrong: tuple[str, ...], told: str) -> None:
    done = project.run("images", "push", *wrong)
    assert done.returncode == 2
    assert told in done.stderr


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (("--test", "none"), "no suite none in [tool.devenv.tests]; there are: "),
        (("--", "-k", "x"), "hint: devenv dev --test SUITE -- ARGS"),
        (("--test", "none", "--explain", "app/Dockerfile"), "no suite none"),
    ],
)
def test_tests_that_the_loop_cannot_run_are_told_before_anything_is_begun(
    project: Environment, wrong: tuple[str, ...], told: str
) -> None:
    done = project.run("dev", *wrong)
    assert done.returncode == 2
    assert told in done.stderr


def test_a_file_that_a_suite_names_has_it_run_again(project: Environment) -> None:
    file = project.root / "pyproject.toml"
    (project.root / "checks").mkdir()
    file.write_text(f'{file.read_text()}\n[tool.devenv.tests.more]\nrun = ["sh", "checks/all.sh"]\n')
    (project.root / "checks/all.sh").touch()
    for words, way in (((), "ignored"), (("--test", "more"), "test"), (("--test", "more", "--", "app"), "test")):
        told = project.fine("dev", "--explain", "checks/all.sh", *words)
        assert told.startswith(f"{way}: checks/all.sh"), words
    assert project.fine("dev", "--explain", "checks/x", "--test", "more", "--", "checks").startswith("test: ")


def test_no_docker_is_told_with_what_to_do(project: Environment) -> None:
    failed = project.run("up")
    assert failed.returncode == 1
    assert failed.stderr.startswith("error: Docker does not answer")
    assert "scripts/setup.sh" in failed.stderr


def test_forwards_are_ended_whatever_is_checked_out(project: Environment) -> None:
    (project.root / "k8s").rename(project.root / "elsewhere")
    (project.root / "app/Dockerfile").unlink()
    assert project.run("plan").returncode == 2
    done = project.run("forward", "stop")
    assert (done.returncode, done.stderr) == (0, "no forwards were running\n")
