"""One forward: its state, its counters, and the connections that it forwards, or holds while no pod is ready."""

import asyncio
import socket
import time
from collections.abc import Callable
from contextlib import suppress

from devenv.forwarder import endpoints
from devenv.forwarder.connection import Endpoint, SocketEndpoint, link
from devenv.forwarder.journal import Tally
from devenv.forwarder.presence import Presence
from devenv.forwarder.probes import probe
from devenv.forwarder.routes import NodeRoute, Route
from devenv.forwarder.spec import CONNECTING, HOLDING, LOST, OPEN, ForwardSpec, ForwardStatus, Pod
from devenv.forwarder.watch import Watch

# Between two attempts to reach a pod that is ready: kube-proxy may not know of it yet. The pause doubles each time.
PAUSE_S, LONGEST_PAUSE_S = 0.05, 0.4
LOOK_S = 1.0  # between two looks while no pod is ready; news of one end the wait
OPEN_PAUSE_S, OTHER_PAUSE_S = 60.0, 0.25  # between two probes; news of the endpoints, or a question, end the wait
FROZEN_PAUSE_S = 3.0  # between two looks at a node that is paused
FRESH_S = 1.0  # who asks is told of no older probe
PROBE_HOLD_S, PROBE_CONNECTS_WITHIN_S = 1.0, 5.0


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
    """A local port that is forwarded to the pods of a Service."""

    def __init__(
        self,
        spec: ForwardSpec,
        route: Route,
        slices: Watch | None,
        log: Callable[[str], None],
        node: NodeRoute | None = None,
    ) -> None:
        self.spec, self.route, self.slices, self.log, self.node = spec, route, slices, log, node
        self._frozen = ""  # what the last look at the node showed
        self.state, self.reason, self.since = CONNECTING, "not probed yet", time.time()
        self.clients: set[Client] = set()
        self.served = self.refused = self.sent = self.received = 0
        self.given_up = Tally()  # connections, by why
        self.last_error = ""  # why the last connection that did not end well did not
        # Our own probes by local port: why one reached no pod, or an empty string.
        self.probing: dict[int, asyncio.Future[str]] = {}
        self._news, self._probed, self._probed_at = asyncio.Event(), asyncio.Event(), float("-inf")

    def pods(self) -> list[Pod]:
        return endpoints.pods(self.slices, self.spec.service, self.spec.port_name) if self.slices else []

    def idle(self) -> str:
        """Return why no pod can take a connection, or an empty string; what the API server does not tell is tried."""
        if self.slices is None or not self.slices.synced or any(pod.ready for pod in self.pods()):
            return ""
        return f"no pod of service {self.spec.service} is ready"

    def notify(self) -> None:
        """Wake the waiting tasks: the endpoints have changed, or a status was requested."""
        self._news.set()
        self._news = asyncio.Event()

    async def news(self, within_s: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._news.wait()

    def become(self, state: str, reason: str) -> None:
        if state != self.state:
            self.log(f"{self.spec.name}: {self.state} -> {state} {reason}".rstrip())
            self.state, self.since = state, time.time()
        self.reason = reason

    def tell(self) -> None:
        """Log what was given up: a line for each reason, however many clients there were."""
        for why, count in self.given_up.due():
            self.log(f"{self.spec.name}: {count} connection{'s' * (count > 1)} given up: {why}")

    async def watch(self) -> None:
        """Keep the state true for ever."""
        while True:
            self.tell()
            # The kernel of a paused node takes connections that nobody serves: each probe would wait in the service's
            # queue, and all of them would be upon it when it goes on.
            if self.node and self.node.frozen:
                await self.node.look(FROZEN_PAUSE_S)
            self._frozen = self.node.frozen if self.node else ""
            idle = "" if self._frozen else self.idle()
            wrong = "" if self._frozen or idle else await self.ask()
            lost = self._frozen or (await self.route.lost() if idle or wrong else "")
            self.become(*judge(self.state, lost, idle, wrong))
            self._probed.set()
            self._probed, self._probed_at = asyncio.Event(), time.monotonic()
            await self.news(FROZEN_PAUSE_S if self._frozen else OPEN_PAUSE_S if self.state == OPEN else OTHER_PAUSE_S)

    async def fresh(self) -> None:
        """Return once the state is true of this second. What is neither OPEN nor frozen is probed all the time."""
        turned = self.node is not None and self.node.frozen != self._frozen
        if turned or (self.state == OPEN and time.monotonic() - self._probed_at > FRESH_S):
            await self.probed()

    async def probed(self) -> None:
        """Have the state looked at now, and return once it was."""
        probed = self._probed
        self.notify()
        await probed.wait()

    async def ask(self) -> str:
        """Probe through our own listener, the way a client goes; return what is wrong, or an empty string."""
        loop = asyncio.get_running_loop()
        with socket.socket() as own:
            own.setblocking(False)
            own.bind(("127.0.0.1", 0))
            port = own.getsockname()[1]
            connected: asyncio.Future[str] = loop.create_future()
            self.probing[port] = connected
            try:
                await loop.sock_connect(own, ("127.0.0.1", self.spec.local_port))
                async with asyncio.timeout(PROBE_CONNECTS_WITHIN_S):
                    if why := await connected:
                        return why
                return await probe(self.spec.probe, own)
            except TimeoutError:
                return f"could not connect to any pod within {PROBE_CONNECTS_WITHIN_S:g} s"
            except OSError as error:
                return str(error)
            finally:
                del self.probing[port]

    def status(self) -> ForwardStatus:
        return ForwardStatus.of(
            self.spec,
            self.state,
            self.reason,
            since=self.since,
            route=self.route.describe(self.spec),
            pods=tuple(self.pods()),
            connections=len(self.clients),
            served=self.served,
            refused=self.refused,
            sent=self.sent + sum(c.moved for c in self.clients),
            received=self.received + sum(c.far.moved for c in self.clients if c.far),
            last_error=self.last_error,
        )


class Client(SocketEndpoint):
    """The local end: waits, unread, until a pod is reached or the hold limit is over."""

    who = "the client"

    def __init__(self, forward: Forward, tasks: set[asyncio.Task[None]]) -> None:
        super().__init__()
        self.forward, self.tasks = forward, tasks
        self.far: Endpoint | None = None
        self._probe: asyncio.Future[str] | None = None  # where this is a probe of our own

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        peer = transport.get_extra_info("peername")
        if peer is None:  # reset before it was accepted
            self.reset("the client has gone")
            return
        self.presence = Presence(transport.get_extra_info("socket"))
        self._probe = self.forward.probing.get(peer[1])
        if not self._probe:
            self.forward.clients.add(self)
        task = asyncio.get_running_loop().create_task(self.connect())
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def connect(self) -> None:
        """Reach a pod and become one connection with it, or be reset with a reason in the log."""
        forward, why = self.forward, ""
        limit_s = PROBE_HOLD_S if self._probe else forward.spec.hold_s
        end, again_s = time.monotonic() + limit_s, PAUSE_S
        while self.transport and not self.transport.is_closing():
            gone = self.has_gone()
            if gone:
                self.reset("the client has gone")  # nothing of it is delivered
                return
            if gone is None:
                await asyncio.sleep(PAUSE_S)
                continue
            pause_s = LOOK_S
            try:
                if not (why := forward.idle()):
                    pause_s, again_s = again_s, min(2 * again_s, LONGEST_PAUSE_S)
                    sure = self._probe is not None or forward.state == OPEN
                    self.far = await forward.route.dial(forward.spec, forward.pods, sure)
                    break
            except Exception as error:  # of any kind: no connection waits for ever
                why = str(error) or type(error).__name__
            if (left_s := end - time.monotonic()) <= 0:
                self.give_up(limit_s, why)
                return
            await forward.news(min(pause_s, left_s))
        if self.far and self.transport:
            self.report("")
            link(self, self.far)
        elif self.far:
            self.far.reset("the client has gone")

    def has_gone(self) -> bool | None:
        return self.presence.has_gone()

    def report(self, why: str) -> None:
        """Count this connection, or tell the probe that made it: `why` it reached no pod, or an empty string."""
        if not self._probe:
            self.forward.served += not why
            self.forward.refused += bool(why)
        elif not self._probe.done():
            self._probe.set_result(why)

    def give_up(self, limit_s: float, why: str) -> None:
        self.report(why)
        if not self._probe:
            self.forward.given_up.add(f"held for {limit_s:g} s: {why}")
        self.reset(f"gave a connection up after {limit_s:g} s: {why}")

    def reset(self, why: str) -> None:
        # Postgres resets every encrypted connection that its client ends: it does not read TLS's own last word.
        self.fail(f"{why}, after the client's end" if self.ended else why)
        super().reset(why)

    def fail(self, why: str) -> None:
        if not self._probe:
            self.forward.last_error = why

    def connection_lost(self, exc: Exception | None) -> None:
        if self in self.forward.clients:
            self.forward.clients.discard(self)
            self.forward.sent += self.moved
            self.forward.received += self.far.moved if self.far else 0
        if exc:
            self.fail(f"{self.who}: {exc}")
        super().connection_lost(exc)
