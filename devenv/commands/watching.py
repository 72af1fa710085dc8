"""devenv status --watch: the status, and again whenever something of it has changed."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from threading import Event, Thread
from time import sleep
from typing import Any

from devenv.cluster.state import Cluster
from devenv.commands.status import Status, report
from devenv.errors import DevenvError
from devenv.kube import streams
from devenv.kube.kinds import Kind
from devenv.project import sources
from devenv.project.stack import Stack
from devenv.reconcile import observe
from devenv.reconcile.environment import Environment
from devenv.reconcile.plan import make_plan

MERGED_S = 0.3  # changes that come together are one
# Of what nobody tells: the forwards, drift, files of the project. A cluster that does not run tells nothing at all, and
# little is asked of it.
LOOK_EACH_S, LOOK_AT_REST_EACH_S = 10.0, 2.0
COUNTS = ("connections", "served", "refused", "sent", "received", "since")  # of a forward: no change of its state


@dataclass
class News:
    """Hears of what happens in a cluster, kind by kind, and wakes who waits for it."""

    env: Environment
    _woken: Event = field(default_factory=Event)
    _hearing: dict[tuple[str, str], Thread] = field(default_factory=dict)

    def listen(self, desired: Stack) -> None:
        """Hear of the pods and of what makes them, from now on; what is no longer heard of is listened to again."""
        kinds = [streams.POD, *(k for k in self.env.api.kinds if k.name in {o.kind for o in desired.workloads})]
        for kind, space in ((kind, space) for kind in kinds for space in desired.namespaces):
            hearing = self._hearing.get((kind.name, space))
            if hearing is None or not hearing.is_alive():
                self._hearing[kind.name, space] = Thread(target=self._hear, args=(kind, space), daemon=True)
                self._hearing[kind.name, space].start()

    def _hear(self, kind: Kind, namespace: str) -> None:
        client, home = self.env.api.client, self.env.project.namespace
        with suppress(DevenvError):  # the next look says what is wrong
            version = streams.listed(client, kind, namespace, home)[1]
            self._woken.set()  # what happened before that was not heard of
            for _ in streams.changes(client, kind, namespace, home, version):
                self._woken.set()

    def wait(self, within_s: float) -> None:
        """Return once something has happened, and no more than the next moment will bring; or when time is up."""
        if self._woken.wait(within_s):
            sleep(MERGED_S)
            self._woken.clear()


def followed(env: Environment) -> Iterator[Status]:
    """Yield the status each time that it was looked at, for ever: after each change in the cluster, and now and then.

    Raise DevenvError where the first look fails; later that is a status too, and the way out its `next`.
    """
    news, before = News(env), None
    while True:
        runs = False
        try:
            desired = sources.load(env.settings)
            observed = observe.snapshot(desired, env)
            seen = report(env, desired, observed, make_plan(desired, observed))
            runs = observed.cluster is Cluster.RUNNING
            if runs:
                news.listen(desired)
        except DevenvError as error:
            if before is None:
                raise
            seen = replace(before, ready=False, next=str(error))
        if not runs:
            env.forget_api()  # the next cluster of this name is another
        yield seen
        before = seen
        news.wait(LOOK_EACH_S if runs else LOOK_AT_REST_EACH_S)


def told(before: Status | None, seen: Status) -> Iterator[str]:
    """Yield a line for each part that is not as it was; all of them at first. Pure."""
    if before is None or seen.cluster != before.cluster:
        yield f"cluster {seen.name} {Cluster[seen.cluster].value}"
    former, parts = rows(before), rows(seen)
    for name, said in parts.items():
        if former.get(name) != said:
            yield f"{name}: {said}"
    for name in former:
        if name not in parts:
            yield f"{name}: is not looked at any more"
    if before is None or (seen.ready, seen.next) != (before.ready, before.next):
        yield "everything is ready" if seen.ready else seen.next


def rows(seen: Status | None) -> dict[str, str]:
    """Return what is to be said of each part, and of each file that is replaced."""
    if seen is None:
        return {}
    parts = [(w["name"], w["state"], w["why"]) for w in seen.workloads]
    parts += [(f"forward/{f.name}", f.state, f.reason) for f in seen.forwards]
    said = {name: f"{state}{f': {why}' if why else ''}" for name, state, why in parts}
    return said | dict.fromkeys(seen.replaced, "replaced, not the image's")


def essence(seen: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a status, as JSON has it, without what changes while nothing happens."""
    return {**seen, "forwards": [{k: v for k, v in f.items() if k not in COUNTS} for f in seen["forwards"]]}
