"""What was found behind the service, and what of it makes it unready (contract 2). Pure."""

from dataclasses import dataclass, field

from somabrain.embedding import DIM, embed
from somabrain.schema import Standing

TOLERATED = frozenset({"schema-ahead", "items"})  # alerts of what does not stop the service


def embeds() -> bool:
    vector = embed("health")
    return len(vector) == DIM and abs(float(vector @ vector) - 1.0) < 1e-5


@dataclass(frozen=True)
class Findings:
    """What was found behind the service."""

    schema: Standing | None
    items: int | None
    redis: bool
    opa: bool | None
    opa_required: bool
    embedder: bool = field(default_factory=embeds)

    @property
    def postgres(self) -> bool:
        return self.schema is not None and self.schema.usable

    def alerts(self) -> list[str]:
        found = schema_alerts(self.schema)
        if self.postgres and self.items is None:
            found.append("items")
        if not self.redis:
            found.append("redis")
        if not self.embedder:
            found.append("embedder")
        if self.opa is False:
            found.append("opa")
        return found

    def ready(self) -> bool:
        tolerated = TOLERATED if self.opa_required else TOLERATED | {"opa"}
        return set(self.alerts()) <= tolerated


def schema_alerts(schema: Standing | None) -> list[str]:
    """Return the alerts of Postgres and its schema: one at most."""
    match schema:
        case None:
            return ["postgres"]
        case Standing.CURRENT:
            return []
        case Standing.AHEAD:
            return ["schema-ahead"]
        case _:
            return ["schema"]
