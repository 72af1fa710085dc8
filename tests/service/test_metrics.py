"""Labels have few values, whatever is asked (contract 8)."""

import pytest
from fastapi import APIRouter
from prometheus_client import REGISTRY
from somabrain import metrics
from somabrain.counting import template
from somabrain.metrics import Tenants

router = APIRouter(prefix="/things")


@router.get("/{name}")
def thing(name: str) -> str:
    return name


@pytest.mark.parametrize(
    ("method", "path", "label"),
    [
        ("GET", "/things/one", "/things/{name}"),
        ("GET", "/things/two", "/things/{name}"),
        ("POST", "/things/one", "/things/{name}"),
        ("GET", "/things/one/more", "other"),
        ("GET", "/random-123", "other"),
        ("GET", "/things/{name}/x", "other"),
    ],
)
def test_a_path_is_its_route_s_template(method: str, path: str, label: str) -> None:
    scope = {"type": "http", "method": method, "path": path, "headers": [], "query_string": b"", "root_path": ""}
    assert template(scope, router.routes) == label


def applied(tenant: str) -> float | None:
    return REGISTRY.get_sample_value("somabrain_learning_feedback_applied_total", {"tenant_id": tenant})


def test_the_tenants_counted_last_have_series_and_the_others_are_let_go() -> None:
    tenants = Tenants(2)
    for name in ("one", "two", "one", "three"):
        metrics.feedback_applied.labels(tenants.label(name)).inc()
    assert [applied(name) for name in ("one", "two", "three")] == [2.0, None, 1.0]
    assert list(tenants.known) == ["one", "three"]


def test_where_workers_share_files_the_first_tenants_have_series(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(metrics.MULTIPROCESS, "/nowhere")
    tenants = Tenants(2)
    assert [tenants.label(name) for name in ("one", "two", "three", "one", "four")] == ["one", "two", "", "one", ""]


def test_a_refusal_before_the_tenant_was_known_has_none() -> None:
    labels = {"tenant_id": "", "reason": "forbidden"}
    name = "somabrain_learning_feedback_rejected_total"
    before = REGISTRY.get_sample_value(name, labels) or 0.0
    metrics.reject_feedback(None, 403)
    assert REGISTRY.get_sample_value(name, labels) == before + 1


def test_a_feedback_that_failed_is_not_counted_as_applied() -> None:
    with pytest.raises(RuntimeError), metrics.applying_feedback("failed"):
        raise RuntimeError
    assert applied("failed") is None
    with metrics.applying_feedback("went well"):
        pass
    assert applied("went well") == 1.0
