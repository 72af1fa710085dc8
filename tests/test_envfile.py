"""The env-file: read as it is written, and written as others read it."""

import subprocess
from io import StringIO
from pathlib import Path

import pytest
from dotenv import dotenv_values
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from devenv.errors import UsageError
from devenv.project import envfile, sources
from devenv.project import settings as config
from devenv.project.envfile import Fault, read
from tests.test_config import WHOLE, write

# What a variable can hold: no NUL, no half of a character. A lone CR is an end of line to some, and to others none.
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=30)
VALUES = st.lists(st.text("ab '\"\\$`{}#=\n!~é", max_size=12) | TEXT, min_size=1, max_size=20)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("A=x", "x"), ("A = x ", "x"), ("  export A=x", "x"), ("A=", ""), ("A='x'", "x"), ("A=x # note", "x"),
        ("A=x#y", "x#y"),
        ("A='p${HOME}q'", "p${HOME}q"), ("A=p${HOME}q", "p${HOME}q"), ('A="p${HOME}q"', "p${HOME}q"),
        ("A='x' # note", "x"), ('A="x # y" # note', "x # y"), ("A=it's", "it's"), ("A='one\ntwo'", "one\ntwo"),
        (r'A="one\ntwo\t\"three\" \\ \$x \`y\` \q"', 'one\ntwo\t"three" \\ $x `y` \\q'), (r"A='a\nb'", r"a\nb"),
        ("\ufeffA=x", "x"), ("A=x\r\n", "x"), ("# A=y\n\n   # note\nA=x", "x"), ("A=a b  c", "a b  c"),
    ],
)  # fmt: skip
def test_a_value_is_what_is_written(text: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "interpolated")
    assert read(text) == {"A": value}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("A=1\nhunter2\n", "line 2: is not KEY=VALUE"),
        ("A-B=hunter2\n", "line 1: is not KEY=VALUE"),
        ("1A=hunter2\n", "line 1: is not KEY=VALUE"),
        ("\n\nA='hunter2\n", "line 3: a quote that does not end"),
        ('A="hunter2\\"\n', "line 1: a quote that does not end"),
        ("Q='I'\"'\"'m here'\n", "line 1: Q: something follows the closing quote"),
        ("A=1\nB='x\ny'\nA=hunter2\n", "line 4: A is there twice, first in line 1"),
    ],
)
def test_a_line_that_cannot_be_read_is_told_and_not_shown(text: str, said: str) -> None:
    with pytest.raises(Fault) as told:
        read(text)
    assert str(told.value).startswith(said)
    assert "hunter2" not in str(told.value)


def test_a_fault_of_the_file_has_its_name_and_stops_everything(tmp_path: Path) -> None:
    here = config.load(write(tmp_path, WHOLE), {}, {})
    (tmp_path / ".env").write_text("A=1\nB\n")
    with pytest.raises(UsageError, match=r"\.env: line 2: is not KEY=VALUE"):
        sources.environment(here)


def test_each_password_to_make_is_made_however_it_is_written() -> None:
    example_ = (
        "A=<generated>\nB='<generated>'  # a note\nexport C=\"<generated>\"\n"
        "# D=<generated>\nE=x<generated>\nF = <generated> # n\n"
    )
    made = read(envfile.filled(example_))
    assert set(made) == set("ABCEF")
    assert made["E"] == "x<generated>"
    passwords = {made[key] for key in "ABCF"}
    assert len(passwords) == 4
    assert all(len(password) == 32 for password in passwords)
    assert "  # a note\n" in envfile.filled(example_)


def named(values: list[str]) -> dict[str, str]:
    return {f"K{n}": value for n, value in enumerate(values)}


def in_bash(script: str, names: dict[str, str]) -> dict[str, str]:
    """Return what bash makes of variables."""
    show = "; ".join(f"printf '%s\\0' \"${name}\"" for name in names)
    argv = ["bash", "-c", f"{script}\n{show}"]
    done = subprocess.run(argv, capture_output=True, check=True, env={"PATH": "/usr/bin:/bin"})
    return dict(zip(names, done.stdout.decode().split("\0"), strict=False))


@settings(deadline=None, max_examples=60)
@given(VALUES)
def test_a_shell_reads_what_was_exported(values: list[str]) -> None:
    wanted = named(values)
    assert in_bash(envfile.as_shell(wanted), wanted) == wanted


def sayable(values: list[str]) -> dict[str, str]:
    """Return the values that have a form that all read alike."""

    def is_sayable(value: str) -> bool:
        try:
            envfile.written("K", value)
        except Fault:
            return False
        return True

    return named([value for value in values if is_sayable(value)])


@settings(deadline=None, max_examples=200)
@given(VALUES)
@example(["I'm here", "a\\\\b'", "ends\\", "two\nlines", "#", " padded ", "", "$(id)", "`id`", "${HOME}"])
def test_an_env_file_is_read_alike_by_us_and_by_python_dotenv(values: list[str]) -> None:
    wanted = sayable(values)
    text = envfile.as_dotenv(wanted)
    assert read(text) == wanted
    assert dict(dotenv_values(stream=StringIO(text), interpolate=False)) == wanted


@settings(deadline=None, max_examples=60)
@given(VALUES)
@example(["I'm here", "a\\\\b'", "ends\\", "two\nlines", "#", " padded ", "", "$(id)", "`id`", "${HOME}"])
def test_bash_reads_an_env_file_and_runs_nothing_of_it(values: list[str]) -> None:
    wanted = sayable(values)
    assume(wanted)
    assert in_bash(envfile.as_dotenv(wanted), wanted) == wanted


def test_a_value_without_a_form_that_all_read_alike_is_refused_and_not_shown() -> None:
    for value in ("it's `hunter2`", "it's $(hunter2)", "a\\\\b$hunter2"):
        with pytest.raises(Fault, match=r"^A: with a quote or backslashes beside") as told:
            envfile.as_dotenv({"A": value})
        assert "hunter2" not in str(told.value)
    # Every other value has one.
    assert len(sayable(["it's", "`$(id)`", "a\\\\b", '$\n`"', "ends\\"])) == 5
