"""The revisions of the schema: the order this image knows, and which states of a database it can live with."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Self

from sqlalchemy import Connection, select, text
from sqlalchemy.exc import ProgrammingError

from somabrain.tables import schema_floor

VERSIONS = Path(__file__).parent.parent / "alembic" / "versions"
# Read, not imported: the API needs no Alembic.
DECLARED = re.compile(r'^(revision|down_revision|lives_with)\b[^=\n]*=\s*["\']([^"\']+)["\']', re.MULTILINE)


class Standing(Enum):
    """A database as this image sees it."""

    BEHIND = "behind"  # its migration has not run
    CURRENT = "current"
    AHEAD = "ahead"  # a later release has migrated it, and says that this image can live with that
    BEYOND = "beyond"  # a later release has migrated it, and does not say so

    @property
    def usable(self) -> bool:
        return self in (Standing.CURRENT, Standing.AHEAD)


@dataclass(frozen=True)
class Revisions:
    """All revisions, first to last, and of each the oldest one whose image works on the schema that it leaves."""

    order: tuple[str, ...]
    lives_with: Mapping[str, str]

    @classmethod
    def of(cls, sources: Iterable[str]) -> Self:
        """Read the sources of the revisions. Raise ValueError where they are no chain or one does not say enough."""
        declared = [dict(DECLARED.findall(source)) for source in sources]
        after = {found.get("down_revision"): found["revision"] for found in declared}
        order: list[str] = []
        while following := after.get(order[-1] if order else None):
            order.append(following)
        if len(order) != len(declared):
            raise ValueError(f"the revisions are not one chain: {', '.join(sorted(d['revision'] for d in declared))}")
        lives_with = {found["revision"]: found.get("lives_with", "") for found in declared}
        for place, name in enumerate(order):
            if lives_with[name] not in order[: place + 1]:
                raise ValueError(f"revision {name} lacks lives_with, the oldest revision whose image works after it")
        return cls(tuple(order), lives_with)

    @classmethod
    def here(cls) -> Self:
        return cls.of(path.read_text() for path in sorted(VERSIONS.glob("*.py")))

    @property
    def head(self) -> str:
        return self.order[-1]

    def oldest(self, version: str) -> str:
        """Return the oldest revision whose image works on a schema at `version`: no step up to it may exclude it."""
        passed = self.order[: self.order.index(version) + 1]
        return max((self.lives_with[name] for name in passed), key=self.order.index)

    def standing(self, version: str | None, oldest: str | None) -> Standing:
        """Judge a database at `version` that says which is the `oldest` revision it works with."""
        if version == self.head:
            return Standing.CURRENT
        if version is None or version in self.order:
            return Standing.BEHIND
        return Standing.AHEAD if oldest in self.order else Standing.BEYOND


def state_of(connection: Connection) -> tuple[str | None, str | None]:
    """Return the database's revision and the oldest one that it works with; None where it does not say."""
    return scalar(connection, "SELECT version_num FROM alembic_version"), scalar(
        connection, str(select(schema_floor.c.oldest_revision))
    )


def scalar(connection: Connection, query: str) -> str | None:
    try:
        with connection.begin_nested():
            value = connection.execute(text(query)).scalar_one_or_none()
    except ProgrammingError:  # there is no such table yet
        return None
    return None if value is None else str(value)
