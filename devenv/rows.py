"""What is told of the forwards, as lines of a table. Pure, but for the clock."""

from collections.abc import Iterable
from time import time
from typing import Any

FORWARD_COLUMNS = ("FORWARD", "ADDRESS", "STATE", "LEADS TO", "")


def forward_rows(seen: Iterable[dict[str, Any]]) -> list[list[str]]:
    return [
        [f["name"], f"127.0.0.1:{f['local_port']}", f["state"], f"service {f['service']} ({f['probe']})", f["reason"]]
        for f in seen
    ]


TRAFFIC_COLUMNS = ("FORWARD", "ADDRESS", "STATE", "FOR", "WAY", "PODS", "OPEN", "SERVED", "SENT", "RECEIVED", "WHY")


def traffic_rows(seen: Iterable[dict[str, Any]]) -> list[list[str]]:
    """Return a line for each forward with what went through it; without its process only the settings are left."""
    return [
        [
            f["name"],
            f"127.0.0.1:{f['local_port']}",
            f["state"],
            age(f.get("since")),
            f.get("way", "-"),
            ",".join(pod["name"] for pod in f["pods"] if pod["ready"]) or "-",
            *(str(f.get(key, "-")) for key in ("connections", "served")),
            *(size(f.get(key)) for key in ("sent", "received")),
            f["reason"] or (f"last error: {f['last_error']}" if f.get("last_error") else ""),
        ]
        for f in seen
    ]


def age(since: float | None) -> str:
    return "-" if since is None else f"{max(0, time() - since):.0f}s"


def size(count: int | None) -> str:
    """Return a number of bytes as a person reads it: 3.2 MB."""
    if count is None:
        return "-"
    power = min(4, max(0, (len(str(count)) - 1) // 3))
    return f"{count / 1000**power:.3g} {('B', 'kB', 'MB', 'GB', 'TB')[power]}"


def certificate_rows(seen: dict[str, Any]) -> list[list[str]]:
    """Return what is told of a certificate, a fact a line."""
    rows = [
        ["host", seen["host"]],
        ["secret", f"{seen['secret']}@{seen['namespace']}"],
        ["issuer", seen["issuer"] or "-"],
    ]
    if facts := seen["certificate"]:
        rows += [
            ["names", ", ".join(facts["hosts"])],
            ["signer", facts["signer"]],
            ["valid", f"{facts['not_before'][:10]} to {facts['not_after'][:10]}, {facts['days_left']} days left"],
            ["sha256", facts["sha256"]],
        ]
    served = f"by {seen['address']}" if seen["served"] else f"no: {seen['why']}"
    return [*rows, ["served", served]]
