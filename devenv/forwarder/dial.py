"""Which route a connection takes: the requested one, or the node's first and then the API server's."""

import sys
from contextlib import suppress

from devenv.forwarder.apiserver import Kubeconfig
from devenv.forwarder.connection import Endpoint
from devenv.forwarder.routes import ApiRoute, NodeRoute, Pods, Route
from devenv.forwarder.spec import API, NODE, ForwardSpec


class NodeFirst:
    """The node's route, and the API server's if that does not reach a ready pod.

    kube-proxy learns of a pod later than we do, and last of all when the node itself has started again.
    """

    name = NODE

    def __init__(self, node: NodeRoute, api: ApiRoute) -> None:
        self.node, self.api = node, api
        self._last: dict[str, Route] = {}  # by the forward's name

    async def dial(self, spec: ForwardSpec, pods: Pods, sure: bool) -> Endpoint:
        try:
            return await self.by_node(spec, pods, sure)
        except OSError as error:
            await self.node.lost()  # the node may have another address now
            try:
                return await self.by_api(spec, pods, sure)
            except (OSError, TimeoutError):
                raise error from None

    async def by_node(self, spec: ForwardSpec, pods: Pods, sure: bool) -> Endpoint:
        far = await self.node.dial(spec, pods, sure)
        self._last[spec.name] = self.node
        return far

    async def by_api(self, spec: ForwardSpec, pods: Pods, sure: bool) -> Endpoint:
        waits = self.api.opening.locked()
        async with self.api.opening:
            if waits:  # long enough for kube-proxy, mostly
                with suppress(OSError):
                    return await self.by_node(spec, pods, sure)
            tunnel = await self.api.open(spec, pods)
        far = await self.api.confirmed(tunnel, spec)
        self._last[spec.name] = self.api
        return far

    async def lost(self) -> str:
        return await self.node.lost()

    def describe(self, spec: ForwardSpec) -> str:
        """Return the route that the last connection took."""
        return self._last.get(spec.name, self.node).describe(spec)


async def choose(via: str, fast: NodeRoute | None, server: Kubeconfig) -> Route:
    """Return the requested route; for `auto`, the node's first if this host reaches it."""
    if not fast:
        return ApiRoute(server)
    await fast.find()
    if via == NODE:
        return fast
    reached = await fast.reaches() if fast.address else sys.platform == "linux"
    general = ApiRoute(server, fast if reached else None)
    return NodeFirst(fast, general) if reached and via != API else general
