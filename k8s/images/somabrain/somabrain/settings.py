"""The settings of the service: read once, from a mapping, with all their faults shown at once."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import TypeVar

from somabrain.learning import DEFAULT_RULES, Rule, Rules

T = TypeVar("T")
TRUE = frozenset({"1", "true", "yes", "on"})
FALSE = frozenset({"0", "false", "no", "off", ""})


class SettingsError(ValueError):
    """What a person has to correct before the service can start."""


@dataclass(frozen=True)
class Settings:
    """Every choice that the environment makes. The secrets stay out of its printed form."""

    postgres_dsn: str = field(repr=False)
    redis_url: str = field(repr=False)
    host: str = "0.0.0.0"  # noqa: S104  the service listens for its pod
    port: int = 9696
    workers: int = 1
    reload: bool = False
    mode: str = "prod"
    default_tenant: str = "sandbox"
    sandbox_tenants: frozenset[str] = frozenset()
    disable_auth: bool = False
    api_token: str | None = field(default=None, repr=False)
    admin_token: str | None = field(default=None, repr=False)
    opa_url: str | None = None
    opa_fail_closed: bool = False
    opa_timeout_s: float = 2.0
    wm_ttl_s: int = 60
    rate_per_s: float = 50.0
    rate_burst: int = 100
    work_rate_per_s: float = 200.0
    work_rate_burst: int = 400
    tenant_requests: int = 3
    writes_per_day: int = 10_000
    max_body_bytes: int = 1 << 20
    vector_cache_bytes: int = 112 << 20
    metrics_open: bool = True
    db_connections: int = 6
    db_pooled: bool = False
    rules: Rules = field(default_factory=lambda: DEFAULT_RULES)

    @property
    def opa_required(self) -> bool:
        return self.opa_url is not None and self.opa_fail_closed

    def doubts(self) -> list[str]:
        """What may be meant, but does not look so."""
        found = []
        if not self.disable_auth and self.api_token is None:
            served = "but the admin's " if self.admin_token is not None else ""
            found.append(f"SOMABRAIN_API_TOKEN is missing: every request that needs a token {served}will be refused")
        if self.opa_fail_closed and self.opa_url is None:
            found.append("SOMA_OPA_FAIL_CLOSED is set without SOMABRAIN_OPA_URL: no policy is asked")
        return found


class Reader:
    """Reads typed values from a mapping and remembers what was wrong with them."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self.env = env
        self.faults: list[str] = []

    def text(self, name: str, default: str) -> str:
        return self.env.get(name, "").strip() or default

    def maybe(self, *names: str) -> str | None:
        return next((value for name in names if (value := self.env.get(name, "").strip())), None)

    def required(self, name: str, schemes: tuple[str, ...]) -> str:
        value = self.env.get(name, "").strip()
        if not value.startswith(schemes):
            # The value may hold a password: it is not repeated.
            self.faults.append(f"{name} {'does not start with' if value else 'is missing: wanted'} {schemes[0]}…")
        return value

    def parsed(self, name: str, default: T, parse: Callable[[str], T], wanted: str) -> T:
        value = self.env.get(name, "").strip()
        if not value:
            return default
        try:
            return parse(value)
        except ValueError:
            hint = " (a Kubernetes service link? set enableServiceLinks: false)" if value.startswith("tcp://") else ""
            self.faults.append(f"{name} is {value!r}: wanted {wanted}{hint}")
            return default

    def whole(self, name: str, default: int, least: int = 1) -> int:
        return self.parsed(name, default, lambda text: at_least(int(text), least), f"a whole number, {least} or more")

    def number(self, name: str, default: float, least: float = -1e9) -> float:
        wanted = "a finite number" if least < 0 else f"a number, {least} or more"
        return self.parsed(name, default, lambda text: at_least(float(text), least), wanted)

    def flag(self, name: str, default: bool) -> bool:
        return self.parsed(name, default, truth, "one of 1, true, yes, on, 0, false, no, off")


def at_least(value: T, least: T) -> T:
    if not isfinite(value) or value < least:  # type: ignore[arg-type, operator]
        raise ValueError(value)
    return value


def truth(text: str) -> bool:
    if text.lower() in TRUE:
        return True
    if text.lower() in FALSE:
        return False
    raise ValueError(text)


