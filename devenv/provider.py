"""Where an environment's cluster comes from: all that differs between a kind cluster of ours and one that exists."""

from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Protocol

from devenv import context, docker_host, kind, kube, node, registry, state
from devenv.config import Settings
from devenv.errors import DevenvError
from devenv.plan import Cluster
from devenv.state import Folder
from devenv.table import Project


class Provider(Protocol):
    """A cluster, as far as it matters who made it."""

    shared: ClassVar[bool]  # others have things in it too

    @property
    def node(self) -> str:
        """The container of this host that is its one node, or nothing."""

    def observe(self) -> Cluster:
        """Return its state. Raise DevenvError for one that is not ours to use, or that cannot be reached."""

    def started(self) -> datetime | None:
        """Return when its node last started, where that is ours to know: what the API tells of before is old."""

    def images(self, refs: Collection[str]) -> frozenset[str]:
        """Return which of these references its nodes have, or find in their registry."""

    def bring(self, ref: str, there: str, names: tuple[str, ...]) -> str:
        """Bring an image of the Docker host to where the nodes take it from, as `there`; return what to tell of it.

        `names` are those that the manifests have for it.
        """

    def write_kubeconfig(self) -> None:
        """Write the environment's own kubeconfig where it is not there, or no longer true."""


@dataclass(frozen=True)
class Kind:
    """A kind cluster of the environment's name, made by us."""

    project: Project
    where: Folder
    shared: ClassVar[bool] = False

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
        return node.images(self.node) & frozenset(refs)

    def bring(self, ref: str, there: str, names: tuple[str, ...]) -> str:  # noqa: ARG002  the node has it as `ref`
        return node.load(self.node, ref, names)

    def write_kubeconfig(self) -> None:
        if not self.where.kubeconfig.exists():
            kind.write_kubeconfig(self.project.name, self.project.namespace, self.where)


@dataclass(frozen=True)
class Existing:
    """A cluster that somebody made, by a context of the person's kubeconfig. Its nodes pull from a registry."""

    project: Project
    where: Folder
    name: str
    shared: ClassVar[bool] = True
    node: ClassVar[str] = ""

    def observe(self) -> Cluster:
        self.write_kubeconfig()
        try:
            kube.reach(self.where)
        except DevenvError as error:
            raise DevenvError(f"context {self.name}: {error}") from error
        return Cluster.RUNNING

    def started(self) -> datetime | None:
        return None

    def images(self, refs: Collection[str]) -> frozenset[str]:
        with ThreadPoolExecutor() as pool:
            there = dict(zip(refs, pool.map(registry.has, refs), strict=True))
        return frozenset(ref for ref in refs if there[ref])

    def bring(self, ref: str, there: str, names: tuple[str, ...]) -> str:  # noqa: ARG002  a registry has one name
        with registry.lent(there):
            docker_host.tag(ref, there)
            return f"{there.rpartition(':')[0]}@{docker_host.push(there)}"

    def write_kubeconfig(self) -> None:
        """Write it each time: whoever renews the credentials in the person's kubeconfig renews ours."""
        context.write(context.kubeconfig(self.name, self.project.namespace), self.where)


def of(settings: Settings, where: Folder) -> Provider:
    """Return the provider that the settings name."""
    project = settings.project
    return Existing(project, where, project.context) if project.context else Kind(project, where)


def place(settings: Settings) -> Folder:
    """Return the environment's runtime folder."""
    return state.folder(settings.project.name, settings.project.context)
