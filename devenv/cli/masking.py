"""Passwords in what is printed: a program that devenv runs, a pod or an API server may tell them."""

from base64 import b64encode
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

_passwords: list[str] = []  # in every form in which they may be told


def hide(passwords: Iterable[str]) -> None:
    """Have no message show these: a program that devenv runs may print them."""
    plain = sorted(passwords, key=len, reverse=True)  # one may begin with another
    _passwords[:] = [form for text in plain for form in (text, quote(text, safe=""), b64encode(text.encode()).decode())]


def masked(told: str) -> str:
    for password in _passwords:
        told = told.replace(password, "***")
    return told


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
