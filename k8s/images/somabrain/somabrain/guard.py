"""Who may ask, and whether the asking model is sure enough (contract 1)."""

from collections.abc import Mapping
from hmac import compare_digest
from math import isfinite, log

from somabrain import metrics
from somabrain.errors import Refused

OPEN = frozenset({"/health", "/readyz", "/healthz", "/metrics"})  # whoever watches the service needs no permission
METRICS = "/metrics"
GUARDED = frozenset({"/context/evaluate", "/context/feedback"})
LEAST_CONFIDENCE = 1e-12


def confidence(header: str | None) -> float:
    """The confidence that a header tells; 0 when it is absent or not a finite number."""
    try:
        told = float(header or "0")
    except ValueError:
        return 0.0
    return told if isfinite(told) else 0.0


def utility(told: float) -> float:
    return log(max(LEAST_CONFIDENCE, told))


def check_utility(path: str, headers: Mapping[str, str]) -> None:
    if path not in GUARDED:
        return
    value = utility(confidence(headers.get("x-model-confidence")))
    metrics.utility_value.set(value)
    if value < 0:
        metrics.utility_negative.inc()
        raise Refused(403, "Rejected by utility guard")


def check_token(headers: Mapping[str, str], *wanted: str | None) -> None:
    """Let the bearer of one of the tokens pass. Where none is configured, nobody bears it."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token:
        raise Refused(401, "missing bearer token")
    if not any(compare_digest(token.encode(), one.encode()) for one in wanted if one is not None):
        raise Refused(403, "invalid token")
