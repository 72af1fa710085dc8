"""The pods of the environment's parts, as the cluster has them."""

from dataclasses import dataclass, field

from devenv.kube import parts, streams
from devenv.kube.objects import Document, Id, Object, reference
from devenv.reconcile.environment import Environment


@dataclass
class Members:
    """Finds the pods of some parts, by who owns them."""

    env: Environment
    parts: tuple[Id, ...]
    _owners: dict[str, Object | None] = field(default_factory=dict)

    @property
    def namespaces(self) -> list[str]:
        return sorted({part.namespace for part in self.parts})

    def pods(self) -> list[tuple[Id, Object]]:
        """Return each pod with its part."""
        home, client = self.env.project.namespace, self.env.api.client
        there = [pod for space in self.namespaces for pod in streams.listed(client, streams.POD, space, home)[0]]
        return [(part, pod) for pod in there if (part := self.part_of(pod))]

    def part_of(self, pod: Object) -> Id | None:
        return parts.part_of(pod, self.parts, self._owner)

    def _owner(self, ref: Document, namespace: str) -> Object | None:
        """Return what owns an object, which never changes; one that is gone owns nothing that is known."""
        uid = str(ref.get("uid"))
        if uid not in self._owners:
            named = reference(str(ref["apiVersion"]), str(ref["kind"]), str(ref["name"]), namespace)
            self._owners[uid] = self.env.api.get(named)
        return self._owners[uid]
