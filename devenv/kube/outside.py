"""Addresses and paths that mean something in a pod only, rewritten for a process on this machine. Pure.

An address is rewritten where a forward leads to that very port of that Service. What none leads to is told, by the
names of the setting and of the Service alone: the rest of a value may be secret.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

LOCAL = "127.0.0.1"
# What a URL without a port means.
DEFAULTS = {
    "http": 80, "https": 443, "ws": 80, "wss": 443, "redis": 6379, "rediss": 6379, "postgres": 5432, "postgresql": 5432,
    "mysql": 3306, "mariadb": 3306, "mongodb": 27017, "amqp": 5672, "amqps": 5671, "nats": 4222, "grpc": 443,
}  # fmt: skip
HOSTS = re.compile(r"HOST|SERVER|ADDR|ENDPOINT", re.IGNORECASE)


@dataclass(frozen=True, order=True)
class Backend:
    """A port of a Service."""

    service: str
    namespace: str
    port: int


@dataclass(frozen=True)
class Outside:
    """What of a pod's world lies elsewhere for a process outside of it."""

    home: str  # the namespace of the pod, in which a Service has a short name
    services: Mapping[tuple[str, str], frozenset[int]]  # by name and namespace: the ports of each
    forwards: Mapping[Backend, int]  # the local port that leads to each
    paths: Mapping[str, str] = field(default_factory=dict)  # a path in the container -> where that lies here
    elsewhere: Mapping[str, str] = field(default_factory=dict)  # a path in the container that is not here -> what it is

    @cached_property
    def names(self) -> dict[str, tuple[str, str]]:
        """The names of each Service in the cluster's DNS, as its pods know them."""
        found: dict[str, tuple[str, str]] = {}
        for name, namespace in sorted(self.services):
            full = f"{name}.{namespace}"
            short = (name,) if namespace == self.home else ()
            found |= dict.fromkeys((*short, full, f"{full}.svc", f"{full}.svc.cluster.local"), (name, namespace))
        return found

    @cached_property
    def _hosts(self) -> str:
        return rf"(?P<host>{'|'.join(re.escape(n) for n in sorted(self.names, key=len, reverse=True)) or '(?!)'})\.?"

    @cached_property
    def _with_port(self) -> re.Pattern[str]:
        return re.compile(rf"(?<![\w.-]){self._hosts}:(?P<port>\d+)(?![\w])")

    @cached_property
    def _in_url(self) -> re.Pattern[str]:
        return re.compile(rf"(?P<head>(?P<scheme>[A-Za-z][\w+.-]*)://(?:[^\s/@?#]*@)?){self._hosts}(?=[/?#\s,;\"']|$)")

    @cached_property
    def _paths(self) -> re.Pattern[str]:
        known = sorted({**self.paths, **self.elsewhere}, key=len, reverse=True)
        return re.compile(rf"(?:(?<![\w./-])|(?<=://))(?P<path>{'|'.join(map(re.escape, known)) or '(?!)'})(?![\w.-])")

    def text(self, name: str, text: str, lacks: list[str]) -> str:
        """Return a text with its addresses and paths as they are here; what is not had is added to `lacks`."""

        def local(host: str, port: int) -> str | None:
            service, namespace = self.names[host]
            if (found := self.forwards.get(Backend(service, namespace, port))) is None:
                if port in self.services[service, namespace]:
                    lacks.append(f"{name} names {host}:{port}, to which no forward leads")
                return None
            return f"{LOCAL}:{found}"

        def in_url(found: re.Match[str]) -> str:
            port = DEFAULTS.get(found["scheme"].partition("+")[0].lower())
            there = local(found["host"], port) if port else None
            return f"{found['head']}{there}" if there else found[0]

        def path(found: re.Match[str]) -> str:
            if found["path"] in self.elsewhere and found["path"] not in self.paths:
                lacks.append(f"{name} names {found['path']}, of {self.elsewhere[found['path']]}, which is not here")
            return self.paths.get(found["path"], found[0])

        text = self._with_port.sub(lambda m: local(m["host"], int(m["port"])) or m[0], text)
        return self._paths.sub(path, self._in_url.sub(in_url, text))

    def settings(self, values: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
        """Return settings as they are here, and what is not had.

        A Service that is named in one setting and its port in another (`DB_HOST`, `DB_PORT`) are rewritten together.
        """
        lacks: list[str] = []
        found = {name: self.text(name, text, lacks) for name, text in values.items()}
        for name, text in values.items():
            host = text.removesuffix(".")
            if host not in self.names or not ("." in host or HOSTS.search(name)):
                continue
            service, namespace = self.names[host]
            ways = {b.port: n for b, n in self.forwards.items() if (b.service, b.namespace) == (service, namespace)}
            port = port_beside(name, values)
            if port and int(values[port]) in ways:
                found |= {name: LOCAL, port: str(ways[int(values[port])])}
            elif not port and ways and all(n == local for n, local in ways.items()):
                found[name] = LOCAL
            else:
                lacks.append(f"{name} names {host}, to which no forward leads by the same port")
        return found, [*dict.fromkeys(lacks)]


def port_beside(name: str, values: Mapping[str, str]) -> str:
    """Return the name of the setting with the port that belongs to a host, or an empty string."""
    asked = [re.sub(word, put, name, count=1) for word in ("HOSTNAME", "HOST", "SERVER", "ADDRESS", "ADDR")
             for put in ("PORT",) if word in name]  # fmt: skip
    return next((n for n in (*asked, f"{name}_PORT") if n != name and re.fullmatch(r"\d{1,5}", values.get(n, ""))), "")


def services(found: Iterable[tuple[str, str, Iterable[int]]]) -> dict[tuple[str, str], frozenset[int]]:
    return {(name, namespace): frozenset(ports) for name, namespace, ports in found}
