"""The two routes from this host to a pod: straight to the node's address, and through the API server."""

import asyncio
import socket
import ssl
import subprocess
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Protocol

import aiofastnet

from devenv.forwarder.apiserver import Kubeconfig, reached
from devenv.forwarder.connection import Endpoint, SocketEndpoint
from devenv.forwarder.spec import API, NODE, ForwardSpec, Pod
from devenv.kube.access import Access

if TYPE_CHECKING:
    from devenv.forwarder.tunnel import Tunnel

REACH_WITHIN_S = 2.0
# The node is on this host. A first packet that goes to a pod that is gone is lost, and so are the kernel's next ones,
# after 1 s and 3 s, which go there too (conntrack): a new connection is tried instead.
DIAL_WITHIN_S = 0.3
TUNNEL_WITHIN_S = 10.0  # a TLS handshake, and the kubelet's own dial
# A thousand connections that were held for one pod are opened at once when it is ready. So many handshakes of TLS take
# the processor from the other forwards, and from the pod: 16 keep two cores busy.
OPENED_AT_ONCE = 16
DIALLED_AT_ONCE = 64  # straight to the node, where a dial costs little
REFUSED_WITHIN_S = 0.2  # the kubelet opens a tunnel first, and ends it when the pod's port has refused
INSPECT_WITHIN_S = 5.0
FIND_NODE_EVERY_S = 3.0  # while the node cannot be reached: Docker may have given it another address
API_PORT = 6443  # of every kind node, whatever runs on it

Pods = Callable[[], list[Pod]]  # what is known of the pods now: a dial takes its time


class Route(Protocol):
    """How a connection gets from here to a pod."""

    name: str

    async def dial(self, spec: ForwardSpec, pods: Pods, sure: bool) -> Endpoint:
        """Return the far end, not yet linked. Raise OSError or TimeoutError with why not.

        Where it is not `sure` that the service answers, a route that cannot tell at once takes the time to see it.
        """

    async def lost(self) -> str:
        """Return why the cluster itself cannot be reached by this route, or an empty string."""

    def describe(self, spec: ForwardSpec) -> str: ...


