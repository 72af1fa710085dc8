"""The OpenAPI document keeps its word: schemathesis asks by it, and only what it promises comes back."""

from copy import deepcopy
from typing import Any
from uuid import uuid4

import pytest
import schemathesis
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from somabrain.app import make_app
from somabrain.openapi.page import examples
from somabrain.settings import Settings

from tests.service.live.brain import Brain

EXAMPLES = 25
DOCUMENT: dict[str, Any] = make_app(Settings(postgres_dsn="", redis_url="")).openapi()
OPERATIONS = [(method.upper(), path) for path, methods in DOCUMENT["paths"].items() for method in methods]
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
AWAY = 503  # of /health: its document is the same, and while all is well it does not occur
every_operation = pytest.mark.parametrize("operation", OPERATIONS, ids=" ".join)
COUNTED = ("memories", "links", "feedback_events", "token_usage", "adaptation_snapshots")
HELD = ("tenants", "neuromodulators", "adaptation_state")


def kept(brain: Brain) -> tuple[Any, ...]:
    """How much is stored of the tenant, and where its counts, levels and weights stand."""
    wanted = {**dict.fromkeys(COUNTED, "count(*)"), **dict.fromkeys(HELD, "*")}
    return tuple(
        brain.service.rows(f"SELECT {columns} FROM {table} WHERE tenant_id = %s", brain.tenant)  # noqa: S608
        for table, columns in wanted.items()
    )


def test_the_service_serves_its_own_document(brain: Brain) -> None:
    assert brain.get("/openapi.json").json() == DOCUMENT


@every_operation
def test_an_operation_is_described(operation: tuple[str, str]) -> None:
    method, path = operation
    told = DOCUMENT["paths"][path][method.lower()]
    assert told["summary"]
    assert told["description"]
    assert "200" in told["responses"]
    if path not in ("/health", "/readyz", "/healthz", "/metrics"):
        assert {"400", "401", "403", "413"} <= set(told["responses"])
        assert {p["name"] for p in told["parameters"]} >= {"X-Tenant-ID"}
    if method == "POST":
        assert "422" in told["responses"]
        content = told["requestBody"]["content"]["application/json"]
        assert "example" in content or "examples" in content


def test_the_page_shows_every_route_and_asks_nobody_else(brain: Brain) -> None:
    page = brain.get("/docs").text
    assert all(f"{method} {path}" in page for method, path in OPERATIONS)
    assert "http://" not in page
    assert "https://" not in page
    assert "<script" not in page


@pytest.mark.parametrize("path", [path for method, path in OPERATIONS if method == "POST"])
def test_every_example_is_served_and_answered_in_the_shape_it_shows(brain: Brain, path: str) -> None:
    told = DOCUMENT["paths"][path]["post"]
    answer = told["responses"]["200"]["content"]["application/json"]
    shown = [set(example) for example in examples(answer, DOCUMENT)]
    given = examples(told["requestBody"]["content"]["application/json"], DOCUMENT)
    assert shown
    assert given
    for body in given:
        assert set(brain.fine(path, body)) in shown


@every_operation
@pytest.mark.parametrize("mode", GenerationMode)
def test_every_answer_is_a_documented_one(brain: Brain, operation: tuple[str, str], mode: GenerationMode) -> None:
    method, path = operation
    chosen = schemathesis.openapi.from_dict(deepcopy(DOCUMENT))[path][method]
    if mode is GenerationMode.NEGATIVE and not (chosen.body or chosen.headers or chosen.query):
        mode = GenerationMode.POSITIVE  # nothing to get wrong

    @hypothesis(
        max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(chosen.as_strategy(generation_mode=mode))
    def ask(case: Case[Any]) -> None:
        mine = Brain(brain.service, f"live-{uuid4().hex}")
        headers = {"X-Tenant-ID": mine.tenant}
        if token := brain.service.api.headers.get("authorization"):
            headers["Authorization"] = token
        if isinstance(case.body, dict):
            case.body["tenant_id"] = mine.tenant
        (case.query or {}).pop("tenant_id", None)
        if case.headers:
            case.headers.pop("X-Deadline-MS", None)  # one that is too short is refused, and rightly
        before = kept(mine)
        answer = case.call_and_validate(base_url=str(brain.service.api.base_url), headers=headers, checks=CHECKS)
        assert answer.status_code != AWAY
        if answer.status_code >= 400:
            assert kept(mine) == before

    ask()
