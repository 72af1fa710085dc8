"""What `devenv init` is to write: the table, manifests, settings; and what it tells of them. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from devenv.scaffold.passwords import Passwords
from devenv.scaffold.text import Commented, as_toml

Input = str | Mapping[str, Any]


@dataclass
class Draft:
    """A table in the making, with the manifests that belong to it."""

    name: str
    namespace: str = ""
    manifests: list[Input] = field(default_factory=list)
    images: dict[str, dict[str, Any]] = field(default_factory=dict)
    forwards: dict[str, dict[str, Any]] = field(default_factory=dict)
    gates: dict[str, list[str]] = field(default_factory=dict)
    secrets: dict[str, dict[str, str]] = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=dict)
    tests: dict[str, list[str]] = field(default_factory=dict)
    passwords: Passwords = field(default_factory=Passwords)
    files: dict[str, str] = field(default_factory=dict)  # manifests to write, by their paths
    notes: list[str] = field(default_factory=list)

    @property
    def local_ports(self) -> set[int]:
        return {int(str(forward["ports"]).partition(":")[0]) for forward in self.forwards.values()}

    def forward(self, name: str, service: str, local: int, port: int, probe: str, namespace: str | None = None) -> None:
        self.forwards[name] = {"service": service, "namespace": namespace, "ports": f"{local}:{port}"}
        if probe != "tcp":
            self.forwards[name]["probe"] = probe

    def table(self, top: tuple[str, ...]) -> str:
        """Return the text of the table. `top` are the keys that lead to it in its file."""
        manifests: Any = self.manifests[0] if len(self.manifests) == 1 else self.manifests
        values: dict[str, Any] = {"name": self.name, "namespace": self.namespace or self.name, "manifests": manifests}
        if self.gates:
            values["gates"] = Commented(
                self.gates if any(self.gates.values()) else [*self.gates], "Jobs that come first."
            )
        tables: dict[tuple[str, ...], Mapping[str, Any]] = {}
        for part, found in (("images", self.images), ("forwards", self.forwards), ("secrets", self.secrets)):
            tables |= {(part, name): one for name, one in found.items()}
        tables[("env",)] = self.env
        tables |= {("tests", name): {"run": command} for name, command in self.tests.items()}
        return as_toml(top, values, tables)
