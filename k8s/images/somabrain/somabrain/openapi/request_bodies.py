"""The request bodies as the OpenAPI document shows them: examples, and the shape of a memory."""

from somabrain.memory import COORD_LENGTH, FIELD_BYTES, PAYLOAD_BYTES, TASK_LENGTH, UNIVERSE_LENGTH
from somabrain.wire import Json

TEXT: Json = {"type": ["string", "null"]}
TEXT_OR_LIST: Json = {"type": ["string", "array", "null"]}
NUMBER: Json = {"type": ["number", "null"]}


def sized(name: str, schema: Json) -> Json:
    """The schema of a field with its limit: in bytes, which no text of more characters keeps."""
    limit = FIELD_BYTES[name]
    bound: Json = {"maxLength": limit} if schema else {}
    return {**schema, **bound, "description": f"At most {limit} bytes, as UTF-8 text or as JSON."}


PAYLOAD: Json = {
    "task": {**TEXT, "maxLength": TASK_LENGTH, "description": "With `content` the text by which the memory is found."},
    **{name: sized(name, TEXT) for name in ("content", "phase", "memory_type")},
    "universe": {**TEXT, "maxLength": UNIVERSE_LENGTH},
    **dict.fromkeys(("quality_score", "importance"), NUMBER),
    **{name: sized(name, TEXT_OR_LIST) for name in ("domains", "reasoning_chain")},
    "timestamp": {
        "type": ["number", "string", "null"],
        "description": "Epoch seconds, as a number or as text, or ISO 8601; now if absent.",
    },
    **{name: sized(name, {}) for name in ("who", "did", "what", "where", "when", "why")},
}
COORD: Json = {
    "type": ["string", "null"],
    "maxLength": COORD_LENGTH,
    "description": "Three finite numbers of size 1e6 at most: `x,y,z`.",
    "example": "0.1,-2,30",
}
MEMORY: Json = {
    "type": "object",
    "description": (
        f"The fields of the payload stand in `payload`, or at the top. As JSON they are {PAYLOAD_BYTES} bytes at most."
    ),
    "properties": {
        **PAYLOAD,
        "coord": COORD,
        "payload": {"type": "object", "properties": PAYLOAD},
        "tenant_id": {"type": ["string", "null"], "minLength": 1, "maxLength": 128},
    },
}
REMEMBER: Json = {
    "schema": MEMORY,
    "examples": {
        "payload": {
            "value": {"payload": {"task": "water the garden", "content": "the tomatoes need two litres"}},
        },
        "at the top": {"value": {"task": "file the tax return", "timestamp": "2026-07-31T12:00:00Z"}},
    },
}
RECALL: Json = {"example": {"query": "garden", "top_k": 3}}
EVALUATE: Json = {"example": {"session_id": "a-session", "query": "what do the tomatoes need?", "top_k": 5}}
FEEDBACK: Json = {
    "example": {
        "session_id": "a-session",
        "query": "what do the tomatoes need?",
        "prompt": "what do the tomatoes need?",
        "response_text": "two litres",
        "utility": 0.9,
        "reward": None,
        "metadata": {"tokens": 12, "model": "a-model"},
    }
}
RESET: Json = {"example": {"base_lr": 0.05, "reset_history": True, "constraints": {"alpha_max": 5.0}}}
LEVELS: Json = {"example": {"dopamine": 0.8, "acetylcholine": 0.1}}
ACT: Json = {"example": {"task": "make coffee", "top_k": 3}}
PLAN: Json = {"example": {"task_key": "make coffee", "max_steps": 5, "rel_types": ["depends_on"]}}
LINK: Json = {
    "examples": {
        "keys": {"value": {"from_key": "make coffee", "to_key": "boil water", "type": "depends_on", "weight": 1.0}},
        "coordinates": {"value": {"from_coord": "0.1,0.2,0.3", "to_key": "boil water"}},
    }
}
