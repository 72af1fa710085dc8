"""An environment: its settings, its runtime folder, its cluster; and what differs by who made the cluster."""

from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from threading import Lock
from typing import ClassVar, Protocol

from devenv.cluster import containerd, kind
from devenv.cluster.state import Cluster
from devenv.errors import DevenvError, Forbidden
from devenv.images import daemon, registry
from devenv.kube import client, kubeconfig
from devenv.kube.address import is_local
from devenv.kube.api import Api
from devenv.project.schema import Project
from devenv.project.settings import Settings
from devenv.reconcile.runs import Run
from devenv.system import state
from devenv.system.cancel import Cancel
from devenv.system.state import Folder


class Provider(Protocol):
    """A cluster, as far as it matters who made it."""

    shared: ClassVar[bool]  # others have things in it too

    @property
    def public(self) -> bool:
        """Whether a Service of type LoadBalancer gets an address that is not this machine's own."""

    @property
    def node(self) -> str:
        """The container of this host that is its one node, or an empty string."""

    def observe(self) -> Cluster:
        """Return its state. Raise DevenvError for one that is not ours to use, or that cannot be reached."""

    def started(self) -> datetime | None:
        """Return when its node last started, where that is ours to know: what the API tells of before is old."""

    def images(self, refs: Collection[str]) -> frozenset[str]:
        """Return which of these references its nodes have, or find in their registry."""

    def deliver(self, ref: str, target: str, names: tuple[str, ...], cancel: Cancel) -> str:
        """Bring an image of the Docker host to where the nodes take it from, as `target`; return a note for the person.

        `names` are those that the manifests have for it.
        """

    def write_kubeconfig(self) -> None:
        """Write the environment's own kubeconfig where it is not there, or no longer true."""


@dataclass(frozen=True)
class Kind:
    """A kind cluster of the environment's name, made by us."""

    project: Project
    folder: Folder
    shared: ClassVar[bool] = False

    @property
    def public(self) -> bool:
        return False

    @property
    def node(self) -> str:
        return kind.node(self.project.name)

    def observe(self) -> Cluster:
        if (found := kind.observe(self.project.name)) is Cluster.FOREIGN:
            raise kind.refuse_foreign(self.project.name)
        return found

    def started(self) -> datetime | None:
        return kind.started(self.project.name)

    def images(self, refs: Collection[str]) -> frozenset[str]:
        return containerd.images(self.node) & frozenset(refs)

    def deliver(self, ref: str, target: str, names: tuple[str, ...], cancel: Cancel) -> str:  # noqa: ARG002
        return containerd.load(self.node, ref, names, cancel)  # the node has it as `ref`

    def write_kubeconfig(self) -> None:
        if not self.folder.kubeconfig.exists():
            kind.write_kubeconfig(self.project.name, self.project.namespace, self.folder)


@dataclass(frozen=True)
class Existing:
    """An existing cluster, by a context of the user's kubeconfig. Its nodes pull from a registry."""

    project: Project
    folder: Folder
    name: str
    shared: ClassVar[bool] = True
    node: ClassVar[str] = ""

    @property
    def public(self) -> bool:
        return not is_local(kubeconfig.server(kubeconfig.kubeconfig(self.name, self.project.namespace)))

    def observe(self) -> Cluster:
        self.write_kubeconfig()
        try:
            client.reach(self.folder)
        except DevenvError as error:
            raise DevenvError(f"context {self.name}: {error}") from error
        return Cluster.RUNNING

    def started(self) -> datetime | None:
        return None

    def images(self, refs: Collection[str]) -> frozenset[str]:
        with ThreadPoolExecutor() as pool:
            there = dict(zip(refs, pool.map(registry.has, refs), strict=True))
        return frozenset(ref for ref in refs if there[ref])

    def deliver(self, ref: str, target: str, names: tuple[str, ...], cancel: Cancel) -> str:  # noqa: ARG002
        refuse_others(ref, daemon.inspect_image(ref).platform, self.platforms)
        with registry.temporary_tag(target):
            daemon.tag(ref, target)
            return f"{target.rpartition(':')[0]}@{daemon.push(target)}"

    def write_kubeconfig(self) -> None:
        """Write it each time, so that credentials renewed in the user's kubeconfig are renewed here."""
        kubeconfig.write(kubeconfig.kubeconfig(self.name, self.project.namespace), self.folder)

    @cached_property  # one look, however many images are pushed
    def platforms(self) -> frozenset[str]:
        """Return what its nodes run, such as linux/arm64; nothing where these credentials may not see nodes."""
        try:
            nodes = Api(self.folder, self.project.namespace).listed("v1", "Node")
        except Forbidden:
            return frozenset()
        seen = [node.raw["status"]["nodeInfo"] for node in nodes]
        return frozenset(f"{info['operatingSystem']}/{info['architecture']}" for info in seen)


def refuse_others(ref: str, platform: str, nodes: Collection[str]) -> None:
    """Raise DevenvError for an image that none of the nodes can run."""
    if nodes and platform not in nodes:
        raise DevenvError(
            f"{ref} is for {platform}, and the nodes are {' and '.join(sorted(nodes))}\n"
            "hint: build it where Docker runs on their platform (DOCKER_CONTEXT, DOCKER_HOST)"
        )


@dataclass
class Environment:
    """What every command works with. It is made once, by the command line."""

    settings: Settings
    folder: Folder
    provider: Provider
    run: Run = field(default_factory=Run, repr=False)
    _api: Api | None = field(default=None, repr=False)
    _lock: Lock = field(default_factory=Lock, repr=False)

    @property
    def project(self) -> Project:
        return self.settings.project

    @property
    def api(self) -> Api:
        """The cluster's API, connected to once. A kubeconfig that was lost or renewed is written first."""
        with self._lock:
            if self._api is None:
                self.provider.write_kubeconfig()
                self._api = Api(self.folder, self.project.namespace)
            return self._api

    @property
    def is_connected(self) -> bool:
        return self._api is not None

    def forget_api(self) -> None:
        """Connect again the next time: the cluster is another one, or at another address."""
        with self._lock:
            self._api = None


@contextmanager
def opened(settings: Settings, release: str = "", looks: bool = False) -> Iterator[Environment]:
    """Yield the environment of the settings; with a name, that of a release on the same cluster.

    Where one only `looks`, what is kept of an environment that has no folder yet is gone at the end.
    """
    project = settings.project
    name = f"{project.name}.{release}" if release else project.name  # a dot is in no name
    own = state.folder(name, project.context, project.namespace)
    with state.passing() if looks and not own.path.exists() else nullcontext(own) as folder:
        yield of(settings, folder)


def of(settings: Settings, folder: Folder) -> Environment:
    project = settings.project
    provider = Existing(project, folder, project.context) if project.context else Kind(project, folder)
    return Environment(settings, folder, provider)
