"""devenv events: what the API tells of the environment's objects, and of what was made for them."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from queue import Queue
from threading import Thread

from devenv.errors import DevenvError
from devenv.kube import events, streams
from devenv.kube.events import Told
from devenv.kube.objects import Id, Object
from devenv.project import manifests
from devenv.reconcile import observe
from devenv.reconcile.environment import Environment


@dataclass
class Events:
    """The events of an environment's objects."""

    env: Environment
    objects: tuple[Id, ...]
    _seen: set[tuple[str | int, ...]] = field(default_factory=set)

    def history(self) -> list[Told]:
        """Return what the API still has of them, in order of time: those of an hour."""
        home, client = self.env.project.namespace, self.env.api.client
        found = [e for space in self.namespaces for e in streams.listed(client, streams.EVENT, space, home)[0]]
        told = events.wanted(found, self.objects, home)
        self._seen.update(event.key for event in told)
        return told

    @property
    def namespaces(self) -> list[str]:
        return sorted({self.env.project.namespace, *(id_.namespace for id_ in self.objects)} - {""})

    def following(self) -> Iterator[Told]:
        """Yield what happens from now on, as it is told, for ever."""
        found: Queue[Object | DevenvError] = Queue()
        for space in self.namespaces:
            Thread(target=self._watch, args=(space, found), daemon=True).start()
        while True:
            if isinstance(event := found.get(), DevenvError):
                raise event
            for told in events.wanted([event], self.objects, self.env.project.namespace):
                if told.key not in self._seen:  # a watch that begins again tells all again
                    self._seen.add(told.key)
                    yield told

    def _watch(self, namespace: str, found: "Queue[Object | DevenvError]") -> None:
        try:
            for event in streams.watched(self.env.api.client, streams.EVENT, namespace, self.env.project.namespace):
                found.put(event)
        except DevenvError as error:
            found.put(error)


def look(env: Environment) -> Events:
    """Return what finds the events of what is in the manifests. Raise DevenvError where the cluster does not run."""
    objects = tuple(o.id for o in manifests.objects(env.settings))
    observe.require_answers(env)
    return Events(env, objects)
