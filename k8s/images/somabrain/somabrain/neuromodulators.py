"""The neuromodulators of a tenant: four levels, each within its bounds, kept in Postgres (contract 5)."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType

from sqlalchemy import Connection, select
from sqlalchemy.dialects.postgresql import insert

from somabrain.learning import clip
from somabrain.tables import neuromodulators

BOUNDS: Mapping[str, tuple[float, float]] = MappingProxyType(
    {"dopamine": (0.0, 0.8), "serotonin": (0.0, 1.0), "noradrenaline": (0.0, 0.1), "acetylcholine": (0.0, 0.5)}
)


@dataclass(frozen=True)
class Levels:
    """The levels of a tenant; these are the ones of a tenant that never set any."""

    dopamine: float = 0.4
    serotonin: float = 0.5
    noradrenaline: float = 0.0
    acetylcholine: float = 0.0


def clipped(given: Mapping[str, float]) -> dict[str, float]:
    """Each given level, moved to its nearest bound where it lies outside."""
    return {name: clip(level, *BOUNDS[name]) for name, level in given.items()}


def read(connection: Connection, tenant: str) -> Levels:
    c = neuromodulators.c
    row = connection.execute(select(*(c[name] for name in BOUNDS)).where(c.tenant_id == tenant)).one_or_none()
    return Levels() if row is None else Levels(*row)


def write(connection: Connection, tenant: str, given: Mapping[str, float]) -> Levels:
    """Keep the given levels, clipped, and return all four. One that is not given stays as it is."""
    if named := clipped(given):
        upsert = insert(neuromodulators).values(tenant_id=tenant, **{**asdict(Levels()), **named})
        connection.execute(upsert.on_conflict_do_update(index_elements=[neuromodulators.c.tenant_id], set_=dict(named)))
    return read(connection, tenant)
