"""Settings: typed, overridable, with all faults at once and no secret in print."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from somabrain.learning import DEFAULT_RULES, Rule
from somabrain.settings import Settings, SettingsError, load

NEEDED = {"SOMABRAIN_POSTGRES_DSN": "postgresql://u:hidden@h/d", "SOMABRAIN_REDIS_URL": "redis://h/0"}


def test_the_defaults_are_those_of_the_contract() -> None:
    chosen = load(NEEDED)
    assert (chosen.host, chosen.port, chosen.workers, chosen.mode) == ("0.0.0.0", 9696, 1, "prod")  # noqa: S104
    assert (chosen.default_tenant, chosen.sandbox_tenants, chosen.disable_auth) == ("sandbox", frozenset(), False)
    assert (chosen.wm_ttl_s, chosen.rate_per_s, chosen.rate_burst, chosen.writes_per_day) == (60, 50.0, 100, 10_000)
    assert (chosen.work_rate_per_s, chosen.work_rate_burst, chosen.tenant_requests) == (200.0, 400, 3)
    assert (chosen.opa_url, chosen.opa_required, chosen.opa_timeout_s) == (None, False, 2.0)
    assert chosen.rules == DEFAULT_RULES


def test_no_secret_is_printed() -> None:
    printed = repr(load({**NEEDED, "SOMABRAIN_API_TOKEN": "hidden-too", "SOMABRAIN_ADMIN_TOKEN": "hidden-as-well"}))
    assert "hidden" not in printed


@pytest.mark.parametrize(("value", "token"), [("", None), (" ", None), (" a-token ", "a-token")])
def test_an_empty_admin_token_is_none(value: str, token: str | None) -> None:
    assert load({**NEEDED, "SOMABRAIN_ADMIN_TOKEN": value}).admin_token == token


def test_every_fault_is_shown_at_once() -> None:
    env = {"SOMABRAIN_PORT": "tcp://10.0.0.1:9696", "SOMABRAIN_DISABLE_AUTH": "maybe", "SOMABRAIN_WM_TTL_SECONDS": "0"}
    with pytest.raises(SettingsError) as raised:
        load(env)
    lines = str(raised.value).splitlines()
    assert len(lines) == 5
    assert any("enableServiceLinks" in line for line in lines)


@pytest.mark.parametrize("name", ["ALPHA", "GAMMA", "LAMBDA", "MU", "NU"])
def test_the_environment_overrides_gains_and_bounds(name: str) -> None:
    env = {
        f"SOMABRAIN_LEARNING_GAIN_{name}": "0.125",
        f"SOMABRAIN_LEARNING_BOUNDS_{name}_MIN": "0.5",
        f"SOMABRAIN_LEARNING_BOUNDS_{name}_MAX": "0.75",
    }
    rules = load({**NEEDED, **env}).rules
    changed = "lambda_" if name == "LAMBDA" else name.lower()
    assert rules[changed] == Rule(0.125, 0.5, 0.75)
    assert {n: r for n, r in rules.items() if n != changed} == {n: r for n, r in DEFAULT_RULES.items() if n != changed}


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e999", "much"])
def test_a_gain_is_a_finite_number(value: str) -> None:
    with pytest.raises(SettingsError, match="SOMABRAIN_LEARNING_GAIN_MU"):
        load({**NEEDED, "SOMABRAIN_LEARNING_GAIN_MU": value})


def test_a_minimum_above_its_maximum_is_a_fault() -> None:
    with pytest.raises(SettingsError, match="above the maximum"):
        load({**NEEDED, "SOMABRAIN_LEARNING_BOUNDS_ALPHA_MIN": "6"})


@given(st.sampled_from(["1", "true", "yes", "on", "0", "false", "no", "off"]), st.booleans())
def test_a_flag_has_eight_spellings(text: str, upper: bool) -> None:
    chosen = load({**NEEDED, "SOMABRAIN_DISABLE_AUTH": text.upper() if upper else text})
    assert chosen.disable_auth is (text in ("1", "true", "yes", "on"))


@pytest.mark.parametrize(
    ("env", "word"),
    [
        ({}, "SOMABRAIN_API_TOKEN"),
        ({"SOMABRAIN_ADMIN_TOKEN": "t"}, "but the admin's"),
        ({"SOMABRAIN_DISABLE_AUTH": "1", "SOMA_OPA_FAIL_CLOSED": "1"}, "SOMA_OPA_FAIL_CLOSED"),
    ],
)
def test_what_may_not_be_meant_is_told(env: dict[str, str], word: str) -> None:
    (doubt,) = load({**NEEDED, **env}).doubts()
    assert word in doubt


def test_policy_is_required_only_where_there_is_one() -> None:
    def required(**env: str) -> bool:
        chosen: Settings = load({**NEEDED, **env})
        return chosen.opa_required

    assert required(SOMA_OPA_URL="http://opa:8181", SOMA_OPA_FAIL_CLOSED="1")
    assert not required(SOMABRAIN_OPA_URL="http://opa:8181")
    assert not required(SOMA_OPA_FAIL_CLOSED="1")
