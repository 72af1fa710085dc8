"""The commands of the operators' runbook, as they stand in runbook.yaml, each with its correction."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

FILE = Path(__file__).with_name("runbook.yaml")
# The runbook's local ports, by the forward that has each, where a command means this machine's.
LOCAL = {
    "api": r"(?<=127\.0\.0\.1:)9696\b|\b9696(?=:9696)",
    "redis": r"(?<=127\.0\.0\.1:)6379\b|\b6379(?=:6379)",
    "postgres": r"\b55432\b",
    "https": r"\b9999\b",
}


@dataclass(frozen=True)
class Command:
    """A command of the runbook; `run` is what is typed instead, and `why`."""

    said: str
    run: str | None = None
    why: str = ""
    first: str = ""
    shows: str = ""

    @property
    def typed(self) -> str:
        return self.said if self.run is None else self.run

    def at(self, ports: Mapping[str, int]) -> str:
        """Return what is typed on a machine where these are the local ports."""
        text = self.typed
        for name, pattern in LOCAL.items():
            text = re.sub(pattern, str(ports[name]), text)
        return text.replace("port_forward_api.sh", f"port_forward_api.sh {ports['api']}")


def commands() -> tuple[Command, ...]:
    return tuple(Command(**entry) for entry in yaml.safe_load(FILE.read_text()))
