"""The series the service counts (contract 8), and how many there can be: each label has few values.

With one worker the counts are this process's; with more, prometheus_client keeps them in files of a folder that the
workers share (__main__ names it), and each worker tells the sum of all.
"""

import os
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from time import perf_counter

from prometheus_client import Counter, Gauge, Histogram, disable_created_metrics

TENANTS = 200
MULTIPROCESS = "PROMETHEUS_MULTIPROC_DIR"
SECONDS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
disable_created_metrics()  # type: ignore[no-untyped-call]

http_requests = Counter("somabrain_http_requests", "Answered requests.", ["method", "path", "status"])
http_latency = Histogram("somabrain_http_latency_seconds", "Time to answer.", ["method", "path"], buckets=SECONDS)
opa_allow = Counter("somabrain_opa_allow", "Requests that the policy allowed.")
opa_deny = Counter("somabrain_opa_deny", "Requests refused by the policy, or for want of its answer.")
utility_value = Gauge("somabrain_utility_value", "The utility the guard saw last.", multiprocess_mode="mostrecent")
utility_negative = Counter("somabrain_utility_negative", "Requests that the utility guard refused.")
vectors_read = Counter("somabrain_vectors_read", "Vectors read from Postgres, because this process does not hold them.")
rate_limited = Counter("somabrain_rate_limited", "Requests over the rate of their tenant.", ["path"])
quota_denied = Counter("somabrain_quota_denied", "Writes over a quota of their tenant.", ["reason"])
feedback_applied = Counter("somabrain_learning_feedback_applied", "Feedbacks that moved the weights.", ["tenant_id"])
feedback_rejected = Counter(
    "somabrain_learning_feedback_rejected", "Feedbacks that moved nothing.", ["tenant_id", "reason"]
)
feedback_latency = Histogram(
    "somabrain_learning_feedback_latency_seconds",
    "Time until a feedback was committed.",
    ["tenant_id"],
    buckets=SECONDS,
)
rollbacks = Counter("somabrain_learning_rollbacks", "Steps that were taken back.", ["tenant_id"])


OF_A_TENANT = (feedback_applied, feedback_rejected, feedback_latency, rollbacks)


class Tenants:
    """The tenants that have series of their own: so many, those counted last.

    Files that workers share cannot let a series go. There the first so many have theirs, and the rest share the one
    without a tenant, so that sums stay true.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.shared = MULTIPROCESS in os.environ
        self.known: OrderedDict[str, None] = OrderedDict()
        self.lock = Lock()

    def label(self, tenant: str | None) -> str:
        """The value of the label `tenant_id`: empty, which no tenant is, where it has no series of its own."""
        if tenant is None:
            return ""
        with self.lock:
            if self.shared and tenant not in self.known and len(self.known) >= self.most:
                return ""
            self.known[tenant] = None
            self.known.move_to_end(tenant)
            if len(self.known) > self.most:
                oldest, _ = self.known.popitem(last=False)
                for series in OF_A_TENANT:
                    series.remove_by_labels({"tenant_id": oldest})
            return tenant


tenants = Tenants(TENANTS)

# Why a feedback was not applied, by the status of its answer.
REASONS = {
    400: "invalid_input",
    401: "unauthorized",
    403: "forbidden",
    413: "too_large",
    422: "invalid_body",
    429: "rate_limited",
    500: "not_persisted",
}


def reject_feedback(tenant: str | None, status: int) -> None:
    """Count a feedback that was refused; its tenant is None where the refusal came before it was read."""
    feedback_rejected.labels(tenants.label(tenant), REASONS.get(status, "other")).inc()


@contextmanager
def applying_feedback(tenant: str) -> Iterator[None]:
    """Count a feedback, and its time, once the block has ended well."""
    begun = perf_counter()
    yield
    feedback_latency.labels(tenants.label(tenant)).observe(perf_counter() - begun)
    feedback_applied.labels(tenants.label(tenant)).inc()
