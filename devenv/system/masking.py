"""Secrets in what is printed: a program that devenv runs, a pod or an API server may tell them."""

import json
import re
from base64 import b64encode
from collections.abc import Iterable, Iterator
from functools import cache
from threading import Lock
from typing import Any
from urllib.parse import quote

SHORTEST = 6  # a shorter text is a part of too many words
LONG = 16  # a line of a text of several is looked for where it has as many characters

# A process has one printer, and it has these of whoever reads secrets.
_forms: tuple[str, ...] = ()  # every form in which they may be told, the longest first: one may begin with another
_learning = Lock()


def hide(secrets: Iterable[str]) -> None:
    """Have no message show these from now on. What was hidden stays so: a pod of before knows the old one still."""
    global _forms
    with _learning:  # threads read the cluster
        new = {form for secret in secrets for form in forms(secret)}
        if not new <= set(_forms):
            _forms = tuple(sorted({*_forms, *new}, key=lambda form: (-len(form), form)))


def forget() -> None:
    """Hide nothing any more: for tests, which have several projects in a process."""
    global _forms
    _forms = ()


def forms(secret: str) -> Iterator[str]:
    """Yield how a secret may be written: as it is, in a URL, in JSON, in a Secret's data, and each long line of it."""
    text = secret.strip()
    if len(text) < SHORTEST:
        return
    # A Secret's data has the text's last line break too; that is another end of the same.
    for whole in (text, f"{text}\n", secret):
        yield b64encode(whole.encode(errors="surrogatepass")).decode()
    yield from (text, quote(text, safe="", errors="replace"), json.dumps(text)[1:-1])
    if "\n" in text:
        yield from (line for line in map(str.strip, text.split("\n")) if len(line) >= LONG and line[:5] != "-----")


def masked(told: str) -> str:
    for form in _forms:
        if form in told:
            told = whole(form).sub("***", told) if is_word(form) else told.replace(form, "***")
    return told


def is_word(form: str) -> bool:
    """Whether a secret may be a part of others' words, as `secret` is of secretKeyRef."""
    return len(form) < LONG and form.isascii() and form.isalpha()


@cache
def whole(form: str) -> re.Pattern[str]:
    return re.compile(f"(?<![A-Za-z]){form}(?![A-Za-z])")


def without_passwords(value: Any) -> Any:
    match value:
        case str():
            return masked(value)
        case dict():
            return {key: without_passwords(inner) for key, inner in value.items()}
        case list() | tuple():
            return [without_passwords(inner) for inner in value]
        case _:
            return value
