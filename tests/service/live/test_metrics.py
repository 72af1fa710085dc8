"""What is counted, under exactly the promised names and labels (contract 8)."""

import os

import httpx
import pytest
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families
from somabrain import adaptation, settings
from somabrain.database import open_engine

from tests.service.live.brain import Brain, Service

GAUGES = {
    "retrieval": {name: f"somabrain_learning_retrieval_{name}" for name in ("alpha", "beta", "gamma", "tau")},
    "utility": {name: f"somabrain_learning_utility_{name.rstrip('_')}" for name in ("lambda_", "mu", "nu")},
}
TENANT = {"tenant_id"}
PROMISED = {
    "somabrain_http_requests_total": {"method", "path", "status"},
    "somabrain_http_latency_seconds_count": {"method", "path"},
    "somabrain_http_latency_seconds_bucket": {"method", "path", "le"},
    "somabrain_opa_allow_total": set(),
    "somabrain_opa_deny_total": set(),
    "somabrain_utility_value": set(),
    "somabrain_utility_negative_total": set(),
    "somabrain_vectors_read_total": set(),
    "somabrain_rate_limited_total": {"path"},
    "somabrain_quota_denied_total": {"reason"},
    **{name: TENANT for names in GAUGES.values() for name in names.values()},
    "somabrain_learning_effective_lr": TENANT,
    "somabrain_learning_feedback_applied_total": TENANT,
    "somabrain_learning_feedback_rejected_total": TENANT | {"reason"},
    "somabrain_learning_feedback_latency_seconds_count": TENANT,
}
TASKS = ("/neuromodulators", "/act", "/link", "/plan/suggest")
TASK_ROUTES = [("GET", "/neuromodulators"), *(("POST", path) for path in TASKS)]
Samples = dict[str, list[tuple[dict[str, str], float]]]


def scraped(service: Service) -> Samples:
    answer = httpx.get(f"{service.api.base_url}/metrics", timeout=30, trust_env=False)  # no token, no confidence
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    samples: Samples = {}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            samples.setdefault(sample.name, []).append((sample.labels, sample.value))
    return samples


def value(samples: Samples, name: str, **labels: str) -> float:
    """The sum of the series that have these labels; 0 without any."""
    return sum(v for have, v in samples.get(name, []) if labels.items() <= have.items())


def rolled_back(brain: Brain, times: int = 1) -> list[bool]:
    chosen = settings.load(os.environ)
    engine = open_engine(chosen, 1)
    try:
        return [adaptation.rollback(engine, brain.service.redis, brain.tenant, chosen.rules) for _ in range(times)]
    finally:
        engine.dispose()


def refuse_once(brain: Brain) -> None:
    """Go over the rate and over the quota, and give a feedback that is refused."""
    redis, key = brain.service.redis, f"somabrain:rate:{brain.tenant}"
    brain.remember("one")
    redis.set(key, redis.time()[0] + 60, px=60_000)
    assert brain.post("/recall", {"query": "one"}).status_code == 429
    redis.delete(key)
    brain.service.sql.execute("UPDATE tenants SET writes = 10000 WHERE tenant_id = %s", (brain.tenant,))
    assert brain.post("/remember", {"task": "one more"}).status_code == 429
    assert brain.post("/context/feedback", brain.told(response_text="r" * 1025)).status_code == 400


def test_every_series_has_its_promised_name_and_labels(brain: Brain) -> None:
    brain.feedback()
    refuse_once(brain)
    samples = scraped(brain.service)
    have = {name: {frozenset(labels) for labels, _ in samples.get(name, [])} for name in PROMISED}
    assert have == {name: {frozenset(labels)} for name, labels in PROMISED.items()}


def test_gauges_equal_the_stored_weights(brain: Brain) -> None:
    for task in ("an anchor", "a balloon"):
        brain.remember(task)
    for utility in (0.9, -0.3):
        brain.feedback(utility=utility)
        brain.evaluate("anchor")
        state, samples = brain.state(), scraped(brain.service)
        for group, names in GAUGES.items():
            told = {short: value(samples, name, tenant_id=brain.tenant) for short, name in names.items()}
            assert told == state[group]
        lr = value(samples, "somabrain_learning_effective_lr", tenant_id=brain.tenant)
        assert lr == state["learning_rate"]
    brain.fine("/context/adaptation/reset", {})
    alpha = value(scraped(brain.service), "somabrain_learning_retrieval_alpha", tenant_id=brain.tenant)
    assert alpha == brain.state()["retrieval"]["alpha"] == 1.0


def test_the_gauge_of_the_rate_follows_the_dopamine_step_by_step_and_back(brain: Brain) -> None:
    def told() -> float:
        return value(scraped(brain.service), "somabrain_learning_effective_lr", tenant_id=brain.tenant)

    for dopamine, rate in ((0.8, 0.06), (0.1, 0.03)):
        brain.modulate(dopamine=dopamine)
        brain.feedback()
        assert told() == pytest.approx(rate, abs=1e-12)
    brain.modulate(dopamine=0.4)
    assert told() == pytest.approx(0.03, abs=1e-12)  # of the last step, not of the next one
    assert rolled_back(brain) == [True]
    assert told() == brain.state()["learning_rate"] == pytest.approx(0.06, abs=1e-12)


