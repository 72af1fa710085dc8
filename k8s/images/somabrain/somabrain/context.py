"""An evaluation: what is remembered for a query, weighed, and shown as a prompt (contract 4)."""

import time
from dataclasses import dataclass

import numpy as np
from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy import Connection

from somabrain import adaptation, learning, prompt, retrieval, working_memory
from somabrain.embedding import embed
from somabrain.errors import Refused
from somabrain.found import LIST_BYTES, Found, fitting
from somabrain.learning import Rules
from somabrain.links import strongest
from somabrain.memories import Memories
from somabrain.memory import text_of
from somabrain.prompt import Entry
from somabrain.retrieval import Floats
from somabrain.wire import Json, dumps

MOST_MEMORIES = 20
BODY_BYTES = 128 * 1024
QUERY_LENGTH = 4096
SESSION_LENGTH = 128


@dataclass(frozen=True)
class Asked:
    tenant: str
    session_id: str
    query: str
    top_k: int


def check(asked: Asked) -> None:
    for name, value, limit in (("session_id", asked.session_id, SESSION_LENGTH), ("query", asked.query, QUERY_LENGTH)):
        if len(value) > limit:
            raise Refused(400, f"input field exceeds {limit} characters: {name}")


def entry(found: Found) -> Entry:
    """A memory in the prompt: under its task where it has a content too, else under its id."""
    task, content = found.payload.get("task"), found.payload.get("content")
    return Entry(task if task and content else found.id, content or task or "")


def weigh(found: list[Found], query: Floats, graph: Floats, state: adaptation.State, now: float) -> list[float]:
    """The weights of the memories, one per memory."""
    vectors = np.array([f.vector for f in found], np.float64)
    cosine = np.clip(vectors @ query, -1.0, 1.0)
    recent = np.array([retrieval.recency(f.payload.get("timestamp"), now) for f in found])
    raw = retrieval.scores(state.weights, cosine, graph, recent)
    return [float(w) for w in retrieval.softmax(raw, state.weights.tau)]


def shown(found: Found, weight_score: float) -> Json:
    return {
        "id": found.id,
        "score": weight_score,
        "metadata": found.payload,
        "embedding": np.round(found.vector.astype(np.float64), 7).tolist(),
    }


def evaluate(
    connection: Connection, redis: Redis, memories: Memories, asked: Asked, rules: Rules, ttl_s: int
) -> tuple[Json, bool]:
    """Answer an evaluation, and say whether the temperature moved, within the caller's transaction.

    Without Redis that step is undone.
    """
    now = time.time()
    query = embed(asked.query)
    state = adaptation.read(connection, asked.tenant, rules)
    found = memories.nearest(connection, asked.tenant, query, min(asked.top_k, MOST_MEMORIES))
    weights: list[float] = []
    residual: Floats = np.empty(0)
    tempered = False
    if found:
        graph = strongest(connection, asked.tenant, found)
        unsorted = weigh(found, query.astype(np.float64), graph, state, now)
        order = sorted(range(len(found)), key=lambda i: -unsorted[i])
        found, weights = [found[i] for i in order], [unsorted[i] for i in order]
        residual = retrieval.residual(np.array(weights), np.array([f.vector for f in found], np.float64))
        distinct = len({text_of(f.payload) for f in found})
        # At its bound the temperature stays, and there is nothing to write.
        if learning.tempered(state.weights.tau, distinct, len(found)) != state.weights.tau:
            adaptation.temper(connection, asked.tenant, rules, distinct, len(found))
            tempered = True
    text = prompt.best(state.weights, asked.query, [entry(f) for f in found], weights)
    remembered = {"ts": now, "query": asked.query, "prompt": text, "memory_ids": [f.id for f in found]}
    try:
        window = working_memory.remember(redis, asked.tenant, asked.session_id, remembered, ttl_s)
    except RedisError as error:
        raise Refused(503, "working memory unavailable") from error
    answer = {
        "query": asked.query,
        "prompt": text,
        "tenant_id": asked.tenant,
        "memories": [shown(f, w) for f, w in zip(found, weights, strict=True)],
        "weights": weights,
        "residual_vector": residual.tolist(),
        "working_memory": window,
        "constitution_checksum": None,
    }
    return answer, tempered


def written(answer: Json) -> bytes:
    """The answer as JSON: without embeddings if it would be too large with them, and with no more payloads than fit."""
    body = dumps(answer).encode()
    if len(body) <= BODY_BYTES:
        return body
    bare = [{name: value for name, value in memory.items() if name != "embedding"} for memory in answer["memories"]]
    kept = fitting([len(dumps(memory["metadata"]).encode()) for memory in bare], LIST_BYTES)
    for memory in bare[kept:]:
        memory["metadata"] = {"timestamp": memory["metadata"]["timestamp"]}
    truncated = {"truncated": True} if kept < len(bare) else {}
    return dumps({**answer, "memories": bare, **truncated}).encode()
