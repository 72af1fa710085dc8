"""The mathematics of retrieval: scores, softmax and residual (contract 6.4)."""

from math import exp
from typing import Any

import numpy as np
from numpy.typing import NDArray

from somabrain.learning import Weights, clip

RECENCY_S = 60.0
Floats = NDArray[np.float64]
Numbers = NDArray[np.floating[Any]]


def cosine(a: Numbers, b: Numbers) -> float:
    """The cosine of two vectors within [-1, 1]; 0 where one of them has no direction."""
    x, y = a.astype(np.float64), b.astype(np.float64)
    length = float(np.linalg.norm(x)) * float(np.linalg.norm(y))
    return clip(float(x @ y) / length, -1.0, 1.0) if length > 0.0 else 0.0


def recency(timestamp: float | None, now: float) -> float:
    """1 for what happens now or later, falling by e each minute; 0 for what has no time."""
    return 0.0 if timestamp is None else exp(min(0.0, timestamp - now) / RECENCY_S)


def softmax(scores: Floats, tau: float) -> Floats:
    """Positive weights that sum to one. The maximum is subtracted, so that nothing overflows."""
    # exp underflows to zero below about -745: the floor keeps every weight positive.
    raised = np.exp(np.maximum((scores - scores.max()) / tau, -700.0))
    return np.asarray(raised / raised.sum(), dtype=np.float64)


def scores(weights: Weights, cosine: Floats, graph: Floats, recent: Floats) -> Floats:
    return weights.alpha * cosine + weights.beta * graph + weights.gamma * recent


def residual(weights: Floats, vectors: Floats) -> Floats:
    """The unit vector along the weighted mean of the memories; empty if there is no direction."""
    if not len(weights):
        return np.empty(0)
    mean = weights @ vectors
    length = float(np.linalg.norm(mean))
    return mean / length if length > 0.0 else np.empty(0)
