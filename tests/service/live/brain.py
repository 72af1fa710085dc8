"""The service as a tenant sees it."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import httpx
import psycopg
from redis import Redis

Json = dict[str, Any]
Place = TypeVar("Place")
Value = TypeVar("Value")
LONG_AGO = 1_000_000_000.0
JSON = {"Content-Type": "application/json"}
SETTLED_S = 30.0


@dataclass(frozen=True)
class Service:
    api: httpx.Client
    redis: Redis
    sql: psycopg.Connection[tuple[Any, ...]]

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        return self.sql.execute(query, values).fetchall()

    @property
    def asks_opa(self) -> bool:
        return self.api.get("/health").json()["components"]["opa"] is not None


@dataclass(frozen=True)
class Brain:
    service: Service
    tenant: str

    def post(self, path: str, body: Any = None, **headers: str) -> httpx.Response:
        """Send JSON, or the bytes as they are; header names are written with underscores."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        content = {"content": body} if isinstance(body, bytes) else {"json": body}
        return self.service.api.post(path, headers={"X-Tenant-ID": self.tenant, **JSON, **named}, **cast(Any, content))

    def get(self, path: str, **headers: str) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.service.api.get(path, headers={"X-Tenant-ID": self.tenant, **named})

    def delete(self, path: str) -> httpx.Response:
        return self.service.api.delete(path, headers={"X-Tenant-ID": self.tenant})

    def fine(self, path: str, body: Any = None, **headers: str) -> Json:
        answer = self.post(path, body, **headers)
        assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text[:500]}"
        return cast(Json, answer.json())

    def remember(self, task: str, **fields: object) -> Json:
        return self.fine("/remember", {"payload": {"task": task, **fields}})

    def recall(self, query: str | None, **fields: object) -> Json:
        return self.fine("/recall", {"query": query, **fields})

    def tasks(self, query: str | None, **fields: object) -> list[str]:
        return [payload["task"] for payload in self.recall(query, **fields)["memory"]]

    def evaluate(self, query: str, session: str = "s", **fields: object) -> Json:
        return self.fine("/context/evaluate", {"session_id": session, "query": query, **fields})

    def told(self, **fields: object) -> Json:
        """A feedback, with these fields instead."""
        told = {"session_id": "s", "query": "q", "prompt": "p", "response_text": "r", "utility": 0.5}
        return told | fields

    def feedback(self, **fields: object) -> None:
        assert self.fine("/context/feedback", self.told(**fields)) == {"accepted": True, "adaptation_applied": True}

    def modulate(self, **levels: object) -> Json:
        """Set neuromodulators and return all four."""
        return self.fine("/neuromodulators", levels)

    def act(self, task: str, **fields: object) -> Json:
        """What a task comes to: its one step."""
        answer = self.fine("/act", {"task": task, **fields})
        (step,) = answer["results"]
        return cast(Json, step)

    def link(self, begin: str, end: str, **fields: object) -> None:
        assert self.fine("/link", {"from_key": begin, "to_key": end, **fields}) == {"ok": True}

    def plan(self, key: str, **fields: object) -> list[str]:
        return cast(list[str], self.fine("/plan/suggest", {"task_key": key, **fields})["plan"])

    def state(self) -> Json:
        answer = self.get("/context/adaptation/state")
        assert answer.status_code == 200, answer.text
        return cast(Json, answer.json())

    def items(self) -> int:
        return int(self.get("/health").json()["items"])


def across(places: Iterable[Place], typical: Value, *others: Value) -> list[tuple[Place, Value]]:
    """Return the typical value at every place, and the others at the first.

    So each place is seen to have the rule. What the rule makes of every value is proven without a stack: tests/service.
    """
    first, *rest = places
    return [(place, typical) for place in (first, *rest)] + [(first, value) for value in others]


def asked(client: httpx.Client, method: str, path: str, **given: Any) -> httpx.Response:
    """What a route answers, asked again while it says 503: a store that is slow for a moment, on a busy machine."""
    end = time.monotonic() + SETTLED_S
    while (answer := client.request(method, path, **given)).status_code == 503 and time.monotonic() < end:
        time.sleep(0.2)
    return answer


def refusal(answer: httpx.Response) -> tuple[int, str]:
    """The status and the sentence of an answer that is one."""
    body = answer.json()
    assert set(body) == {"detail"}, answer.text
    assert isinstance(body["detail"], str), answer.text
    return answer.status_code, body["detail"]


def invalid(answer: httpx.Response) -> bool:
    """Whether an answer is a validation error: 422, with where and what."""
    return answer.status_code == 422 and bool(answer.json()["detail"]) and "loc" in answer.json()["detail"][0]
