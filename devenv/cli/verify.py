"""devenv verify: the table of what was asked, its answers and times; JSON and JUnit's XML of the same."""

from collections.abc import Sequence
from dataclasses import asdict
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from devenv.errors import FAILED

if TYPE_CHECKING:
    from devenv.commands.verify import Result
    from devenv.reconcile.environment import Environment

LONGEST = 48  # characters of a question in the table, and of an answer that holds


class Form(StrEnum):
    text = "text"
    json = "json"
    junit = "junit"


def verify(
    env: "Environment",
    form: Annotated[Form, typer.Option("--output", "-o", help="How to print the result.")] = Form.text,
) -> None:
    """Ask the stack that is up whether all holds: parts, forwards, certificate, drift, and the table's checks.

    Exits 1 where one fails.
    """
    from devenv.cli import output
    from devenv.commands.verify import verify

    found = verify(env)
    if form is Form.json:
        output.as_json([asdict(one) for one in found])
    elif form is Form.junit:
        output.plain(junit(found))
    else:
        rows = [(r.name, "ok" if r.ok else "FAILED", f"{r.seconds:.2f} s", short(r.asked), answer(r)) for r in found]
        output.table(("CHECK", "STATE", "TIME", "ASKED", "ANSWER"), rows)
        for one in found:
            if one.hint:
                output.log(f"{one.name}: {one.hint}")
    if not all(one.ok for one in found):
        raise typer.Exit(FAILED)


def answer(result: "Result") -> str:
    """Return an answer, in short where it is as it should be."""
    return short(result.answer) if result.ok else result.answer


def short(told: str) -> str:
    from devenv.system.masking import masked

    text = masked(told)  # before it is cut: a part of a password would not be known for one
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def junit(found: "Sequence[Result]") -> str:
    """Return the results as JUnit's XML, without passwords: a case for each, as CI systems read it."""
    from xml.etree import ElementTree as Xml  # it is only written

    from devenv.system.masking import masked

    def shown(text: str) -> str:
        return "".join(c if c.isprintable() or c in "\n\t" else "?" for c in masked(text))

    failed = sum(not one.ok for one in found)
    counts = {"tests": str(len(found)), "failures": str(failed), "errors": "0", "skipped": "0"}
    took = f"{max((one.seconds for one in found), default=0.0):.3f}"  # they are asked at the same time
    top = Xml.Element("testsuites")
    suite = Xml.SubElement(top, "testsuite", {"name": "devenv verify", **counts, "time": took})
    for one in found:
        case = {"classname": "devenv.verify", "name": one.name, "time": f"{one.seconds:.3f}"}
        made = Xml.SubElement(suite, "testcase", case)
        told = shown("\n".join(filter(None, (f"asked: {one.asked}", f"answer: {one.answer}", one.hint))))
        if one.ok:
            Xml.SubElement(made, "system-out").text = told
        else:
            Xml.SubElement(made, "failure", {"message": shown(one.answer)}).text = told
    Xml.indent(top)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + Xml.tostring(top, encoding="unicode") + "\n"
