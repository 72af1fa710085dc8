"""What a recall costs among many memories: `--tenants 1 --memories 1000000 --cache-mib 1100`.

Usage: SOMABRAIN_POSTGRES_DSN=postgresql://… python scripts/bench_vectors.py [options]; the database is at head.

The service's own code asks Postgres in this process, without HTTP: tenant after tenant, in turn. The first round is
told apart, because it reads what is held from then on. Vectors are sums of sixteen words' vectors; the tenants are
removed in the end.
"""

import argparse
import os
import random
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from statistics import median, quantiles
from uuid import uuid4

import numpy as np
import psycopg
from prometheus_client import REGISTRY
from sqlalchemy import Engine

sys.path.insert(0, str(Path(__file__).parents[1] / "k8s/images/somabrain"))
from somabrain import settings
from somabrain.database import open_engine
from somabrain.embedding import DIM, embed
from somabrain.memories import Memories, row
from somabrain.memory import memory_from
from somabrain.vectors import VectorCache

WORDS = [f"{start}{middle}{end}" for start in "bdfgklmnprst" for middle in ("a", "ei", "o", "u") for end in "lmnrst"]
WORDS_OF_A_MEMORY = 16
PAGE = 4096
LIMIT_S = 600.0  # of a statement: a page of a table that was just written can take its time


def vectors(chance: np.random.Generator, count: int) -> Iterator[bytes]:
    """Unit vectors, as the embedding of so many words is about."""
    words = np.array([embed(word) for word in WORDS])
    for start in range(0, count, PAGE):
        picked = chance.integers(0, len(words), (min(PAGE, count - start), WORDS_OF_A_MEMORY))
        sums = np.zeros((len(picked), DIM))
        for place in range(WORDS_OF_A_MEMORY):
            sums += words[picked[:, place]]
        yield from (vector.tobytes() for vector in (sums / np.linalg.norm(sums, axis=1, keepdims=True)).astype("<f4"))


def fill(sql: psycopg.Connection, tenant: str, count: int) -> None:
    now = time.time()
    sql.execute("INSERT INTO tenants (tenant_id, memories) VALUES (%s, %s)", (tenant, count))
    same = row(tenant, 0, memory_from({"task": "a memory", "content": "of twelve words " * 4}, "id", now))
    with sql.cursor() as cursor, cursor.copy(f"COPY memories ({', '.join(same)}) FROM STDIN") as copy:
        for seq, vector in enumerate(vectors(np.random.default_rng(count), count), 1):
            digest = sha256(seq.to_bytes(8, "big")).digest()
            own = {"seq": seq, "id": uuid4().hex, "at": now - count + seq, "task_digest": digest, "vector": vector}
            copy.write_row(tuple({**same, **own, "place_digest": digest}.values()))
    sql.commit()


@contextmanager
def filled(dsn: str, tenants: int, count: int) -> Iterator[list[str]]:
    names = [f"bench-{uuid4().hex}" for _ in range(tenants)]
    with psycopg.connect(dsn) as sql:
        try:
            for name in names:
                fill(sql, name, count)
            sql.execute("ANALYZE memories, tenants")
            sql.commit()
            yield names
        finally:
            sql.rollback()
            for table in ("memories", "tenants"):
                sql.execute(f"DELETE FROM {table} WHERE tenant_id = ANY(%s)", (names,))  # noqa: S608  our own names
            sql.commit()


def rows_read() -> float:
    return REGISTRY.get_sample_value("somabrain_vectors_read_total") or 0.0


def measure(engine: Engine, memories: Memories, names: list[str], rounds: int) -> str:
    """The costs of a recall, as a line."""
    chance, times = random.Random(1), []  # noqa: S311  the same words each time
    read, cpu = rows_read(), time.process_time()
    for name in names * rounds:
        query = " ".join(chance.choices(WORDS, k=5))
        begun = time.perf_counter()
        with engine.begin() as connection:
            memories.recall(connection, name, query, embed(query), 3, "real")
        times.append((time.perf_counter() - begun) * 1000)
    cpu, read = time.process_time() - cpu, rows_read() - read
    p95 = quantiles(times, n=20)[-1] if len(times) > 1 else times[0]
    return (
        f"p50 {median(times):.1f} ms, p95 {p95:.1f} ms; each {cpu * 1000 / len(times):.1f} ms of this process's CPU, "
        f"{read / len(times):,.0f} rows read"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tenants", type=int, default=1)
    parser.add_argument("--memories", type=int, default=100_000, help="of each tenant (100000)")
    parser.add_argument("--cache-mib", type=int, default=settings.Settings.vector_cache_bytes >> 20)
    parser.add_argument("--rounds", type=int, default=20)
    chosen = parser.parse_args()
    loaded = settings.load({"SOMABRAIN_REDIS_URL": "redis://unused", **os.environ})
    engine = open_engine(loaded, connections=1, limit_s=LIMIT_S)
    with filled(loaded.postgres_dsn, chosen.tenants, chosen.memories) as names:
        memories = Memories(VectorCache(chosen.cache_mib << 20))
        print("first round:", measure(engine, memories, names, 1))
        print("then:       ", measure(engine, memories, names, chosen.rounds))
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    print(f"resident at most {most} MiB, load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
