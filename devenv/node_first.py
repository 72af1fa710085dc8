"""Which way is taken: the one that is asked for, or the node's first and then the API server's."""

import sys
from collections.abc import Callable

from devenv.apiserver import ApiServer
from devenv.endpoints import Pod
from devenv.pipe import Side
from devenv.ways import API, NODE, ApiWay, NodeWay, Spec, Way


class NodeFirst:
    """The node's way, and the API server's where that does not lead to a pod which is ready.

    kube-proxy learns of a pod later than we do, and last of all when the node itself has started again.
    """

    name = NODE

    def __init__(self, node: NodeWay, api: ApiWay) -> None:
        self.node, self.api = node, api
        self._last: dict[str, Way] = {}  # by the forward's name

    async def dial(self, spec: Spec, pods: list[Pod], sure: bool) -> Side:
        try:
            far = await self.node.dial(spec, pods, sure)
            self._last[spec["name"]] = self.node
        except OSError as error:
            await self.node.lost()  # the node may have another address now
            try:
                far = await self.api.dial(spec, pods, sure=False)
            except (OSError, TimeoutError):
                raise error from None
            self._last[spec["name"]] = self.api
        return far

    async def lost(self) -> str:
        return await self.node.lost()

    def describe(self, spec: Spec) -> str:
        """Return the way that the last connection went."""
        return self._last.get(spec["name"], self.node).describe(spec)


async def choose(via: str, node: str, server: Callable[[], ApiServer], say: Callable[[str], None]) -> Way:
    """Return the way that is asked for; by `auto`, the node's first where this host reaches it."""
    if not node:
        return ApiWay(server)
    fast = NodeWay(node, say)
    await fast.find()
    if via == NODE:
        return fast
    reached = await fast.reaches() if fast.address else sys.platform == "linux"
    general = ApiWay(server, fast if reached else None)
    return NodeFirst(fast, general) if reached and via != API else general
