"""How fast the running service is: evaluate, remember and recall with 10,000 memories, and recall up to 100,000.

Usage: eval "$(devenv env)" && python scripts/bench_service.py [-o json]

The tenants are fresh ones, filled straight into Postgres by the service's own code; the times are those of one client
over HTTP, within the rate limit. "to linear" compares a recall with the one among fewer memories: 1 is linear growth.
It exits with 1 where a bar is missed.
"""

import argparse
import json
import os
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median, quantiles
from typing import Any
from uuid import uuid4

import httpx
import psycopg
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1] / "k8s/images/somabrain"))
from somabrain.memories import row
from somabrain.memory import memory_from

SIZES = (1_000, 10_000, 100_000)
MEASURED_AT = 10_000
BARS_MS = {"evaluate": 25.0, "remember": 20.0}
WORDS = [f"{start}{middle}{end}" for start in "bdfgklmnprst" for middle in ("a", "ei", "o", "u") for end in "lmnrst"]
PAUSE_S = 0.022  # just under 50 requests a second
WARM_UP = 5


def sentence(chance: random.Random, words: int) -> str:
    return " ".join(chance.choices(WORDS, k=words))


def fill(sql: psycopg.Connection[Any], tenant: str, count: int) -> None:
    """Give a new tenant so many memories."""
    chance, now = random.Random(count), time.time()  # noqa: S311  the same words each time
    sql.execute("INSERT INTO tenants (tenant_id, memories) VALUES (%s, %s)", (tenant, count))
    columns = tuple(row(tenant, 0, memory_from({"task": "a"}, "id", now)))
    with sql.cursor() as cursor, cursor.copy(f"COPY memories ({', '.join(columns)}) FROM STDIN") as copy:
        for seq in range(1, count + 1):
            body = {"task": sentence(chance, 4), "content": sentence(chance, 12), "timestamp": now - count + seq}
            copy.write_row(tuple(row(tenant, seq, memory_from(body, uuid4().hex, now)).values()))
    sql.execute("ANALYZE memories, tenants")  # as autovacuum does in time; so many rows at once it has not seen yet
    sql.commit()


def timed(ask: Callable[[], httpx.Response]) -> float:
    """The milliseconds of one request, which must be answered."""
    begun = time.perf_counter()
    answer = ask()
    took = time.perf_counter() - begun
    answer.raise_for_status()
    time.sleep(max(0.0, PAUSE_S - took))
    return took * 1000


def measured(ask: Callable[[], httpx.Response], samples: int) -> dict[str, float]:
    for _ in range(WARM_UP):
        timed(ask)
    times = [timed(ask) for _ in range(samples)]
    return {"p50_ms": round(median(times), 2), "p95_ms": round(quantiles(times, n=20)[-1], 2)}


def requests(api: httpx.Client, tenant: str) -> dict[str, Callable[[], httpx.Response]]:
    chance = random.Random(tenant)  # noqa: S311
    headers = {"X-Tenant-ID": tenant, "X-Model-Confidence": "1"}

    def post(path: str, body: dict[str, Any]) -> httpx.Response:
        return api.post(path, json=body, headers=headers)

    return {
        "evaluate": lambda: post("/context/evaluate", {"session_id": "bench", "query": sentence(chance, 5)}),
        "remember": lambda: post("/remember", {"task": sentence(chance, 4), "content": sentence(chance, 12)}),
        "recall": lambda: post("/recall", {"query": sentence(chance, 5)}),
    }


def bench(api: httpx.Client, sql: psycopg.Connection[Any], samples: int) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    before: tuple[int, float] | None = None
    for size in SIZES:
        tenant = f"bench-{uuid4().hex}"
        fill(sql, tenant, size)
        asks = requests(api, tenant)
        for name in asks if size == MEASURED_AT else ("recall",):
            found: dict[str, Any] = {"request": name, "memories": size, **measured(asks[name], samples)}
            if name == "recall":
                smaller, took = before or (size, found["p50_ms"])
                found["to_linear"] = round((found["p50_ms"] / took) / (size / smaller), 3)
                found["fine"] = found["to_linear"] <= 1.0
                before = size, found["p50_ms"]
            else:
                found["bar_ms"] = BARS_MS[name]
                found["fine"] = found["p95_ms"] <= BARS_MS[name]
            rows.append(found)
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", choices=("table", "json"), default="table")
    parser.add_argument("--samples", type=int, default=200, help="requests per row (200)")
    chosen = parser.parse_args()
    try:
        url, dsn = os.environ["SOMA_API_URL"], os.environ["SOMABRAIN_POSTGRES_DSN"]
    except KeyError as error:
        print(f'{error.args[0]} is not set: eval "$(devenv env)" first', file=sys.stderr)
        return 2
    token = os.environ.get("SOMABRAIN_API_TOKEN", "")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    with httpx.Client(base_url=url, headers=headers, timeout=30, trust_env=False) as api, psycopg.connect(dsn) as sql:
        rows = bench(api, sql, chosen.samples)
    if chosen.output == "json":
        print(json.dumps(rows, indent=1))
    else:
        table = Table("request", "memories", "p50 ms", "p95 ms", "bar ms", "to linear", "fine")
        for found in rows:
            keys = ("request", "memories", "p50_ms", "p95_ms", "bar_ms", "to_linear", "fine")
            table.add_row(*(str(found.get(key, "")) for key in keys))
        Console().print(table)
    return 0 if all(found["fine"] for found in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
