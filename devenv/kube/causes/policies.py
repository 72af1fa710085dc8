"""Requests that OPA denies, as its decision log or who asked it says. Pure.

Source: openpolicyagent.org, "Decision Logs": a line of JSON with `decision_id`, `path`, `input` and `result`.
"""

import json
import re

from devenv.kube.causes.cause import Cause, short
from devenv.kube.causes.facts import Facts
from devenv.kube.causes.programs import recent
from devenv.kube.causes.words import entries, last_words

DENIED = re.compile(r"\b(?:OPA|policy)\b.*\bden(?:y|ies|ied)\b|\bdenied by (?:OPA|(?:the )?policy)\b", re.IGNORECASE)
NO_LOG = "it logs no decisions (--set decision_logs.console=true), so rule and input are not known"


def denied(facts: Facts) -> Cause | None:
    """Return the rule that denied what the container asked, with its input."""
    if found := decision((*facts.around.decisions, *recent(facts))):
        rule, asked = found
        text = f"OPA denies by rule {rule}; input {short(asked, 200)}"
        return Cause("opa-denies", text, "devenv logs --grep decision_id --tail 50") if concerns(facts) else None
    if facts.around.decisions or not (line := denial(facts)):
        return None
    return Cause(
        "opa-denies", f"OPA denies what it asks: {short(line)}; {NO_LOG}", f"devenv logs {facts.part} --tail 50"
    )


def concerns(facts: Facts) -> bool:
    """Whether it is about a denial at all: another's decisions are no reason of what has said nothing of one."""
    return bool(denial(facts) or decision(recent(facts)))


def denial(facts: Facts) -> str:
    lines = recent(facts)
    words = last_words(lines)
    return next((line.strip() for line in (words, *reversed(lines[-5:])) if DENIED.search(line)), "")


def decision(lines: tuple[str, ...]) -> tuple[str, str] | None:
    """Return rule and input of the last decision that denied."""
    for entry in reversed(entries(lines)):
        if "decision_id" not in entry or "input" not in entry:
            continue
        result = entry.get("result")
        allowed = result.get("allow") if isinstance(result, dict) and "allow" in result else result
        if allowed in (False, None, {}, []):
            rule = str(entry.get("path") or entry.get("query") or "?")
            return rule, json.dumps(entry["input"], sort_keys=True)
    return None
