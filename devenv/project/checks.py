"""The shape of [tool.devenv.checks.NAME]: what `devenv verify` asks the stack that runs. Pure."""

from collections.abc import Iterator
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

CHECKED = ("http", "tcp", "command", "sql")


class Check(BaseModel):
    """A question to the stack that runs, and what a good answer is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    http: Annotated[str, StringConstraints(pattern=r"^https?://\S+$")] | None = None
    tcp: Annotated[str, StringConstraints(pattern=r"^\S+:\S+$")] | None = None  # HOST:PORT
    command: Annotated[list[str], Field(min_length=1)] | None = None
    sql: Annotated[str, StringConstraints(min_length=1)] | None = None
    # The workload in whose pod the command or psql runs; without it the command runs here, with the exported settings.
    in_: Annotated[str | None, Field(alias="in")] = None
    container: str | None = None  # of that pod, where it is not its first
    headers: dict[str, str] = {}
    status: Annotated[int, Field(ge=100, le=599, strict=True)] = 200
    send: str = ""
    contains: str = ""  # what the answer has
    when: dict[Annotated[str, StringConstraints(pattern=r"^\d{1,3}$")], str] = {}  # what a status or exit code means
    hint: str = ""  # what to do where it fails
    within_s: Annotated[float, Field(alias="within-s", gt=0, le=600, strict=True)] = 10.0

    @property
    def kind(self) -> str:
        return next(name for name in CHECKED if getattr(self, name) is not None)

    @model_validator(mode="after")
    def one_question(self) -> Self:
        asked = [name for name in CHECKED if getattr(self, name) is not None]
        if len(asked) != 1:
            raise ValueError(f"needs one of {', '.join(CHECKED)}")
        if self.sql is not None and self.in_ is None:
            raise ValueError("sql needs `in`, the workload in whose pod psql runs")
        if wrong := [key for key in ("headers", "status") if key in self.model_fields_set and self.http is None]:
            raise ValueError(f"{', '.join(wrong)}: only for http")
        if self.send and self.tcp is None:
            raise ValueError("send: only for tcp")
        if self.in_ is not None and asked[0] not in ("command", "sql"):
            raise ValueError("in: only for command and sql")
        return self


def texts(check: Check) -> Iterator[tuple[str, str]]:
    """Yield what of a check may have references, with its key."""
    for key in ("http", "tcp", "sql", "send", "contains"):
        if text := getattr(check, key):
            yield key, text
    yield from (("command", word) for word in check.command or ())
    yield from (("headers", text) for text in check.headers.values())
