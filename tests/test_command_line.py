"""The command line where no Docker answers: help, wrong usage, faults of the table."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from devenv.cli.app import app
from devenv.cli.help import Panel
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


@pytest.mark.parametrize("group", [[], ["images"], ["forward"], ["tls"]])
def test_help_lists_every_verb_once_with_its_whole_first_sentence_in_80_columns(
    group: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        app([*group, "--help"])
    shown = capsys.readouterr().out
    listed = shown[shown.index("--help  ") :].partition("\n")[2]
    assert max(map(len, shown.splitlines())) <= 80
    assert "…" not in listed
    assert "..." not in listed
    commands = typer.main.get_command(app)
    for word in group:
        commands = commands.commands[word]  # type: ignore[attr-defined]
    told = " ".join(listed.split())
    for name, verb in commands.commands.items():  # type: ignore[attr-defined]
        sentence = " ".join((verb.help or "").split("\n\n")[0].split()).split(". ")[0].rstrip(".")
        assert f"{name} {sentence}." in told
        assert listed.count(f"\n  {name} ") == 1, name


def test_every_verb_is_in_a_group_of_its_own_words() -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    assert all(isinstance(verb.rich_help_panel, Panel) for verb in commands.values())
    assert {verb.rich_help_panel for verb in commands.values()} == {*Panel} - {Panel.rest}


EVERY_WORD = {"logs", "up", "down", "preload", "prune", "push", "--follow", "--help", "--file", "bash", "zsh", "fish"}
SHELLS = {
    "bash": {"COMP_WORDS": "devenv {}", "COMP_CWORD": "{n}"},
    "zsh": {"_TYPER_COMPLETE_ARGS": "devenv {}"},
    "fish": {"_TYPER_COMPLETE_ARGS": "devenv {}", "_TYPER_COMPLETE_FISH_ACTION": "get-args"},
}


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("typed", "offered"),
    [("lo", {"logs"}), ("images pr", {"preload", "prune"}), ("logs --fo", {"--follow"}), ("completion z", {"zsh"})],
)
def test_a_shell_is_offered_verbs_options_and_choices(
    project: Environment, shell: str, typed: str, offered: set[str]
) -> None:
    words = {"typed": typed, "n": len(typed.split())}
    asked = {key: value.format(typed, **words) for key, value in SHELLS[shell].items()}
    project.extra |= {"_DEVENV_COMPLETE": f"complete_{shell}", **asked}
    told = project.run().stdout
    found = {w for w in re.findall(r"[\w-]+", told) if w in EVERY_WORD}
    assert offered <= found
    assert not (found - offered) & {"up", "down", "--help", "bash"}


def test_bash_completes_with_what_completion_prints(project: Environment) -> None:
    script = project.by_itself(
        f"""PATH={project.program.parent}:$PATH
        eval "$(devenv completion bash)"
        complete -p devenv
        COMP_WORDS=(devenv forward st) COMP_CWORD=2; _devenv_completion devenv; echo "${{COMPREPLY[@]}}" """
    )
    assert script.splitlines() == ["complete -o default -F _devenv_completion devenv", "start status stop"]


@pytest.mark.parametrize("shell", SHELLS)
def test_the_completion_of_a_shell_asks_devenv(project: Environment, shell: str) -> None:
    script = project.fine("completion", shell)
    assert f"_DEVENV_COMPLETE=complete_{shell}" in script
    assert project.run("completion", "tcsh").returncode == 2


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
