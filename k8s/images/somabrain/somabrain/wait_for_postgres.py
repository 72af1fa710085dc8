"""Wait until Postgres answers a query: python -m somabrain.wait_for_postgres [--timeout SECONDS]."""

import argparse
import os
import sys
import time

import psycopg

from somabrain.authority import advised

PAUSE_S = 0.2


def answers(dsn: str) -> str | None:
    """None once Postgres answered; otherwise what came back."""
    try:
        with psycopg.connect(dsn, connect_timeout=2) as connection:
            connection.execute("SELECT 1")
    except psycopg.Error as error:
        return advised(" ".join(str(error).split()) or type(error).__name__)
    return None


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m somabrain.wait_for_postgres", description=__doc__)
    parser.add_argument("--timeout", type=float, default=120.0, help="seconds to wait at most (120)")
    timeout_s = parser.parse_args().timeout
    dsn = os.environ.get("SOMABRAIN_POSTGRES_DSN", "")
    if not dsn:
        print("SOMABRAIN_POSTGRES_DSN is missing: wanted postgresql://…", file=sys.stderr)
        return 1
    end, said = time.monotonic() + timeout_s, ""
    while (why := answers(dsn)) is not None:
        if why != said:
            print(f"waiting for Postgres: {why}", flush=True)
            said = why
        if time.monotonic() + PAUSE_S >= end:
            print(f"Postgres did not answer within {timeout_s:g} s: {why}", file=sys.stderr)
            return 1
        time.sleep(PAUSE_S)
    print("Postgres answers")
    return 0


if __name__ == "__main__":
    sys.exit(main())
