"""A run as a Chrome trace, the JSON that Perfetto and chrome://tracing read. Pure.

Source: Trace Event Format, the JSON Object Format with events X (complete), i (instant) and M (metadata); times in
microseconds since 1970.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from devenv.kube.pod_times import Interval
from devenv.reconcile.timeline import Timeline

STEPS, PODS = 1, 2  # the trace's processes
TraceEvent = dict[str, Any]


def chrome(run: Timeline, pods: Iterable[Interval]) -> dict[str, Any]:
    """Return the trace of a run: its spans on as few lanes as they need, and each pod's on lanes of its own."""
    during = [i for i in pods if i.end >= int(run.began) and i.start <= run.began + run.seconds]
    title = f"devenv {run.verb}"
    events = [
        *named(STEPS, "process_name", title),
        *steps(run),
        *(named(PODS, "process_name", "pods (the API's clock, whole seconds)") if during else ()),
        *pod_events(during),
    ]
    return {"traceEvents": events, "displayTimeUnit": "ms", "otherData": {"run": title, "outcome": run.outcome}}


def lanes(times: Iterable[tuple[float, float]]) -> list[int]:
    """Return a lane for each interval, as few as there can be: on one lane nothing overlaps. Sorted by their starts."""
    free: list[float] = []  # when the last one of each lane ends
    found = []
    for start, end in times:
        lane = next((n for n, until in enumerate(free) if until <= start), len(free))
        free[lane : lane + 1] = [end]
        found.append(lane)
    return found


def steps(run: Timeline) -> Iterator[TraceEvent]:
    ordered = sorted(run.spans, key=lambda s: (s.start, s.end))
    placed = lanes((s.start, s.end) for s in ordered)
    for lane in sorted(set(placed)):
        yield from named(STEPS, "thread_name", f"steps {lane + 1}", lane + 1)
    for span, lane in zip(ordered, placed, strict=True):
        args = {"state": span.state, "needs": [run.spans[n].name for n in span.needs]}
        yield complete(STEPS, lane + 1, span.name, run.began + span.start, run.began + span.end, args)


def pod_events(during: Iterable[Interval]) -> Iterator[TraceEvent]:
    by_pod: dict[str, list[Interval]] = {}
    for interval in during:
        by_pod.setdefault(interval.pod, []).append(interval)
    first = 1  # the next lane that is free, over all pods
    for pod in sorted(by_pod, key=lambda p: (min(i.start for i in by_pod[p]), p)):
        ordered = sorted(by_pod[pod], key=lambda i: (i.start, i.end))
        placed = lanes((i.start, i.end) for i in ordered)
        for lane in sorted(set(placed)):
            yield from named(PODS, "thread_name", f"{pod} ({lane + 1})" if lane else pod, first + lane)
        for interval, lane in zip(ordered, placed, strict=True):
            args = {"note": interval.note} if interval.note else {}
            yield complete(PODS, first + lane, interval.name, interval.start, interval.end, args)
        first += max(placed) + 1


def complete(pid: int, tid: int, name: str, start: float, end: float, args: dict[str, Any]) -> TraceEvent:
    at = {"name": name, "pid": pid, "tid": tid, "ts": round(start * 1e6), "args": args}
    if start == end:  # a viewer draws what takes no time only as an instant
        return {**at, "ph": "i", "s": "t"}
    return {**at, "ph": "X", "dur": round(end * 1e6) - round(start * 1e6)}


def named(pid: int, what: str, name: str, tid: int = 0) -> Iterator[TraceEvent]:
    """Yield what gives a process or a lane its name, and its place among the others."""
    yield {"ph": "M", "name": what, "pid": pid, "tid": tid, "args": {"name": name}}
    order = what.replace("_name", "_sort_index")
    yield {"ph": "M", "name": order, "pid": pid, "tid": tid, "args": {"sort_index": tid or pid}}
