"""The mathematics of learning: weights, their bounds, one step, and the temperature (contract 6.2, 6.3, 6.5)."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from types import MappingProxyType

BASE_RATE = 0.05
TAU_LOW, TAU_HIGH = 0.4, 1.2
RETRIEVAL = ("alpha", "beta", "gamma", "tau")
UTILITY = ("lambda_", "mu", "nu")


@dataclass(frozen=True)
class Weights:
    """The seven weights of a tenant."""

    alpha: float = 1.0
    beta: float = 0.2
    gamma: float = 0.1
    tau: float = 0.7
    lambda_: float = 1.0
    mu: float = 0.1
    nu: float = 0.05

    def retrieval(self) -> dict[str, float]:
        return {name: getattr(self, name) for name in RETRIEVAL}

    def utility(self) -> dict[str, float]:
        return {name: getattr(self, name) for name in UTILITY}

    def as_dict(self) -> dict[str, float]:
        return asdict(self)


@dataclass(frozen=True)
class Rule:
    """How one weight learns: it moves by gain times signal times rate and stays within its bounds."""

    gain: float
    low: float
    high: float


Rules = Mapping[str, Rule]

DEFAULT_RULES: Rules = MappingProxyType(
    {
        "alpha": Rule(1.0, 0.1, 5.0),
        "gamma": Rule(-0.5, 0.0, 1.0),
        "lambda_": Rule(1.0, 0.1, 5.0),
        "mu": Rule(-0.25, 0.01, 5.0),
        "nu": Rule(-0.25, 0.01, 5.0),
    }
)


def clip(x: float, low: float, high: float) -> float:
    return min(max(x, low), high)


def within(weights: Weights, rules: Rules) -> Weights:
    """The weights, each moved to its nearest bound where it lies outside."""
    held = {name: clip(getattr(weights, name), rule.low, rule.high) for name, rule in rules.items()}
    return replace(weights, **held, tau=clip(weights.tau, TAU_LOW, TAU_HIGH))


def rate(base: float, dopamine: float) -> float:
    """The learning rate of a step: dopamine raises it, within half and one and a fifth of the base."""
    return base * clip(0.5 + dopamine, 0.5, 1.2)


def step(weights: Weights, rules: Rules, eta: float, signal: float) -> Weights:
    """One learning step. A weight never moves against the sign of its gain times the signal, bounds apart."""
    return replace(
        weights,
        **{
            name: clip(getattr(weights, name) + eta * rule.gain * signal, rule.low, rule.high)
            for name, rule in rules.items()
        },
    )


def tempered(tau: float, distinct: int, n: int) -> float:
    """The temperature after an answer of n >= 1 memories with so many distinct texts: repetition warms it."""
    return min(tau + 0.1, TAU_HIGH) if 1 - distinct / n > 0.5 else max(tau - 0.05, TAU_LOW)
