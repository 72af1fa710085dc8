"""How often a tenant may ask: a token bucket in Redis, one for all processes (contract 1)."""

import logging
from time import monotonic

from redis import Redis
from redis.exceptions import RedisError

from somabrain.errors import Refused, reason

PAUSE_S = 1.0
log = logging.getLogger("somabrain")

# The bucket is one number: the moment at which it will be full again. A request puts that off by the time its token
# takes to grow back, and is refused if the whole bucket could not pay for it. Redis tells the time, to every process.
TAKE = """
local per_token, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local full_at = math.max(now, tonumber(redis.call('GET', KEYS[1]) or 0)) + per_token
local wait = full_at - now
if wait > burst * per_token + 0.000001 then return 0 end
redis.call('SET', KEYS[1], string.format('%.6f', full_at), 'PX', math.ceil(wait * 1000))
return 1
"""


def key(tenant: str) -> str:
    return f"somabrain:rate:{tenant}"


class Limiter:
    """Counts the requests of each tenant. Without Redis it lets all pass: a limit protects, it does not decide."""

    def __init__(self, redis: Redis, per_s: float, burst: int) -> None:
        self.take = redis.register_script(TAKE)
        self.arguments = [1.0 / per_s, burst]
        self.silent_until = 0.0

    def admits(self, tenant: str) -> bool:
        if monotonic() < self.silent_until:
            return True
        try:
            return bool(self.take(keys=[key(tenant)], args=self.arguments))
        except RedisError as error:
            # A Redis that hangs would make every request wait for it.
            self.silent_until = monotonic() + PAUSE_S
            log.warning("requests pass uncounted: redis: %s", reason(error))
            return True

    def check(self, tenant: str) -> None:
        if not self.admits(tenant):
            raise Refused(429, "rate limit exceeded")
