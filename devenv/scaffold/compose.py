"""A compose file read: its services, the line of each key, and every fault at once. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from typing import Any

import yaml
from pydantic import ValidationError

from devenv.errors import UsageError
from devenv.kube import documents
from devenv.scaffold import template
from devenv.scaffold.model import Project, Service
from devenv.scaffold.passwords import Passwords

MOST = 100_000  # values in a file: aliases of aliases make more of few
COMMANDS = ("command", "entrypoint", "healthcheck")  # of a service, in which a password becomes a reference
Keys = tuple[str, ...]


@dataclass
class Compose:
    """A compose file, and what is to be told of it."""

    file: str
    project: Project
    lines: Mapping[Keys, int]
    passwords: Passwords
    notes: list[str] = field(default_factory=list)

    @property
    def values(self) -> Mapping[str, str]:
        return self.passwords.known

    @property
    def services(self) -> dict[str, Service]:
        """The services that Compose starts by itself."""
        return {name: s for name, s in self.project.services.items() if not s.profiles}

    def note(self, keys: Keys, what: str) -> None:
        self.notes.append(f"{place(self.file, self.lines, keys)}: {what}")

    def fault(self, keys: Keys, what: str) -> UsageError:
        return UsageError(f"{place(self.file, self.lines, keys)}: {what}")


def place(file: str, lines: Mapping[Keys, int], keys: Keys) -> str:
    """Return `FILE: line N: key.path`, of the nearest key above that is written."""
    depth = next((d for d in range(len(keys), 0, -1) if keys[:d] in lines), 0)
    return ": ".join([file, f"line {lines.get(keys[:depth], 1)}", *([".".join(keys)] if keys else [])])


def read(file: str, text: str, passwords: Passwords) -> Compose:
    """Read a compose file; `passwords` have what its variables stand for. Raise UsageError that lists its faults."""
    try:
        found = [document for _, document in documents.read(text, documents.WithNulls)]
        lines = dict(lines_of(text))
    except documents.Fault as error:
        raise UsageError(f"{file}: not valid YAML: {error}") from error
    except RecursionError:
        raise UsageError(f"{file}: not valid YAML: nested too deeply") from None
    if len(found) != 1 or not isinstance(found[0], dict) or not isinstance(found[0].get("services"), dict):
        count = f"{len(found)} documents instead of one" if len(found) > 1 else "no services"
        raise UsageError(f"{file}: {count}\nhint: a compose file has a mapping `services`, of one service each")
    faults: list[str] = []
    try:
        whole = Interpolation(passwords, faults, file, lines).done(found[0])
        project = Project.model_validate(whole)
    except ValidationError as error:
        faults += [f"{place(file, lines, keys_of(e['loc'], lines))}: {said(e)}" for e in error.errors()]
    except RecursionError:
        raise UsageError(f"{file}: not valid YAML: nested too deeply") from None
    if faults:
        raise UsageError("\n".join(dict.fromkeys(faults)))
    compose = Compose(file, project, lines, passwords)
    for check in (something, duplicates, dependencies):
        check(compose)
    return compose


def said(error: Any) -> str:
    return str(error["msg"].removeprefix("Value error, "))


def keys_of(loc: tuple[Any, ...], lines: Mapping[Keys, int]) -> Keys:
    """Return the keys of a fault as far as the file has them: pydantic names its own choices too."""
    found: Keys = ()
    for part in map(str, loc):
        if (*found, part) in lines or not found:
            found = (*found, part)
    return found


def lines_of(text: str) -> Iterator[tuple[Keys, int]]:
    """Yield each key's place. What aliases repeat has the place where it is written."""
    left: list[tuple[Keys, yaml.Node]] = [((), node) for node in yaml.compose_all(text, Loader=documents.WithNulls)]
    seen = set[int]()
    while left:
        keys, node = left.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                inner = (*keys, str(key.value))
                yield inner, key.start_mark.line + 1
                left.append((inner, value))
        elif isinstance(node, yaml.SequenceNode):
            for n, value in enumerate(node.value):
                yield (*keys, str(n)), value.start_mark.line + 1
                left.append(((*keys, str(n)), value))


class Interpolation:
    """Puts the values of variables into every text but those that may hold passwords."""

    def __init__(self, passwords: Passwords, faults: list[str], file: str, lines: Mapping[Keys, int]) -> None:
        self.passwords, self.faults, self.file, self.lines, self.count = passwords, faults, file, lines, 0

    def done(self, value: Any, keys: Keys = ()) -> Any:
        self.count += 1
        if self.count > MOST:
            raise UsageError(f"{self.file}: more than {MOST} values")
        match value:
            case dict():
                return {key: self.done(inner, (*keys, key)) for key, inner in value.items()}
            case list():
                return [self.done(inner, (*keys, str(n))) for n, inner in enumerate(value)]
            case str() if not value.isascii() and not encodable(value):
                self.faults.append(f"{place(self.file, self.lines, keys)}: half of a character (a surrogate)")
            case str():
                try:
                    return self.text(value, keys[2] if keys[:1] == ("services",) and len(keys) > 2 else "")
                except ValueError as error:
                    self.faults.append(f"{place(self.file, self.lines, keys)}: {error}")
                return ""
        return value

    def text(self, value: str, key: str) -> str:
        """Return a text of a service's key with its values. What may be a password stays, or becomes a reference."""
        parts = template.parse(value)
        if key in COMMANDS:
            return self.passwords.referring(parts)
        return value if key == "environment" else template.joined(parts, self.passwords.known)


def encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def something(compose: Compose) -> None:
    if not compose.services:
        raise compose.fault(("services",), "no services, or all of them belong to profiles")
    for name, service in compose.services.items():
        if service.image is None and service.build is None:
            has = "extends" in (service.model_extra or {})
            why = "`extends` is not followed: write what it would add" if has else "has neither image nor build"
            raise compose.fault(("services", name), why)


def duplicates(compose: Compose) -> None:
    """Raise UsageError for a port of the host that is published twice."""
    taken: dict[tuple[int, str, str], str] = {}
    for name, service in compose.services.items():
        for port in service.ports:
            key = (port.published or 0, port.protocol, port.host_ip)
            if port.published and (first := taken.setdefault(key, name)) and taken_twice(service, key, first, name):
                by = f"services.{first} too" if first != name else "the service twice"
                raise compose.fault(("services", name, "ports"), f"port {port.published} is published by {by}")


def taken_twice(service: Service, key: tuple[int, str, str], first: str, name: str) -> bool:
    same = [p for p in service.ports if (p.published, p.protocol, p.host_ip) == key]
    return first != name or len(same) > 1


def dependencies(compose: Compose) -> None:
    """Raise UsageError for services that wait for each other, or for one that is not there."""
    services = compose.services
    for name, service in services.items():
        for other in service.depends_on:
            if other not in compose.project.services:
                raise compose.fault(("services", name, "depends_on"), f"no service {other}")
    try:
        TopologicalSorter({name: [*s.depends_on] for name, s in services.items()}).prepare()
    except CycleError as error:
        chain = [*reversed(error.args[1])]
        raise compose.fault(
            ("services", chain[0], "depends_on"), f"services wait for each other: {' → '.join(chain)}"
        ) from None
