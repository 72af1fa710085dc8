"""The env-file (`.env`): read as it is written, and written as others can read it. Pure.

By hand, because python-dotenv replaces `${…}` by the caller's environment, in single quotes too, and passes over a line
that it cannot read with a warning.
"""

import re
import secrets
import shlex
from collections.abc import Iterator, Mapping

GENERATED = "<generated>"  # the value in the example file that stands for a password to make
KEY = r"[A-Za-z_][A-Za-z0-9_]*"
BLANK = re.compile(r"[ \t]*(?:#[^\n]*)?(?:\n|\Z)")
START = re.compile(rf"[ \t]*(?:export[ \t]+)?({KEY})[ \t]*=[ \t]*")
SINGLE, DOUBLE = re.compile(r"'([^']*)'"), re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
PLAIN = re.compile(r"[^\n]*?(?=[ \t]+#|[ \t]*(?:\n|\Z))")
ESCAPED = re.compile(r'\\([nrt"\\$`])')
MEANT = {"n": "\n", "r": "\r", "t": "\t"}
TO_MAKE = re.compile(rf"""^({START.pattern})(["']?){GENERATED}\3(?=[ \t]*(?:#.*)?$)""", re.MULTILINE)
# What bash, python-dotenv and `docker run --env-file` take for itself without quotes.
SAFE = re.compile(r"[-A-Za-z0-9_@%+=:,./]*")


class Fault(ValueError):
    """What is wrong, with its line; never what stands there, which may be a password."""


def read(text: str) -> dict[str, str]:
    """Return the settings of a text. Nothing is interpolated. Raise Fault.

    In single quotes everything is literal. In double quotes MEANT has what a backslash makes of a letter; one before a
    quote, a backslash, `$` or a backtick is dropped. Both may go over several lines. Without quotes a value ends with
    its line, or before ` #`.
    """
    found: dict[str, str] = {}
    lines: dict[str, int] = {}
    for line, key, value in entries(text.removeprefix("\ufeff").replace("\r\n", "\n")):
        if key in found:
            raise Fault(f"line {line}: {key} is there twice, first in line {lines[key]}")
        found[key], lines[key] = value, line
    return found


def entries(text: str) -> Iterator[tuple[int, str, str]]:
    """Yield the line, the key and the value of each setting."""
    at = 0
    while at < len(text):
        if blank := BLANK.match(text, at):
            at = blank.end()
            continue
        line = text.count("\n", 0, at) + 1
        if not (start := START.match(text, at)):
            raise Fault(f"line {line}: is not KEY=VALUE, with a key of letters, digits and _")
        value, at = value_at(text, start.end(), line)
        if not (end := BLANK.match(text, at)):
            raise Fault(f"line {line}: {start[1]}: something follows the closing quote")
        at = end.end()
        yield line, start[1], value


def value_at(text: str, at: int, line: int) -> tuple[str, int]:
    """Return the value that begins at a place, and where it ends."""
    quote = text[at : at + 1]
    if quote not in ("'", '"'):
        plain = PLAIN.match(text, at)
        assert plain  # it may be empty
        return plain[0], plain.end()
    if not (quoted := (SINGLE if quote == "'" else DOUBLE).match(text, at)):
        raise Fault(f"line {line}: a quote that does not end")
    value = quoted[1] if quote == "'" else ESCAPED.sub(lambda m: MEANT.get(m[1], m[1]), quoted[1])
    return value, quoted.end()


def filled(example: str) -> str:
    """Return the text of an example file with a password of its own for each `<generated>`."""
    return TO_MAKE.sub(lambda m: m[1] + secrets.token_urlsafe(24), example)


def as_shell(values: Mapping[str, str]) -> str:
    """Return the settings for `eval` in a shell."""
    return "\n".join(f"export {key}={shlex.quote(value)}" for key, value in values.items())


def as_dotenv(values: Mapping[str, str]) -> str:
    """Return the settings as an env-file. Raise Fault for a value that its readers would not read alike."""
    return "\n".join(f"{key}={written(key, value)}" for key, value in values.items())


def written(key: str, value: str) -> str:
    """Return a value in the form that most readers take for it.

    Unquoted, it is the same to bash, python-dotenv and Docker, whose `--env-file` knows no quotes. Else it is in single
    quotes, which bash and python-dotenv read alike; or, where it has one itself or backslashes that they do not read
    alike, in double quotes. There a `$` or a backtick is code to bash, and with a backslash python-dotenv keeps that:
    no form is right for both. python-dotenv interpolates `${…}` in any quotes, unless it is told not to.
    """
    if SAFE.fullmatch(value):
        return value
    if "'" not in value and "\\\\" not in value and not value.endswith("\\"):
        return f"'{value}'"
    if set(value) & set("$`"):
        raise Fault(
            f"{key}: with a quote or backslashes beside $ or `, bash and python-dotenv read no form of it alike"
        )
    escaped = re.sub(r'(["\\])', r"\\\1", value)
    return f'"{escaped}"'
