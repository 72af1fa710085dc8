"""One forward: its state, its counters, and the connections that it leads, or holds while no pod is ready."""

import asyncio
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from devenv import endpoints
from devenv.endpoints import Pod
from devenv.pipe import End, Side, link
from devenv.probes import probe
from devenv.watch import Watch
from devenv.ways import Spec, Way

PAUSE_S = 0.05  # between two attempts to reach a pod that is ready: kube-proxy may not know of it yet
LOOK_S = 1.0  # between two looks while no pod is ready; news of one end the wait
OPEN_PAUSE_S, OTHER_PAUSE_S = 60.0, 0.25  # between two probes; news of the endpoints, or a question, end the wait
FRESH_S = 1.0  # who asks is told of no older probe
PROBE_HOLD_S, PROBE_LED_WITHIN_S = 1.0, 5.0
CONNECTING, OPEN, HOLDING, LOST = "CONNECTING", "OPEN", "HOLDING", "LOST"


def judge(before: str, lost: str, idle: str, wrong: str) -> tuple[str, str]:
    """Return the state of a forward and its reason.

    `lost`: why the cluster cannot be reached; `idle`: why no pod can take a connection; `wrong`: what the probe got
    instead of an answer; each is nothing where all is well. A forward that was never open is CONNECTING.
    """
    if lost:
        return LOST, lost
    if idle or wrong:
        return (CONNECTING if before == CONNECTING else HOLDING), idle or wrong
    return OPEN, ""


