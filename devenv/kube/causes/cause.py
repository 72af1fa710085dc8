"""A cause in plain words, with the next command; and how commands and texts are shortened. Pure."""

from collections.abc import Callable
from dataclasses import dataclass

from devenv.kube.causes.facts import Facts
from devenv.kube.objects import Id

LONGEST = 300  # characters of another's message that a cause repeats


@dataclass(frozen=True)
class Cause:
    """Why something is not ready. `kind` is the name of the rule that found it, for programs."""

    kind: str
    text: str
    next: str
    behind: tuple[Id, ...] = ()  # what it lies behind, as far as that is known: objects to be explained first


Rule = Callable[[Facts], Cause | None]


def short(text: str, longest: int = LONGEST) -> str:
    """Return a text in one line, its end left out where it is too long."""
    line = " ".join(text.split())
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def up_after(doing: str) -> str:
    """Return the command for what a person first has to correct in the files."""
    return f"devenv up  # after you {doing}"


def logs(part: Id) -> str:
    return f"devenv logs {part} --tail 50"


def kubectl(words: str, namespace: str) -> str:
    return f"kubectl {words}{f' -n {namespace}' if namespace else ''}"
