"""The mathematics of learning: one step, its bounds, its direction, the temperature (contract 6.2, 6.3, 6.5)."""

from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st
from somabrain.adaptation import overridden
from somabrain.learning import DEFAULT_RULES, Rule, Weights, rate, step, tempered, within

ETA = 0.045
UP, DOWN = ("alpha", "lambda_"), ("gamma", "mu", "nu")
signals = st.floats(-1e9, 1e9)
inside = st.builds(
    Weights,
    beta=st.just(0.2),
    tau=st.floats(0.4, 1.2),
    **{name: st.floats(rule.low, rule.high) for name, rule in DEFAULT_RULES.items()},
)


@pytest.mark.parametrize(("dopamine", "eta"), [(0.4, 0.045), (0.8, 0.06), (0.0, 0.025), (0.7, 0.06)])
def test_dopamine_sets_the_rate(dopamine: float, eta: float) -> None:
    assert rate(0.05, dopamine) == pytest.approx(eta, abs=1e-15)


@given(st.floats(-1e6, 1e6))
def test_the_rate_stays_between_a_half_and_six_fifths_of_its_base(dopamine: float) -> None:
    assert 0.025 <= rate(0.05, dopamine) <= 0.06


def test_the_promised_example() -> None:
    after = step(Weights(), DEFAULT_RULES, ETA, 0.9)
    wanted = Weights(alpha=1.0405, gamma=0.07975, lambda_=1.0405, mu=0.089875, nu=0.039875)
    assert asdict(after) == pytest.approx(asdict(wanted), abs=1e-12)


def test_after_99_steps_alpha_stands_at_its_bound_and_stays() -> None:
    weights = Weights()
    path = [weights.alpha]
    for _ in range(120):
        weights = step(weights, DEFAULT_RULES, ETA, 0.9)
        path.append(weights.alpha)
    assert path[98] < 5.0
    assert set(path[99:]) == {5.0}


@given(inside, signals)
def test_a_step_stays_within_the_bounds_and_leaves_beta_and_tau(weights: Weights, signal: float) -> None:
    after = step(weights, DEFAULT_RULES, ETA, signal)
    assert all(rule.low <= getattr(after, name) <= rule.high for name, rule in DEFAULT_RULES.items())
    assert (after.beta, after.tau) == (weights.beta, weights.tau)


@given(inside, st.floats(1e-3, 1e9))
def test_a_good_answer_raises_what_gains_and_never_what_costs(weights: Weights, signal: float) -> None:
    after = step(weights, DEFAULT_RULES, ETA, signal)
    for name in UP:
        assert getattr(after, name) > getattr(weights, name) or getattr(after, name) == DEFAULT_RULES[name].high
    assert all(getattr(after, name) <= getattr(weights, name) for name in DOWN)


@given(inside, st.floats(1e-3, 10))
def test_a_bad_answer_mirrors_a_good_one(weights: Weights, signal: float) -> None:
    free = {name: Rule(rule.gain, -1e9, 1e9) for name, rule in DEFAULT_RULES.items()}
    good, bad = step(weights, free, ETA, signal), step(weights, free, ETA, -signal)
    for name in (*UP, *DOWN):
        x = getattr(weights, name)
        assert getattr(good, name) - x == pytest.approx(x - getattr(bad, name), rel=1e-9, abs=1e-12)


@given(inside, signals, st.sampled_from([*UP, *DOWN]))
def test_a_gain_of_zero_stops_a_weight(weights: Weights, signal: float, name: str) -> None:
    rules = {**DEFAULT_RULES, name: Rule(0.0, DEFAULT_RULES[name].low, DEFAULT_RULES[name].high)}
    assert getattr(step(weights, rules, ETA, signal), name) == getattr(weights, name)


@given(st.floats(0.4, 1.2), st.integers(1, 20).flatmap(lambda n: st.tuples(st.integers(1, n), st.just(n))))
def test_repetition_warms_and_variety_cools_within_the_bounds(tau: float, seen: tuple[int, int]) -> None:
    distinct, n = seen
    after = tempered(tau, distinct, n)
    assert 0.4 <= after <= 1.2
    if 1 - distinct / n > 0.5:
        assert after == min(tau + 0.1, 1.2)
    else:
        assert after == max(tau - 0.05, 0.4)


@given(st.builds(Weights, *[st.floats(-1e6, 1e6)] * 7))
def test_a_start_outside_the_bounds_is_moved_to_the_nearest(weights: Weights) -> None:
    held = within(weights, DEFAULT_RULES)
    assert within(held, DEFAULT_RULES) == held
    assert 0.4 <= held.tau <= 1.2
    for name, rule in DEFAULT_RULES.items():
        x = getattr(weights, name)
        assert getattr(held, name) == (rule.low if x < rule.low else rule.high if x > rule.high else x)


def test_a_tenant_may_have_rules_of_its_own() -> None:
    own = overridden(DEFAULT_RULES, {"gains": {"lambda_": 3.0}, "constraints": {"lambda_max": 9.0, "mu_min": 0.5}})
    assert own["lambda_"] == Rule(3.0, 0.1, 9.0)
    assert own["mu"] == Rule(-0.25, 0.5, 5.0)
    assert own["alpha"] == DEFAULT_RULES["alpha"]
