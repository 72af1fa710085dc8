"""What a memory is: a payload, checked and made whole, with the text by which it is found (contract 3)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b, sha256
from math import isfinite
from struct import pack
from sys import float_info
from typing import Any, TypeGuard

from somabrain.embedding import Vector, embed
from somabrain.errors import Refused
from somabrain.wire import Json, dumps

TASK_LENGTH = 10_000
UNIVERSE_LENGTH = 128
COORD_LENGTH = 128
PAYLOAD_BYTES = 256 * 1024  # of its JSON, as it is stored
# A text as UTF-8, anything else as JSON. What has no limit of its own is bounded by the whole payload.
FIELD_BYTES = {
    "content": 64 * 1024,
    "reasoning_chain": 64 * 1024,
    **dict.fromkeys(("phase", "memory_type", "domains", "who", "did", "what", "where", "when", "why"), 8 * 1024),
}
UNIVERSE = "real"
OUTER = frozenset({"coord", "payload", "tenant_id"})
TEXTS = ("task", "content", "phase", "memory_type", "universe")
TEXTS_OR_LISTS = ("domains", "reasoning_chain")
NUMBERS = ("importance", "quality_score")


@dataclass(frozen=True)
class Memory:
    id: str
    payload: Json
    payload_json: str
    at: float
    universe: str
    task_digest: bytes
    place_digest: bytes
    vector: Vector


def text_of(payload: Json) -> str:
    """The text of a memory: its task and its content together."""
    return " ".join(text for name in ("task", "content") if (text := payload.get(name)))


def task_digest(task: str) -> bytes:
    """Equal for tasks that are the same but for case and outer space."""
    return sha256(task.strip().casefold().encode()).digest()


def place_digest(place: Sequence[float]) -> bytes:
    """Equal for equal coordinates, and unlike that of any task: none holds NUL."""
    x, y, z = (c + 0.0 for c in place)  # -0.0 is 0.0
    return sha256(b"\x00place" + pack("<3d", x, y, z)).digest()


def bounded(name: str, text: str, limit: int = TASK_LENGTH) -> str:
    """The text, if it is no longer than it may be: by default, than a task."""
    if len(text) > limit:
        raise Refused(400, f"Invalid input: {name} is over {limit} characters")
    return text


def check_sizes(payload: Json, payload_json: str) -> None:
    """Refuse a payload that is too large, or one of whose fields is: every answer that finds it would carry it."""
    for name, limit in FIELD_BYTES.items():
        value = payload.get(name)
        if value is not None and len((value if isinstance(value, str) else dumps(value)).encode()) > limit:
            raise Refused(400, f"Invalid input: {name} is over {limit} bytes")
    if len(payload_json.encode()) > PAYLOAD_BYTES:
        raise Refused(400, f"Invalid input: payload is over {PAYLOAD_BYTES} bytes")


def number(value: Any) -> TypeGuard[int | float]:
    """Whether a JSON value is a number within the range of a double."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= float_info.max


def payload_of(body: Any) -> Json:
    """The payload of a /remember body, which may stand at its top level."""
    if isinstance(body, list):
        raise Refused(400, "Invalid payload: the body is an array, wanted an object")
    if not isinstance(body, dict):
        raise Refused(400, "Invalid payload: the body is not an object")
    payload = body["payload"] if "payload" in body else {k: v for k, v in body.items() if k not in OUTER}
    if not isinstance(payload, dict):
        raise Refused(400, "Invalid payload: payload is not an object")
    return payload


def check_types(payload: Json) -> None:
    def require(name: str, holds: bool, wanted: str) -> None:
        if payload.get(name) is not None and not holds:
            raise Refused(400, f"Invalid payload: {name} is not {wanted}")

    for name in TEXTS:
        value = payload.get(name)
        require(name, isinstance(value, str) and "\x00" not in value, "text (without NUL)")
    for name in TEXTS_OR_LISTS:
        require(name, isinstance(payload.get(name), str | list), "text or a list")
    for name in NUMBERS:
        require(name, number(payload.get(name)), "a finite number")
    bounded("task", payload.get("task") or "")
    bounded("universe", payload.get("universe") or "", UNIVERSE_LENGTH)


def epoch_seconds(value: Any) -> float:
    """A timestamp as epoch seconds: a number, a number as text, or ISO 8601 (UTC where it names no zone)."""
    try:
        if isinstance(value, str):
            seconds = numeric(value)
        elif number(value):
            seconds = float(value)
        else:
            raise ValueError(value)
        if isfinite(seconds):
            return seconds
    except (ValueError, OverflowError):
        pass
    raise Refused(400, "Invalid payload: timestamp is neither epoch seconds nor ISO 8601")


def numeric(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        moment = datetime.fromisoformat(text.strip())
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def coordinate(coord: Any, memory_id: str) -> list[float]:
    """Three numbers: those given, or the memory's own, drawn from its id."""
    if coord is None:
        digest = blake2b(memory_id.encode(), digest_size=24).digest()
        return [int.from_bytes(digest[i : i + 8], "little") / 2**63 - 1 for i in (0, 8, 16)]
    return coordinates(coord)


def coordinates(coord: Any) -> list[float]:
    try:
        x, y, z = (float(part) for part in bounded("coord", coord, COORD_LENGTH).split(","))
    except (ValueError, TypeError, AttributeError):
        raise Refused(400, 'Invalid input: coord is not three numbers "x,y,z"') from None
    if not all(isfinite(c) and abs(c) <= 1e6 for c in (x, y, z)):
        raise Refused(400, "Invalid input: coord holds a number that is not finite or beyond 1e6")
    return [x, y, z]


def memory_from(body: Any, memory_id: str, now: float) -> Memory:
    """Make a memory of a /remember body, or refuse it."""
    payload = dict(payload_of(body))
    check_types(payload)
    payload["timestamp"] = now if payload.get("timestamp") is None else epoch_seconds(payload["timestamp"])
    for name, default in (("importance", 1.0), ("memory_type", "episodic"), ("universe", UNIVERSE)):
        if payload.get(name) is None:
            payload[name] = default
    payload["coordinate"] = coordinate(body.get("coord"), memory_id)
    try:
        payload_json = dumps(payload)
    except ValueError:
        raise Refused(400, "Invalid payload: a number is not finite") from None
    check_sizes(payload, payload_json)
    return Memory(
        id=memory_id,
        payload=payload,
        payload_json=payload_json,
        at=payload["timestamp"],
        universe=payload["universe"],
        task_digest=task_digest(payload.get("task") or ""),
        place_digest=place_digest(payload["coordinate"]),
        vector=embed(text_of(payload)),
    )
