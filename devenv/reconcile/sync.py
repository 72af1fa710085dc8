"""Files sent into the containers that run their image, and these seen to answer with them."""

import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from time import monotonic

from devenv.cluster import inplace
from devenv.errors import DevenvError, TimedOut
from devenv.forwarder.spec import OPEN
from devenv.kube import ahead
from devenv.kube.objects import Id, Object
from devenv.kube.readiness import conditions
from devenv.project.schema import Sync, Then
from devenv.project.stack import Stack
from devenv.reconcile import forwards, targets, tree
from devenv.reconcile.environment import Environment
from devenv.reconcile.targets import State, Target
from devenv.reconcile.tree import Delta, Tree
from devenv.reconcile.watched import Files
from devenv.reconcile.ways import Watched

LOOKS_EACH_S, OPEN_WITHIN_S = 0.2, 30.0


@dataclass(frozen=True)
class Sent:
    """Files that a container was sent, and what tells it from the one that ran before."""

    target: Target
    image: str
    then: Then
    before: frozenset[str]  # IDs of the containers that had not started with them
    at: float  # seconds since 1970


@dataclass
class Syncer:
    """Keeps the containers of a stack that is up at the files as they are here.

    What each has got is known by its pod: one that is made anew starts from the image.
    """

    env: Environment
    desired: Stack
    watched: Watched
    given: dict[tuple[str, str], Tree] = field(default_factory=dict)
    stamp: int = 0  # of the last archive, in seconds since 1970
    homeless: bool = False  # the last time there were files for which no container of their image was found

    def __post_init__(self) -> None:
        folders = [folder for folder in self.watched.folders if folder.synced and folder.runs]
        self.files = {folder.name: Files(self.watched, folder) for folder in folders}
        images = self.desired.images
        self.built = {name: files.built(images[name].source.files) for name, files in self.files.items()}
        self.wanted: dict[str, Tree] = dict(self.built)

    def read(self) -> list[Path]:
        """Take the files as they are now for what is to be sent, and return those that changed since the last time.

        Raise DevenvError for Python that does not compile.
        """
        found = {name: files.now() for name, files in self.files.items()}
        changed = [f for name, new in found.items() for f in tree.difference(self.wanted[name], new).put]
        if faults := [*tree.uncompilable(changed)]:
            raise DevenvError("\n".join(faults))
        before, self.wanted = self.wanted, found
        homes = {folder.name: Path(folder.path) for folder in self.watched.folders}
        return [
            homes[name] / path
            for name, new in found.items()
            for path in sorted({*before[name], *new})
            if before[name].get(path) != new.get(path)
        ]

    @property
    def ahead(self) -> int:
        """How many files are not those that the images were built from."""
        return sum(tree.count(self.built[name], new) for name, new in self.wanted.items())

    def syncs(self, image: str) -> tuple[Sync, ...]:
        return self.desired.settings.project.images[image].sync

    def due(self) -> list[tuple[Target, str, Delta]]:
        """Return the containers that have not got the files as they are to be, with their image and what they lack."""
        living = self.env.api.objects("v1", "Pod", self.desired.namespaces)
        found = []
        self.homeless = False
        for name, new in self.wanted.items():
            tops = [sync.from_ for sync in self.syncs(name)]
            there = targets.of(self.desired.ref(name), self.syncs(name), living)
            self.homeless |= not there and new != self.built[name]
            for target in there:
                if delta := tree.difference(self.given.get(target.key, self.built[name]), new, tops):
                    found.append((target, name, delta))
        return found

    def send(self) -> list[Sent]:
        """Send every container what it lacks, and return what was sent."""
        due = self.due()
        self.stamp = max(self.stamp + 1, int(time.time()))
        by_pod = groupby(sorted(due, key=lambda one: one[0].key), lambda one: one[0].key[0])
        with ThreadPoolExecutor() as pool:
            return [sent for found in pool.map(self._to_pod, [[*some] for _, some in by_pod]) for sent in found]

    def _to_pod(self, due: list[tuple[Target, str, Delta]]) -> list[Sent]:
        self._annotate(due)
        return [self._to_container(*one) for one in due]

    def _annotate(self, due: list[tuple[Target, str, Delta]]) -> None:
        """Write on a pod what it will have, before it has it: nobody is to take it for what its image is."""
        pod = due[0][0].pod
        files = sum(tree.count(self.built[name], self.wanted[name]) for _, name, _ in due)
        restarted = {t.container: t.restarts + 1 for t, name, _ in due if self._then(name).kind == "restart"}
        text = ahead.Ahead(files, {**ahead.of(pod).restarts, **restarted}).text()
        self.env.api.annotate(pod, {ahead.ANNOTATION: text})

    def _then(self, image: str) -> Then:
        return self.desired.settings.project.images[image].then

    def _to_container(self, target: Target, image: str, delta: Delta) -> Sent:
        then, base = self._then(image), next(iter(target.places.values()))
        container = inplace.Container(target.key[0], target.container, base)
        archive = tree.archive([(target.name_of(file.path), file) for file in delta.put], self.stamp)
        gone = [target.name_of(path) for path in delta.gone]
        taken = inplace.send(self.env.provider.node, container, archive, gone, then.kind, then.words)
        self.given[target.key] = self.wanted[image]
        at = time.time() if then.kind == "restart" else taken.at
        return Sent(target, image, then, taken.ids | target.ids, at)

    def settle(self, sent: Iterable[Sent], superseded: Callable[[], bool]) -> bool:
        """Wait until the containers answer with what they were sent; return False where a newer change makes that idle.

        Raise DevenvError where one crashes, TimedOut where one is not ready in time.
        """
        left, within_s = [*sent], self.desired.settings.project.ready_within_s
        pods, end = {str(one.target.pod.id) for one in left}, monotonic() + within_s
        while left:
            living = {o.id: o for o in self.env.api.objects("v1", "Pod", self.desired.namespaces)}
            left = [one for one in left if not self._is_ready(one, living)]
            if superseded():
                return False
            if left and monotonic() > end:
                names = ", ".join(str(one.target.pod.id) for one in left)
                raise TimedOut(f"{names} not ready after {within_s:g} s")
            if left:
                time.sleep(LOOKS_EACH_S)
        return self._await_forwards(pods, superseded)

    def _is_ready(self, one: Sent, living: Mapping[Id, Object]) -> bool:
        pod = living.get(one.target.pod.id)
        image = self.desired.settings.project.images[one.image]
        if one.then.kind != "restart" and not image.loaded:
            return pod is not None and "Ready" in conditions(pod)
        if one.then.kind == "restart" or pod is None:
            seen = targets.outcome(pod, one.target.container, one.before, one.at)
        else:
            seen = targets.told(self.env.api.log_since(pod.id, one.target.container, one.at), image, one.at)
        if seen.state is State.CRASHED:
            log = f"\nthe end of its log:\n{self.env.api.log(one.target.pod.id)}" if pod else ""
            raise DevenvError(f"{one.target.pod.id}, container {one.target.container}: {seen.why}{log}")
        return seen.state is State.READY

    def _await_forwards(self, pods: set[str], superseded: Callable[[], bool]) -> bool:
        """Wait until the forwards that lead to these pods were seen to answer."""
        end = monotonic() + OPEN_WITHIN_S
        while True:
            seen = [f for f in forwards.status(self.env.folder) if {f"pod/{p.name}" for p in f.pods} & names(pods)]
            if not (closed := [f for f in seen if f.state != OPEN]):
                return True
            if superseded():
                return False
            if monotonic() > end:
                raise TimedOut("; ".join(f"forward {f.name} is {f.state}: {f.reason}" for f in closed))
            time.sleep(LOOKS_EACH_S)


def names(pods: Iterable[str]) -> set[str]:
    return {pod.partition("@")[0] for pod in pods}
