"""What is deleted is found by nobody, and leaves everything else as it is (contract 3 and 7)."""

import os
from concurrent.futures import ThreadPoolExecutor

import pytest
from redis import Redis
from somabrain.database import open_engine
from somabrain.deleting import delete_tenant
from somabrain.settings import Settings, load

from tests.service.live.brain import LONG_AGO, Brain, refusal
from tests.service.programs import run

TABLES = (
    *("memories", "links", "feedback_events", "token_usage"),
    *("adaptation_state", "adaptation_snapshots", "neuromodulators"),
)


def ids(brain: Brain) -> dict[str, str]:
    """The ids of the tenant's memories, by their tasks."""
    found = brain.evaluate("memory", session="ids", top_k=20)["memories"]
    return {memory["metadata"]["task"]: memory["id"] for memory in found}


def settled(brain: Brain) -> None:
    """Something in every table and key."""
    for n in range(3):
        brain.remember(f"memory {n}", timestamp=LONG_AGO + n)
    brain.link("memory 0", "memory 1")
    brain.feedback(metadata={"tokens": 3})
    brain.modulate(dopamine=0.8)
    brain.evaluate("memory", session="s:1")


def rows(brain: Brain) -> list[int]:
    def count(table: str) -> int:
        return int(brain.service.rows(f"SELECT count(*) FROM {table} WHERE tenant_id = %s", brain.tenant)[0][0])  # noqa: S608

    return [count(table) for table in TABLES]


def test_a_deleted_memory_is_found_by_nobody(brain: Brain, other: Brain) -> None:
    for n in range(3):
        brain.remember(f"memory {n}", timestamp=LONG_AGO + n)
    known = ids(brain)
    assert other.delete(f"/memories/{known['memory 2']}").status_code == 404
    for gone, left in (("memory 1", ["memory 2", "memory 0"]), ("memory 2", ["memory 0"])):
        assert brain.delete(f"/memories/{known[gone]}").json() == {"ok": True}
        assert brain.tasks(None) == left
        assert gone not in brain.tasks(gone)
        assert set(ids(brain)) == set(left)
        assert brain.items() == len(left)
    assert refusal(brain.delete(f"/memories/{known['memory 2']}")) == (404, "no such memory")
    brain.remember("memory 3", timestamp=LONG_AGO + 3)
    assert brain.tasks(None) == ["memory 3", "memory 0"]
    assert brain.items() == 2
    assert brain.service.rows("SELECT seq FROM memories WHERE tenant_id = %s ORDER BY seq", brain.tenant) == [
        (1,),
        (4,),
    ]


@pytest.mark.parametrize("memory_id", ["none", "%00", "a" * 65])
def test_an_id_that_is_none_deletes_nothing(brain: Brain, memory_id: str) -> None:
    brain.remember("stays")
    assert brain.delete(f"/memories/{memory_id}").status_code in (404, 422)
    assert brain.items() == 1


def test_a_deleted_tenant_leaves_nothing_and_starts_anew(brain: Brain, other: Brain) -> None:
    settled(brain)
    settled(other)
    kept = rows(other)
    assert 0 not in rows(brain)
    assert brain.delete("/tenant").json() == {"ok": True, "tenant_id": brain.tenant, "memories": 3}
    assert rows(brain) == [0] * len(TABLES)
    assert list(brain.service.redis.scan_iter(f"*{brain.tenant}*", count=1000)) in (
        [],
        [f"somabrain:work-rate:{brain.tenant}"],
    )
    assert (brain.items(), brain.tasks(None), brain.state()["history_len"]) == (0, [], 0)
    assert (rows(other), other.items(), len(other.tasks(None))) == (kept, 3, 3)
    assert brain.delete("/tenant").json()["memories"] == 0
    brain.remember("a new life")
    assert (brain.items(), brain.tasks(None)) == (1, ["a new life"])
    assert brain.service.rows("SELECT seq FROM memories WHERE tenant_id = %s", brain.tenant) == [(4,)]


def test_a_tenant_is_deleted_by_its_name_alone(brain: Brain) -> None:
    api, named = brain.service.api, {"tenant_id": brain.tenant}
    assert refusal(api.delete("/tenant"))[0] == 400
    settled(brain)
    assert api.delete("/tenant", params=named).json()["memories"] == 3
    assert rows(brain) == [0] * len(TABLES)


def test_the_writes_of_the_day_are_not_forgotten(brain: Brain) -> None:
    brain.remember("a")
    brain.service.sql.execute("UPDATE tenants SET writes = 10000 WHERE tenant_id = %s", (brain.tenant,))
    brain.delete("/tenant")
    assert refusal(brain.post("/remember", {"task": "b"})) == (429, "daily write quota exceeded")


def test_many_pages_are_deleted_to_the_last_row(brain: Brain, other: Brain) -> None:
    settings: Settings = load(os.environ)
    engine, redis = open_engine(settings, 1), Redis.from_url(settings.redis_url, decode_responses=True)
    try:
        for mine, page in ((brain, 1), (other, 2)):
            settled(mine)
            assert delete_tenant(engine, redis, mine.tenant, page) == 3
            assert rows(mine) == [0] * len(TABLES)
    finally:
        engine.dispose()
        redis.close()


def test_whoever_asks_while_memories_are_deleted_is_answered(brain: Brain) -> None:
    for n in range(20):
        brain.remember(f"memory {n}", timestamp=LONG_AGO + n)
    known = list(ids(brain).values())
    with ThreadPoolExecutor(6) as pool:
        asked = [pool.submit(brain.post, "/recall", {"query": "memory", "top_k": 100}) for _ in range(40)]
        deleted = list(pool.map(lambda one: brain.delete(f"/memories/{one}").status_code, known))
    assert deleted == [200] * 20
    assert {one.result().status_code for one in asked} == {200}
    assert (brain.items(), brain.tasks("memory", top_k=100)) == (0, [])


def test_what_is_older_than_it_is_kept_goes_and_what_was_learned_stays(brain: Brain, other: Brain) -> None:
    for one in (brain, other):
        settled(one)
    weights, sql = brain.state(), brain.service.sql
    for table in ("feedback_events", "token_usage"):
        aged = f"UPDATE {table} SET created_at = now() - interval '400 days' WHERE tenant_id = %s"  # noqa: S608
        sql.execute(aged, (brain.tenant,))
    sql.execute(
        "UPDATE memories SET created_at = now() - interval '400 days' WHERE tenant_id = %s AND seq = 1", (brain.tenant,)
    )
    dsn, before = {"SOMABRAIN_POSTGRES_DSN": os.environ["SOMABRAIN_POSTGRES_DSN"]}, rows(other)
    assert run("retention", "--days", "365", **dsn).returncode == 0
    assert rows(brain)[:4] == [3, 1, 0, 0]
    done = run("retention", "--days", "365", "--memories", **dsn)
    assert (done.returncode, "memories: 1 deleted" in done.stdout) == (0, True)
    assert (brain.items(), brain.tasks(None)) == (2, ["memory 2", "memory 1"])
    assert brain.state() == weights
    assert rows(other) == before
    assert run("retention", "--days", "0", **dsn).returncode == 2