class Forward:
    """A local port that leads to the pods of a Service."""

    def __init__(self, spec: Spec, way: Way, slices: Watch | None, say: Callable[[str], None]) -> None:
        self.spec, self.way, self.slices, self.say = spec, way, slices, say
        self.state, self.reason, self.since = CONNECTING, "not probed yet", time.time()
        self.clients: set[Client] = set()
        self.served = self.refused = self.sent = self.received = 0
        self.last_error = ""  # why the last connection that did not end well did not
        self.probing: dict[int, asyncio.Future[str]] = {}  # our own probes by local port: why not led on, or nothing
        self._news, self._probed, self._probed_at = asyncio.Event(), asyncio.Event(), float("-inf")

    def pods(self) -> list[Pod]:
        return endpoints.pods(self.slices, self.spec["service"], self.spec["port_name"]) if self.slices else []

    def idle(self) -> str:
        """Return why no pod can take a connection, or nothing; what the API server does not tell is tried."""
        if self.slices is None or not self.slices.told or any(pod.ready for pod in self.pods()):
            return ""
        return f"no pod of service {self.spec['service']} is ready"

    def tell(self) -> None:
        """Wake whoever waits: the endpoints have changed, or somebody asks."""
        self._news.set()
        self._news = asyncio.Event()

    async def news(self, within_s: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._news.wait()

    def become(self, state: str, reason: str) -> None:
        if state != self.state:
            self.say(f"{self.spec['name']}: {self.state} -> {state} {reason}".rstrip())
            self.state, self.since = state, time.time()
        self.reason = reason

    async def watch(self) -> None:
        """Keep the state true for ever."""
        while True:
            idle = self.idle()
            wrong = "" if idle else await self.ask()
            lost = await self.way.lost() if idle or wrong else ""
            self.become(*judge(self.state, lost, idle, wrong))
            self._probed.set()
            self._probed, self._probed_at = asyncio.Event(), time.monotonic()
            await self.news(OPEN_PAUSE_S if self.state == OPEN else OTHER_PAUSE_S)

    async def fresh(self) -> None:
        """Return once the state is true of this second. What is not OPEN is probed all the time."""
        if self.state == OPEN and time.monotonic() - self._probed_at > FRESH_S:
            probed = self._probed
            self.tell()
            await probed.wait()

    async def ask(self) -> str:
        """Probe through our own listener, the way a client goes; return what is wrong, or nothing."""
        loop = asyncio.get_running_loop()
        with socket.socket() as own:
            own.setblocking(False)
            own.bind(("127.0.0.1", 0))
            port = own.getsockname()[1]
            led: asyncio.Future[str] = loop.create_future()
            self.probing[port] = led
            try:
                await loop.sock_connect(own, ("127.0.0.1", self.spec["local_port"]))
                async with asyncio.timeout(PROBE_LED_WITHIN_S):
                    if why := await led:
                        return why
                return await probe(self.spec["probe"], own)
            except TimeoutError:
                return f"no way to a pod within {PROBE_LED_WITHIN_S:g} s"
            except OSError as error:
                return str(error)
            finally:
                del self.probing[port]

    def report(self) -> dict[str, Any]:
        keys = ("name", "local_port", "namespace", "service", "probe", "hold_s")
        return {
            **{key: self.spec[key] for key in keys},
            "state": self.state,
            "reason": self.reason,
            "since": self.since,
            "way": self.way.describe(self.spec),
            "pods": [asdict(pod) for pod in self.pods()],
            "connections": len(self.clients),
            "served": self.served,
            "refused": self.refused,
            "sent": self.sent + sum(c.moved for c in self.clients),
            "received": self.received + sum(c.far.moved for c in self.clients if c.far),
            "last_error": self.last_error,
        }


class Client(End):
    """The local end: waits, unread, until a pod is reached or the hold limit is over."""

    who = "the client"

    def __init__(self, forward: Forward, tasks: set[asyncio.Task[None]]) -> None:
        super().__init__()
        self.forward, self.tasks = forward, tasks
        self.far: Side | None = None
        self._led: asyncio.Future[str] | None = None  # where this is a probe of our own

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._led = self.forward.probing.get(transport.get_extra_info("peername")[1])
        if not self._led:
            self.forward.clients.add(self)
        task = asyncio.get_running_loop().create_task(self.lead())
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def lead(self) -> None:
        """Reach a pod and become one connection with it, or be reset with a reason in the log."""
        forward, why = self.forward, ""
        limit_s = PROBE_HOLD_S if self._led else forward.spec["hold_s"]
        end = time.monotonic() + limit_s
        while self.transport and not self.transport.is_closing():
            pause_s = LOOK_S
            if not (why := forward.idle()):
                pause_s = PAUSE_S
                try:
                    sure = self._led is not None or forward.state == OPEN
                    self.far = await forward.way.dial(forward.spec, forward.pods(), sure)
                    break
                except Exception as error:  # of whatever kind: nobody waits for ever without a word
                    why = str(error) or type(error).__name__
            if (left_s := end - time.monotonic()) <= 0:
                self.give_up(limit_s, why)
                return
            await forward.news(min(pause_s, left_s))
        if self.far and self.transport:
            self.led("")
            link(self, self.far)
        elif self.far:
            self.far.reset("the client has gone")

    def led(self, why: str) -> None:
        if not self._led:
            self.forward.served += not why
            self.forward.refused += bool(why)
        elif not self._led.done():
            self._led.set_result(why)

    def give_up(self, limit_s: float, why: str) -> None:
        self.led(why)
        why = f"gave a connection up after {limit_s:g} s: {why}"
        if not self._led:
            self.forward.say(f"{self.forward.spec['name']}: {why}")
        self.reset(why)

    def reset(self, why: str) -> None:
        # Postgres resets every encrypted connection that its client ends: it does not read TLS's own last word.
        self.fail(f"{why}, after the client's end" if self.ended else why)
        super().reset(why)

    def fail(self, why: str) -> None:
        if not self._led:
            self.forward.last_error = why

    def connection_lost(self, exc: Exception | None) -> None:
        if self in self.forward.clients:
            self.forward.clients.discard(self)
            self.forward.sent += self.moved
            self.forward.received += self.far.moved if self.far else 0
        if exc:
            self.fail(f"{self.who}: {exc}")
        super().connection_lost(exc)