class NodeRoute:
    """To the node's address and a NodePort of ours; kube-proxy picks the pod."""

    name = NODE

    def __init__(self, container: str, log: Callable[[str], None]) -> None:
        self.container, self.log = container, log
        self.address, self._looked = "", float("-inf")
        self.frozen = ""  # why nothing on the node does anything, or an empty string
        self._looking = asyncio.Lock()
        self.dialling = asyncio.Semaphore(DIALLED_AT_ONCE)

    async def dial(self, spec: ForwardSpec, pods: Pods, sure: bool) -> Endpoint:  # noqa: ARG002  kube-proxy knows
        if not self.address:
            raise OSError(f"node {self.container} has no address: it is not running")
        try:
            async with self.dialling, asyncio.timeout(DIAL_WITHIN_S):
                loop = asyncio.get_running_loop()
                _, far = await aiofastnet.create_connection(loop, SocketEndpoint, self.address, spec.node_port)
        except TimeoutError:
            raise OSError(f"{self.address}:{spec.node_port}: no connection within {DIAL_WITHIN_S:g} s") from None
        return far

    async def lost(self) -> str:
        now = asyncio.get_running_loop().time()
        if now - self._looked >= FIND_NODE_EVERY_S:
            self._looked = now
            await self.find()
        return self.frozen if self.address else f"node {self.container} is not running"

    async def look(self, older_s: float) -> None:
        """Ask Docker about the node if what is known is older than so; who asks meanwhile waits for that answer."""
        async with self._looking:
            loop = asyncio.get_running_loop()
            if loop.time() - self._looked >= older_s:
                await self.find()
                self._looked = loop.time()

    async def find(self) -> None:
        """Ask Docker for the node's address, and whether it is paused: then it still has one."""
        state = "{{if .State.Running}}{{.State.Paused}}{{range .NetworkSettings.Networks}} {{.IPAddress}}{{end}}{{end}}"
        docker = await asyncio.create_subprocess_exec(
            "docker", "inspect", "--format", state, self.container,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            async with asyncio.timeout(INSPECT_WITHIN_S):
                paused, *addresses = (await docker.communicate())[0].decode().split() or [""]
        except TimeoutError:  # what was known of it last is the best guess
            docker.kill()
            return
        self.frozen = "the cluster is paused" if paused == "true" else ""
        found = next(iter(addresses), "")  # one a network; the node listens on each
        if found != self.address:
            self.log(f"the node is at {found}" if found else "the node is not running")
            self.address = found

    async def reaches(self) -> bool:
        """Whether this host can reach the node's address at all: a refusal is an answer too."""
        try:
            (await self.api_server(REACH_WITHIN_S)).close()
        except ConnectionRefusedError:
            return True
        except OSError:
            return False
        return True

    async def api_server(self, within_s: float) -> socket.socket:
        """Return a connection to the node's own API server. Raise OSError, of which TimeoutError is one."""
        own = socket.socket()
        own.setblocking(False)
        try:
            async with asyncio.timeout(within_s):
                await asyncio.get_running_loop().sock_connect(own, (self.address, API_PORT))
        except BaseException:
            own.close()
            raise
        return own

    def describe(self, spec: ForwardSpec) -> str:
        return f"{NODE} {self.address or '?'}:{spec.node_port}"


class ApiRoute:
    """Through the API server to one of the ready pods, in turn.

    `node` is one whose address this host reaches: the API server is reached there, and not by the port that Docker
    publishes, where a process of Docker's copies every byte once more.
    """

    name = API

    def __init__(self, server: Kubeconfig, node: NodeRoute | None = None) -> None:
        self.server, self.node = server, node
        self._turns = Counter[str]()  # by the forward's name
        self.opening = asyncio.Semaphore(OPENED_AT_ONCE)  # held by who calls open()
        self._near = False  # whether the last connection found the API server at the node

    async def dial(self, spec: ForwardSpec, pods: Pods, sure: bool) -> Endpoint:
        async with self.opening:
            tunnel = await self.open(spec, pods)
        return tunnel if sure else await self.confirmed(tunnel, spec)

    async def confirmed(self, tunnel: "Tunnel", spec: ForwardSpec) -> Endpoint:
        """Return the tunnel once a refusal of the pod's port would have been seen. Raise OSError where it was."""
        await asyncio.sleep(REFUSED_WITHIN_S)
        if tunnel.ended:
            raise OSError(f"service {spec.service}: the pod refuses connections")
        return tunnel

    async def open(self, spec: ForwardSpec, pods: Pods) -> "Tunnel":
        """Return a tunnel to one of the ready pods. Raise OSError or TimeoutError with why not."""
        from devenv.forwarder.tunnel import Unauthorized, open_tunnel

        async with asyncio.timeout(TUNNEL_WITHIN_S):
            access = await self.server.access()
            pod = self.next_of(spec, pods)
            path = f"/api/v1/namespaces/{spec.namespace}/pods/{pod.name}/portforward?ports={pod.port}"
            dial = partial(open_tunnel, access, path, TUNNEL_WITHIN_S)
            near = await self.near()
            try:
                tunnel = await dial(near or await self.by_proxy(access))
            except ssl.SSLError:  # a stranger has that address: the node had it before, or it is another network's
                if not near:
                    raise
                near, tunnel = None, await dial(await self.by_proxy(access))
            except Unauthorized:
                self.server.refuse(access)
                raise
            self._near = near is not None
        if pod not in pods():  # it has begun to end meanwhile, and may not answer any more
            tunnel.reset("")
            raise OSError(f"pod {pod.name} is not ready any more")
        return tunnel

    def next_of(self, spec: ForwardSpec, pods: Pods) -> Pod:
        """Return the ready pod whose turn it is. Raise OSError where none is."""
        if not (ready := [pod for pod in pods() if pod.ready]):
            raise OSError(f"no pod of service {spec.service} is ready")
        turn = self._turns[spec.name] = self._turns[spec.name] + 1
        return ready[turn % len(ready)]

    async def near(self) -> socket.socket | None:
        """Return a connection to the API server at the node, or nothing where there is none."""
        if self.node and self.node.address:
            with suppress(OSError):
                return await self.node.api_server(DIAL_WITHIN_S)
        return None

    async def by_proxy(self, access: Access) -> socket.socket | None:
        """Return a connection to the API server through its proxy, or nothing where there is none."""
        if not access.cluster.proxy:
            return None
        own = (await asyncio.to_thread(reached, access)).sock
        own.setblocking(False)
        return own

    async def lost(self) -> str:
        if self.node:
            await self.node.lost()  # Docker may have given it another address
        if self.server.trouble:
            return self.server.trouble
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(REACH_WITHIN_S):
                _, writer = await asyncio.open_connection(*self.server.known.reached_at)
            writer.close()
            return ""
        return f"the API server {self.server.known.url} cannot be reached"

    def describe(self, spec: ForwardSpec) -> str:  # noqa: ARG002
        at_node = self._near and self.node
        return f"{API} {f'https://{at_node.address}:{API_PORT}' if at_node else self.server.known.url}"
