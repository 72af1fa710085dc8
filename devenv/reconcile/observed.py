"""One snapshot of what is there, as a value. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from devenv.certificates import rules
from devenv.cluster.state import Cluster
from devenv.kube.objects import KEPT, Id, Object
from devenv.kube.readiness import Readiness


@dataclass(frozen=True)
class Differences:
    """What differs from what is wanted, by object: why."""

    drifted: Mapping[Id, str] = field(default_factory=dict)  # others have changed it
    fixed: Mapping[Id, str] = field(default_factory=dict)  # the change that is wanted cannot be made in place
    invalid: Mapping[Id, str] = field(default_factory=dict)  # the API server does not take it as it is wanted
    asked: frozenset[Id] = frozenset()  # a person wants it made anew, with the loss of what it holds

    @classmethod
    def of(cls, found: Iterable[tuple[Id, str, str]]) -> "Differences":
        kinds: dict[str, dict[Id, str]] = {"drifted": {}, "fixed": {}, "invalid": {}}
        for id_, kind, why in found:
            kinds.get(kind, {})[id_] = why
        return cls(kinds["drifted"], kinds["fixed"], kinds["invalid"])

    @property
    def replaced(self) -> frozenset[Id]:
        """What is deleted and applied anew."""
        return self.asked | {id_ for id_ in self.fixed if id_.kind not in KEPT}

    @property
    def kept(self) -> Mapping[Id, str]:
        """What can neither be changed nor be replaced unasked, and why."""
        return {id_: why for id_, why in self.fixed.items() if id_ not in self.replaced}


@dataclass(frozen=True)
class Observed:
    """One snapshot of what is there."""

    host_images: frozenset[str] = frozenset()  # references on the Docker host
    registries: Mapping[str, bool] = field(default_factory=dict)  # whether the registry of a reference answers
    cluster: Cluster = Cluster.ABSENT
    node_images: frozenset[str] = frozenset()  # references of the stack that the nodes have, or find
    sources: Mapping[Id, str | None] = field(default_factory=dict)  # the hash that each was applied from
    living: Mapping[Id, Object] = field(default_factory=dict)  # what is there of ours
    readiness: Mapping[Id, Readiness] = field(default_factory=dict)
    ahead: Mapping[Id, tuple[Object, ...]] = field(default_factory=dict)  # workload -> its pods with other files
    leaving: frozenset[Id] = frozenset()  # what of it is being deleted
    differences: Differences = Differences()
    foreign: frozenset[Id] = frozenset()  # desired objects that are there and not ours
    orphans: tuple[Object, ...] = ()  # objects of ours that are no longer desired
    certificate: rules.Seen | None = None  # of the ingress, where one is wanted and the cluster runs
    forwards_hash: str = ""  # of the forwards that a living process serves, or an empty string
    forwards_closed: str = ""  # why not all of these lead to a service that answers, or an empty string

    def asked(self, ids: frozenset[Id]) -> "Observed":
        """Return it with what a person wants made anew; what is not there is made anyway."""
        return replace(self, differences=replace(self.differences, asked=ids & self.sources.keys()))