def learning_rules(read: Reader) -> Rules:
    """The gains and bounds of the learned weights, as the environment overrides them."""
    rules: dict[str, Rule] = {}
    for name, rule in DEFAULT_RULES.items():
        word = name.rstrip("_").upper()
        low = read.number(f"SOMABRAIN_LEARNING_BOUNDS_{word}_MIN", rule.low)
        high = read.number(f"SOMABRAIN_LEARNING_BOUNDS_{word}_MAX", rule.high)
        if low > high:
            read.faults.append(f"SOMABRAIN_LEARNING_BOUNDS_{word}: the minimum {low} is above the maximum {high}")
        rules[name] = Rule(read.number(f"SOMABRAIN_LEARNING_GAIN_{word}", rule.gain), low, high)
    return rules


def load(env: Mapping[str, str]) -> Settings:
    """Read the settings, or raise SettingsError with every fault, one a line."""
    read = Reader(env)
    settings = Settings(
        postgres_dsn=read.required("SOMABRAIN_POSTGRES_DSN", ("postgresql://", "postgres://")),
        redis_url=read.required("SOMABRAIN_REDIS_URL", ("redis://", "rediss://", "unix://")),
        host=read.text("SOMABRAIN_HOST", Settings.host),
        port=read.whole("SOMABRAIN_PORT", Settings.port),
        workers=read.whole("SOMABRAIN_WORKERS", Settings.workers),
        reload=read.flag("SOMABRAIN_RELOAD", Settings.reload),
        mode=read.text("SOMABRAIN_MODE", Settings.mode),
        default_tenant=read.text("SOMABRAIN_DEFAULT_TENANT", Settings.default_tenant),
        sandbox_tenants=frozenset(filter(None, map(str.strip, read.text("SOMABRAIN_SANDBOX_TENANTS", "").split(",")))),
        disable_auth=read.flag("SOMABRAIN_DISABLE_AUTH", Settings.disable_auth),
        api_token=read.maybe("SOMABRAIN_API_TOKEN"),
        admin_token=read.maybe("SOMABRAIN_ADMIN_TOKEN"),
        opa_url=read.maybe("SOMABRAIN_OPA_URL", "SOMA_OPA_URL"),
        opa_fail_closed=read.flag("SOMA_OPA_FAIL_CLOSED", Settings.opa_fail_closed),
        opa_timeout_s=read.number("SOMA_OPA_TIMEOUT", Settings.opa_timeout_s, least=0.01),
        wm_ttl_s=read.whole("SOMABRAIN_WM_TTL_SECONDS", Settings.wm_ttl_s),
        rate_per_s=read.number("SOMABRAIN_RATE_RPS", Settings.rate_per_s, least=0.001),
        rate_burst=read.whole("SOMABRAIN_RATE_BURST", Settings.rate_burst),
        work_rate_per_s=read.number("SOMABRAIN_WORK_RATE_RPS", Settings.work_rate_per_s, least=0.001),
        work_rate_burst=read.whole("SOMABRAIN_WORK_RATE_BURST", Settings.work_rate_burst),
        tenant_requests=read.whole("SOMABRAIN_TENANT_REQUESTS", Settings.tenant_requests),
        writes_per_day=read.whole("SOMABRAIN_WRITE_DAILY_LIMIT", Settings.writes_per_day),
        max_body_bytes=read.whole("SOMABRAIN_MAX_BODY_BYTES", Settings.max_body_bytes),
        vector_cache_bytes=read.whole("SOMABRAIN_VECTOR_CACHE_MIB", Settings.vector_cache_bytes >> 20, least=0) << 20,
        metrics_open=read.flag("SOMABRAIN_METRICS_OPEN", Settings.metrics_open),
        db_connections=read.whole("SOMABRAIN_DB_CONNECTIONS", Settings.db_connections),
        db_pooled=read.flag("SOMABRAIN_DB_POOLED", Settings.db_pooled),
        rules=learning_rules(read),
    )
    if settings.reload and settings.workers > 1:
        read.faults.append("SOMABRAIN_RELOAD is for one process: leave SOMABRAIN_WORKERS out")
    if read.faults:
        raise SettingsError("\n".join(read.faults))
    return settings
