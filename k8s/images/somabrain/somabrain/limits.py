"""How often a tenant may ask: a token bucket in Redis, one for all processes (contract 1)."""

import logging
from math import ceil
from time import monotonic

from redis import Redis
from redis.exceptions import RedisError

from somabrain.errors import Refused, reason

PAUSE_S = 1.0
log = logging.getLogger("somabrain")

# The bucket is one number: the moment at which it will be full again. A request puts that off by the time its token
# takes to grow back, and is refused if the whole bucket could not pay for it: then the script returns the milliseconds
# until it could, and 0 otherwise. Redis tells the time, to every process.
TAKE = """
local per_token, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local full_at = math.max(now, tonumber(redis.call('GET', KEYS[1]) or 0)) + per_token
local wait = full_at - now
local missing = wait - burst * per_token
if missing > 0.000001 then return math.ceil(missing * 1000) end
redis.call('SET', KEYS[1], string.format('%.6f', full_at), 'PX', math.ceil(wait * 1000))
return 0
"""


MEMORY, WORK = "rate", "work-rate"


def key(tenant: str, bucket: str = MEMORY) -> str:
    return f"somabrain:{bucket}:{tenant}"


class Limiter:
    """Counts the requests of each tenant. Without Redis it lets all pass: a limit protects, it does not decide."""

    def __init__(self, redis: Redis, per_s: float, burst: int, bucket: str = MEMORY) -> None:
        self.bucket = bucket
        self.take = redis.register_script(TAKE)
        self.arguments = [1.0 / per_s, burst]
        self.silent_until = 0.0

    def wait_s(self, tenant: str) -> float:
        """Take a token and return 0, or return the seconds until there is one to take."""
        if monotonic() < self.silent_until:
            return 0.0
        try:
            return float(self.take(keys=[key(tenant, self.bucket)], args=self.arguments)) / 1000
        except RedisError as error:
            # A Redis that hangs would make every request wait for it.
            self.silent_until = monotonic() + PAUSE_S
            log.warning("requests pass uncounted: redis: %s", reason(error))
            return 0.0

    def check(self, tenant: str) -> None:
        if wait_s := self.wait_s(tenant):
            raise Refused(429, "rate limit exceeded", ceil(wait_s))
