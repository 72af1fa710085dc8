"""Readiness and liveness (contract 2)."""

import time

import pytest

from tests.service.live.brain import Brain

FIELDS = {
    "ok",
    "ready",
    "components",
    "items",
    "memory_items",
    "namespace",
    "trace_id",
    "deadline_ms",
    "idempotency_key",
    "embedder",
    "memory_ok",
    "embedder_ok",
    "opa_ok",
    "opa_required",
    "alerts",
}


def test_the_document_is_whole(brain: Brain) -> None:
    health = brain.get("/health").json()
    assert set(health) >= FIELDS
    components = health["components"]
    assert components["memory"] == {"http": True}
    assert (components["postgres"], components["redis"]) == (True, True)
    assert (components["wm_items"], components["api_version"]) == ("tenant-scoped", 1)
    assert components["opa"] is health["opa_ok"]
    assert components["opa"] in (True, None)
    assert health["embedder"]["dim"] == 256
    assert health["alerts"] == health["overridden"] == []
    assert health["ok"] is health["ready"] is health["memory_ok"] is health["embedder_ok"] is True


def test_items_are_the_memories_of_the_tenant(brain: Brain) -> None:
    for n in range(1, 3):
        brain.remember(f"memory {n}")
        health = brain.get("/health").json()
        assert health["items"] == health["memory_items"] == n


@pytest.mark.parametrize("path", ["/health", "/healthz"])
def test_it_answers_within_a_second(brain: Brain, path: str) -> None:
    took_s = []
    for _ in range(3):
        begun = time.monotonic()
        assert brain.get(path).json()["ok"] is True
        took_s.append(time.monotonic() - begun)
    assert min(took_s) < 1.0
