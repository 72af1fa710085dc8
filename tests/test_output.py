"""What the printer says: every word as it was given, but no password."""

import json
from contextlib import ExitStack

import pytest

from devenv.cli import output
from devenv.reconcile.actions import Action, Step
from devenv.reconcile.execute import Event
from devenv.system import masking

ODD = "--tag a:b: use :smile: [red]x[/red] [/] [bold"


def test_codes_of_emoji_and_brackets_are_printed_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    step = Step(f"image {ODD}", Action(), ODD, 5)
    output.log(ODD)
    output.error(f"{ODD}\n{ODD}")
    for state in ("started", "done", "failed"):
        output.Steps(ExitStack())(Event(step, state, 1.0, "" if state == "started" else ODD))
    assert capsys.readouterr().err.splitlines() == [
        ODD,
        f"error: {ODD}",
        ODD,
        f"· image {ODD}: {ODD}",
        f"✓ image {ODD} 1.0 s  {ODD}",
        f"✗ image {ODD} 1.0 s  {ODD}",
    ]


def test_a_password_is_masked_unless_it_was_asked_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    masking.hide(['hunt"er2'])
    output.as_json({"a": ['x hunt"er2']}, exact=True)
    assert json.loads(capsys.readouterr().out) == {"a": ['x hunt"er2']}
    output.as_json({"a": ('x hunt"er2', 1, None)})
    assert json.loads(capsys.readouterr().out) == {"a": ["x ***", 1, None]}
    output.table(("A", "B"), [('hunt"er2', "c")])
    assert capsys.readouterr().out == "A    B\n***  c\n"
    masking.forget()
