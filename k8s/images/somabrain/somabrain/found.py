"""Memories as they are read from Postgres. What an answer carries of them is bounded, so that none fills the pod."""

import json
from collections.abc import Collection, Mapping, Sequence, Sized
from dataclasses import dataclass

from sqlalchemy import Connection, case, func, select

from somabrain.embedding import Vector, from_bytes
from somabrain.tables import memories
from somabrain.wire import Json

LIST_BYTES = 2 << 20  # the payloads of one list of an answer, as they are stored
SMALL_BYTES = 16 << 10  # such a payload comes with its row, a larger one only where an answer has room for it


class Vanished(Exception):
    """A memory that the copy holds is not in Postgres: it was deleted, or the copy is of another past."""


@dataclass(frozen=True)
class Found:
    """A memory as it was found."""

    id: str
    seq: int
    payload: Json
    vector: Vector
    task_digest: bytes


@dataclass(frozen=True)
class Head:
    """What is known of a memory before its payload is read, if that is large."""

    vector: Vector
    size: int
    small: str | None


def fitting(sizes: Sequence[int], room: int) -> int:
    """Return how many of the first fit together. The first one always does: an answer says what it can."""
    used = 0
    for count, size in enumerate(sizes):
        used += size
        if used > room and count:
            return count
    return len(sizes)


def check(rows: Sized, numbers: Collection[int], whole: bool) -> None:
    """Raise Vanished if one of the numbers has no row, where the caller wants them `whole`."""
    if whole and len(rows) < len(set(numbers)):
        raise Vanished


def fetch(connection: Connection, tenant: str, numbers: Sequence[int], whole: bool) -> list[Found]:
    """Return these memories, in this order. One that is not there is left out, or Vanished if they are to be whole."""
    if not numbers:
        return []
    c = memories.c
    rows = connection.execute(
        select(c.id, c.seq, c.payload_json, c.vector, c.task_digest).where(c.tenant_id == tenant, c.seq.in_(numbers))
    ).all()
    check(rows, numbers, whole)
    found = {
        row.seq: Found(row.id, row.seq, json.loads(row.payload_json), from_bytes(row.vector), row.task_digest)
        for row in rows
    }
    return [found[seq] for seq in numbers if seq in found]


def heads(connection: Connection, tenant: str, numbers: Collection[int], whole: bool) -> dict[int, Head]:
    """Return the vectors and sizes of these memories; of all, or Vanished, if they are to be whole."""
    if not numbers:
        return {}
    c = memories.c
    size = func.octet_length(c.payload_json)
    rows = connection.execute(
        select(c.seq, c.vector, size.label("size"), case((size <= SMALL_BYTES, c.payload_json)).label("small")).where(
            c.tenant_id == tenant, c.seq.in_(numbers)
        )
    ).all()
    check(rows, numbers, whole)
    return {row.seq: Head(from_bytes(row.vector), row.size, row.small) for row in rows}


def payloads(
    connection: Connection, tenant: str, known: Mapping[int, Head], numbers: Collection[int], whole: bool
) -> dict[int, Json]:
    """Return the payloads of these known memories; of all, or Vanished, if they are to be whole."""
    texts = {seq: text for seq in numbers if (text := known[seq].small) is not None}
    if large := [seq for seq in numbers if seq not in texts]:
        c = memories.c
        rows = connection.execute(select(c.seq, c.payload_json).where(c.tenant_id == tenant, c.seq.in_(large))).all()
        check(rows, large, whole)
        texts.update((row.seq, row.payload_json) for row in rows)
    return {seq: json.loads(text) for seq, text in texts.items()}