def test_feedbacks_are_counted_by_tenant_and_outcome(brain: Brain, other: Brain) -> None:
    other.feedback()
    for _ in range(3):
        brain.feedback()
    assert brain.post("/context/feedback", brain.told(query="q" * 4097)).status_code == 400
    assert brain.post("/context/feedback", brain.told(utility="much")).status_code == 422
    samples, learning = scraped(brain.service), "somabrain_learning_feedback"
    assert value(samples, f"{learning}_applied_total", tenant_id=brain.tenant) == 3
    assert value(samples, f"{learning}_latency_seconds_count", tenant_id=brain.tenant) == 3
    assert value(samples, f"{learning}_latency_seconds_sum", tenant_id=brain.tenant) > 0
    rejected = {
        reason: value(samples, f"{learning}_rejected_total", tenant_id=brain.tenant, reason=reason)
        for reason in ("invalid_input", "invalid_body")
    }
    assert rejected == {"invalid_input": 1, "invalid_body": 1}
    assert value(samples, f"{learning}_applied_total", tenant_id=other.tenant) == 1
    assert value(samples, f"{learning}_rejected_total", tenant_id=other.tenant) == 0


def test_requests_are_counted_by_template_and_unknown_ones_together(brain: Brain) -> None:
    before = scraped(brain.service)
    brain.remember("one")
    brain.recall("one")
    assert brain.get("/neuromodulators").status_code == 200
    brain.modulate()
    brain.act("one")
    brain.link("one", "two")
    brain.plan("one")
    for n in range(3):
        brain.get(f"/nothing/{n}")
    brain.service.api.request("PROPFIND", "/recall")
    brain.get("/recall")
    after = scraped(brain.service)
    assert "PROPFIND" not in {labels["method"] for labels, _ in after["somabrain_http_requests_total"]}
    assert not [labels for labels, _ in after["somabrain_http_requests_total"] if "nothing" in labels["path"]]

    def more(**labels: str) -> float:
        name = "somabrain_http_requests_total"
        return value(after, name, **labels) - value(before, name, **labels)

    assert more(method="POST", path="/remember", status="200") >= 1
    assert more(method="POST", path="/recall", status="200") >= 1
    assert more(method="GET", path="other", status="404") >= 3
    assert more(method="other", path="/recall") >= 1
    assert more(method="GET", path="/recall", status="405") >= 1
    for method, path in TASK_ROUTES:
        assert more(method=method, path=path, status="200") >= 1
    counts = value(after, "somabrain_http_latency_seconds_count", method="POST", path="/remember")
    assert counts == value(after, "somabrain_http_requests_total", method="POST", path="/remember")


def test_what_the_guard_saw_is_told(brain: Brain) -> None:
    name = "somabrain_utility_negative_total"
    before = value(scraped(brain.service), name)
    brain.post("/context/evaluate", {"session_id": "s", "query": "q"}, X_Model_Confidence="0.5")
    samples = scraped(brain.service)
    assert value(samples, name) >= before + 1
    assert value(samples, "somabrain_utility_value") == pytest.approx(-0.6931471805599453)
    brain.evaluate("q")
    assert value(scraped(brain.service), "somabrain_utility_value") == 0.0


def test_what_went_over_a_limit_is_counted(brain: Brain) -> None:
    limited, denied = "somabrain_rate_limited_total", "somabrain_quota_denied_total"
    before = scraped(brain.service)
    refuse_once(brain)
    after = scraped(brain.service)
    assert value(after, limited, path="/recall") >= value(before, limited, path="/recall") + 1
    assert value(after, denied, reason="daily_write") >= value(before, denied, reason="daily_write") + 1


def test_an_act_is_counted_when_the_quota_refuses_it_and_has_no_rate(brain: Brain) -> None:
    limited, denied = "somabrain_rate_limited_total", "somabrain_quota_denied_total"
    brain.act("a first task")
    before = scraped(brain.service)
    redis, key = brain.service.redis, f"somabrain:rate:{brain.tenant}"
    redis.set(key, redis.time()[0] + 60, px=60_000)
    brain.service.sql.execute("UPDATE tenants SET writes = 10000 WHERE tenant_id = %s", (brain.tenant,))
    assert brain.post("/act", {"task": "quite another matter"}).status_code == 429
    assert brain.act("a first task")["stored"] is False
    after = scraped(brain.service)
    assert value(after, denied, reason="daily_write") >= value(before, denied, reason="daily_write") + 1
    assert value(after, limited, path="/act") == value(before, limited, path="/act")
    refused = {"method": "POST", "path": "/act", "status": "429"}
    assert value(after, "somabrain_http_requests_total", **refused) >= 1


def test_the_policy_s_answers_are_counted_where_there_is_one(brain: Brain) -> None:
    allow, deny = "somabrain_opa_allow_total", "somabrain_opa_deny_total"
    before = scraped(brain.service)
    brain.recall("a")
    brain.service.api.put("/recall", json={"query": "a"}, headers={"X-Tenant-ID": brain.tenant})
    after = scraped(brain.service)
    moved = [value(after, name) - value(before, name) > 0 for name in (allow, deny)]
    assert moved == [brain.service.asks_opa] * 2


def test_a_rollback_is_counted_by_the_process_that_did_it(brain: Brain) -> None:
    brain.feedback()
    assert rolled_back(brain, 2) == [True, False]
    assert REGISTRY.get_sample_value("somabrain_learning_rollbacks_total", {"tenant_id": brain.tenant}) == 1
