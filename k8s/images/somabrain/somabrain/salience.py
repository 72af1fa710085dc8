"""How much a task stands out, and whether it is worth remembering (contract 6.6)."""

from collections.abc import Sequence

import numpy as np

from somabrain.learning import clip
from somabrain.neuromodulators import Levels
from somabrain.retrieval import Numbers, cosine

NOVELTY_SHARE = 0.6
DOPAMINE_LOW, DOPAMINE_HIGH = 0.2, 0.8
THRESHOLD = 0.5


def novelty(task: Numbers, nearest: Numbers | None) -> float:
    """1 for what is like nothing that is remembered, 0 for what is remembered as it stands."""
    return 1.0 if nearest is None else 1.0 - max(0.0, cosine(task, nearest))


def pred_error(task: Numbers, recalled: Sequence[Numbers]) -> float:
    """How far the task lies from the mean of what was recalled for it: 0 along it, 1 against it or without any."""
    if not recalled:
        return 1.0
    return (1.0 - cosine(task, np.mean([vector.astype(np.float64) for vector in recalled], axis=0))) / 2.0


def salience(new: float, error: float, levels: Levels) -> float:
    """Dopamine weighs the error, acetylcholine raises the whole."""
    weight = clip(levels.dopamine, DOPAMINE_LOW, DOPAMINE_HIGH)
    return clip(NOVELTY_SHARE * new + weight * error + levels.acetylcholine, 0.0, 1.0)


def worth_storing(found: float, levels: Levels) -> bool:
    """Noradrenaline raises the bar."""
    return found >= THRESHOLD + levels.noradrenaline
