"""The forms in which a compose file may write a value: a list or a mapping, `8080:80`, `1m30s`, `512m`. Pure.

Source: the Compose specification. Each returns the one form that the model has, or raises ValueError.
"""

import re
import shlex
from typing import Any

UNITS = {"b": 1, "k": 1 << 10, "kb": 1 << 10, "m": 1 << 20, "mb": 1 << 20, "g": 1 << 30, "gb": 1 << 30}
SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
SPAN = re.compile(r"(\d+(?:\.\d+)?)(h|ms|us|µs|ns|m|s)")
SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(b|[kmg]b?)?", re.IGNORECASE)
PORT = re.compile(
    r"(?:(?P<ip>\[[0-9a-fA-F:]+\]|\d+(?:\.\d+){3}|localhost):)?(?:(?P<published>[\d-]*):)?(?P<target>[\d-]+)(?:/(?P<protocol>\w+))?"
)
MOST_PORTS = 100  # of one range


def text(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value


def words(value: Any) -> Any:
    """Return a command as its words, as Compose splits it."""
    if isinstance(value, str):
        return shlex.split(value)
    return value if value is None or isinstance(value, list) else [value]


def by_key(value: Any) -> Any:
    """Return `KEY=VALUE` of a list as a mapping; a key alone has no value."""
    if not isinstance(value, list):
        return {} if value is None else value
    pairs = [str(text(item)).partition("=") for item in value]
    return {key: found if sign else None for key, sign, found in pairs}


def by_name(value: Any) -> Any:
    """Return names of a list as a mapping, of which each has only what is usual."""
    if not isinstance(value, list):
        return {} if value is None else value
    if not all(isinstance(item, str) for item in value):
        raise ValueError("is no list of names")
    return {item: {} for item in value}


def listed(value: Any) -> Any:
    return [] if value is None else value if isinstance(value, list) else [value]


def seconds(value: Any) -> Any:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    spans = SPAN.findall(str(value))
    if not spans or "".join(f"{n}{unit}" for n, unit in spans) != value:
        raise ValueError("is no duration such as 1m30s")
    return sum(float(n) * SECONDS[unit] for n, unit in spans)


def size(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if not (found := SIZE.fullmatch(str(value).strip())):
        raise ValueError("is no size such as 512m")
    return int(float(found[1]) * UNITS[(found[2] or "b").lower()])


def or_nothing(value: Any) -> Any:
    return {} if value is None else value


def ports(value: Any) -> list[Any]:
    """Return the ports that a short form names; a long one as it is."""
    if not isinstance(value, str | int) or isinstance(value, bool):
        return [value]
    if not (found := PORT.fullmatch(str(value))):
        raise ValueError(f"{value!s:.40} is no port such as 8080:80")
    targets, published = span(found["target"]), span(found["published"] or "")
    if published and len(published) != len(targets):
        if len(targets) != 1:
            raise ValueError(f"{value!s:.40} has ranges of two lengths")
        published = published[:1]
    hosts: list[int | None] = [*published] or [None] * len(targets)
    sides = zip(targets, hosts, strict=True)
    protocol = (found["protocol"] or "tcp").lower()
    ip = (found["ip"] or "").strip("[]")
    return [{"target": t, "published": p, "protocol": protocol, "host_ip": ip} for t, p in sides]


def span(text: str) -> list[int]:
    first, dash, last = text.partition("-")
    if not text:
        return []
    if not first.isdigit() or (dash and not last.isdigit()):
        raise ValueError(f"{text:.40} is no range of ports")
    numbers = range(int(first), int(last or first) + 1)
    if not 0 < len(numbers) <= MOST_PORTS:
        raise ValueError(f"{text:.40} is no range of at most {MOST_PORTS} ports")
    return [*numbers]
