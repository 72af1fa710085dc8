"""How a fault of YAML is told: with its line, and without what is written there, which may be a password. Pure."""

import re
from typing import Any

# A value that begins with `*` or `!` is an alias or a tag to YAML, and named by its message. What stays is of one
# character (':') or a kind of token ('<scalar>').
NAMED = re.compile(r"'(?!<)[^']{2,}'|\"[^\"]{2,}\"")


def told(error: Any) -> tuple[int, str]:
    """Return the line of a yaml.YAMLError, from 1, and what is wrong there."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "is no YAML"
    return (mark.line + 1 if mark else 1), NAMED.sub("'…'", str(problem))
