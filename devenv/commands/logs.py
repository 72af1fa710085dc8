"""devenv logs: what the containers of the environment say, in order of time."""

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain
from queue import Empty, Queue
from threading import Thread
from time import monotonic, sleep

from devenv.errors import DevenvError, Forbidden, NotFound, Unreachable
from devenv.kube import logs, parts, streams
from devenv.kube.logs import FIRST, Line, Source, Window
from devenv.kube.objects import Object, reference
from devenv.project import manifests
from devenv.reconcile import observe
from devenv.reconcile.environment import Environment
from devenv.reconcile.members import Members

Log = Callable[[str], None]
Told = Queue[Line | Object | DevenvError]
AT_ONCE = 16  # logs that are opened at a time; all that were are open until their end
HELD_S = 0.25  # how long a line is held, so that an earlier one of another container comes before it
TOLD_AFTER_S, AGAIN_S = 2.0, 0.5  # the API tells a moment later that a container has ended
WAITING = 10_000  # lines that are read and not printed yet


@dataclass(frozen=True)
class Limits:
    """Which lines are wanted of each container: the last so many, the last so many seconds; all where neither is."""

    tail: int | None = None
    since_s: float | None = None

    @property
    def query(self) -> dict[str, str]:
        tail = {} if self.tail is None else {"tailLines": str(self.tail)}
        return tail | ({} if self.since_s is None else {"sinceSeconds": str(max(1, math.ceil(self.since_s)))})


@dataclass
class Reader:
    """The logs of some parts of an environment. `ends` is how far each run of a container was read, by its ID."""

    env: Environment
    members: Members
    limits: Limits
    log: Log
    ends: dict[str, str] = field(default_factory=dict)
    _begun: set[str] = field(default_factory=set)  # runs that are read to their end, or were

    def history(self) -> Iterator[Line]:
        """Yield what there is now, in order of time; of each log no more is held than what one piece brings."""
        found = [s for part, pod in self.members.pods() for s in logs.sources(part, pod)]
        self.ends.update({source.run: FIRST for source in found})
        self._begun.update(source.run for source in found if not source.runs)
        if not found:
            self.log("no container has run yet")
        with ThreadPoolExecutor(AT_ONCE) as pool:  # each with its first line, so that none is waited for later
            opened = [*pool.map(lambda source: primed(self.told(source, self.limits)), found)]
        for line in logs.merged(opened):
            self.ends[line.source.run] = line.time
            yield line

    def told(self, source: Source, limits: Limits, after: str = FIRST, **more: str) -> Iterator[Line]:
        """Yield the lines of a log; of one that is gone meanwhile, nothing."""
        asked = {} if after else limits.query
        try:
            yield from streams.log(self.env.api.client, source, after, **asked, **more)
        except (Forbidden, Unreachable):
            raise
        except NotFound:
            return
        except DevenvError as error:
            self.log(f"{source.label}: {error}")

    def following(self) -> Iterator[Line]:
        """Yield what is said from now on, by the pods that come too, for ever."""
        told: Told = Queue(WAITING)
        for space in self.members.namespaces:
            Thread(target=self._watch, args=(space, told), daemon=True).start()
        window = Window(HELD_S)
        while True:
            try:
                found = told.get(timeout=HELD_S / 4)
            except Empty:
                found = None
            if isinstance(found, DevenvError):
                raise found
            if isinstance(found, Object):
                self._begin(found, told)
            elif found:
                window.add(found, monotonic())
            yield from window.due(monotonic())

    def _watch(self, namespace: str, told: Told) -> None:
        home = self.env.project.namespace
        try:
            for pod in streams.watched(self.env.api.client, streams.POD, namespace, home):
                told.put(pod)
        except DevenvError as error:
            told.put(error)

    def _begin(self, pod: Object, told: Told) -> None:
        """Read each run of a pod's containers that was not read to its end, in a thread of its own."""
        part = self.members.part_of(pod)
        for source in logs.sources(part, pod) if part else ():
            if source.run not in self._begun:
                self._begun.add(source.run)
                # What comes later is wanted whole, however little of what was there.
                limits = self.limits if source.run in self.ends else Limits()
                after = self.ends.get(source.run, FIRST)
                Thread(target=self._read, args=(source, limits, after, told), daemon=True).start()

    def _read(self, source: Source, limits: Limits, after: str, told: Told) -> None:
        """Follow the log of a run to its end, also where the connection breaks on the way."""
        more = {"follow": "true"} if source.runs else {}
        try:
            while True:
                pause = TOLD_AFTER_S
                try:
                    for line in self.told(source, limits, after, **more):
                        after = line.time
                        told.put(line)
                except Unreachable:
                    pause = AGAIN_S
                sleep(pause)
                if not (source.runs and self._goes_on(source)):
                    return
        except DevenvError as error:
            told.put(error)

    def _goes_on(self, source: Source) -> bool:
        """Whether a run goes on, so that the end of its log was that of a connection."""
        while True:
            try:
                pod = self.env.api.get(reference("v1", "Pod", source.pod.name, source.pod.namespace))
            except Unreachable:
                sleep(AGAIN_S)
                continue
            return pod is not None and any(s.run == source.run and s.runs for s in logs.sources(source.part, pod))


def reader(env: Environment, names: Sequence[str], limits: Limits, log: Log) -> Reader:
    """Return what reads the logs of the parts of these names, of all where there is none.

    Raise UsageError for a name that no part has, and DevenvError where the cluster does not run.
    """
    wanted = parts.chosen(names, parts.of(manifests.objects(env.settings)))
    observe.require_answers(env)
    return Reader(env, Members(env, wanted), limits, log)


def primed(told: Iterator[Line]) -> Iterator[Line]:
    """Return the same lines, the first of them read already."""
    first = next(told, None)
    return iter(()) if first is None else chain((first,), told)
