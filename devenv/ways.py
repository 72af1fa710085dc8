"""The two ways from this host to a pod: straight to the node's address, and through the API server."""

import asyncio
import socket
import ssl
import subprocess
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Protocol

import aiofastnet

from devenv.apiserver import ApiServer
from devenv.endpoints import Pod
from devenv.pipe import End, Side

REACH_WITHIN_S = 2.0
# The node is on this host. A first packet that is led to a pod that is gone is lost, and so are the kernel's next ones,
# after 1 s and 3 s, which are led there too (conntrack): a new connection is tried instead.
DIAL_WITHIN_S = 0.3
TUNNEL_WITHIN_S = 10.0  # a TLS handshake, and the kubelet's own dial
REFUSED_WITHIN_S = 0.2  # the kubelet opens a tunnel first, and ends it when the pod's port has refused
FIND_NODE_EVERY_S = 3.0  # while the node cannot be reached: Docker may have given it another address
API_PORT = 6443  # of every kind node, whatever runs on it
NODE, API = "node", "api"

Spec = dict[str, Any]  # one forward, as forwards.json has it


class Way(Protocol):
    """How a connection gets from here to a pod."""

    name: str

    async def dial(self, spec: Spec, pods: list[Pod], sure: bool) -> Side:
        """Return the far end, not yet linked. Raise OSError or TimeoutError with why not.

        Where it is not `sure` that the service answers, a way that cannot tell at once takes the time to see it.
        """

    async def lost(self) -> str:
        """Return why the cluster itself cannot be reached this way, or nothing."""

    def describe(self, spec: Spec) -> str: ...


class NodeWay:
    """To the node's address and a NodePort of ours; kube-proxy picks the pod."""

    name = NODE

    def __init__(self, container: str, say: Callable[[str], None]) -> None:
        self.container, self.say = container, say
        self.address, self._asked = "", float("-inf")

    async def dial(self, spec: Spec, pods: list[Pod], sure: bool) -> Side:  # noqa: ARG002  kube-proxy knows
        if not self.address:
            raise OSError(f"node {self.container} has no address: it does not run")
        try:
            async with asyncio.timeout(DIAL_WITHIN_S):
                loop = asyncio.get_running_loop()
                _, far = await aiofastnet.create_connection(loop, End, self.address, spec["node_port"])
        except TimeoutError:
            raise OSError(f"{self.address}:{spec['node_port']}: no connection within {DIAL_WITHIN_S:g} s") from None
        return far

    async def lost(self) -> str:
        now = asyncio.get_running_loop().time()
        if now - self._asked >= FIND_NODE_EVERY_S:
            self._asked = now
            await self.find()
        return "" if self.address else f"node {self.container} does not run"

    async def find(self) -> None:
        """Ask Docker for the node's address."""
        template = "{{if .State.Running}}{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}{{end}}"
        asked = await asyncio.create_subprocess_exec(
            "docker", "inspect", "--format", template, self.container,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        found = (await asked.communicate())[0].decode().strip()
        if found != self.address:
            self.say(f"the node is at {found}" if found else "the node does not run")
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

    def describe(self, spec: Spec) -> str:
        return f"{NODE} {self.address or '?'}:{spec['node_port']}"


class ApiWay:
    """Through the API server to one of the ready pods, in turn.

    `node` is one whose address this host reaches: the API server is asked there, and not at the port that Docker
    publishes, where a process of Docker's copies every byte once more.
    """

    name = API

    def __init__(self, server: Callable[[], ApiServer], node: NodeWay | None = None) -> None:
        self.server, self.node, self._turn = server, node, 0
        self._near = False  # whether the last connection found the API server at the node

    async def dial(self, spec: Spec, pods: list[Pod], sure: bool) -> Side:
        from devenv.tunnel import open_tunnel

        ready = [pod for pod in pods if pod.ready]
        if not ready:
            raise OSError(f"no pod of service {spec['service']} is ready")
        self._turn += 1
        pod = ready[self._turn % len(ready)]
        server = self.server()
        path = f"/api/v1/namespaces/{spec['namespace']}/pods/{pod.name}/portforward?ports={pod.port}"
        url = f"ws{server.url.removeprefix('http')}{path}"
        dial = partial(open_tunnel, url, server.tls, server.headers, TUNNEL_WITHIN_S)
        async with asyncio.timeout(TUNNEL_WITHIN_S):
            near = await self.near()
            try:
                tunnel = await dial(near)
            except ssl.SSLError:  # a stranger has that address: the node had it before, or it is another network's
                if not near:
                    raise
                near, tunnel = None, await dial()
            self._near = near is not None
        if not sure:
            await asyncio.sleep(REFUSED_WITHIN_S)
            if tunnel.ended:
                raise OSError(f"pod {pod.name} takes no connection on port {pod.port}")
        return tunnel

    async def near(self) -> socket.socket | None:
        """Return a connection to the API server at the node, or nothing where there is none."""
        if self.node and self.node.address:
            with suppress(OSError):
                return await self.node.api_server(DIAL_WITHIN_S)
        return None

    async def lost(self) -> str:
        if self.node:
            await self.node.lost()  # Docker may have given it another address
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(REACH_WITHIN_S):
                _, writer = await asyncio.open_connection(self.server().host, self.server().port)
            writer.close()
            return ""
        return f"the API server {self.server().url} cannot be reached"

    def describe(self, spec: Spec) -> str:  # noqa: ARG002
        at_node = self._near and self.node
        return f"{API} {f'https://{at_node.address}:{API_PORT}' if at_node else self.server().url}"
