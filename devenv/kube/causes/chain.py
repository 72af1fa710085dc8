"""The chain that leads from a part to its cause: owner, pod, container, conditions, events, last log lines. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

from devenv.kube.causes.cause import short
from devenv.kube.causes.facts import Facts, Spot
from devenv.kube.pods import mapping
from devenv.kube.readiness import Document, Level, status_of, told

EVENTS, LINES = 3, 3  # of each at most so many, the newest
NEGATIVE = (
    "Failed",
    "FailureTarget",
    "ReplicaFailure",
    "Stalled",
    "Suspended",
    "Lost",
)  # true where something is wrong
SPOILT = ("ContainersReady", "PodReadyToStartContainers")  # say nothing that Ready does not


@dataclass(frozen=True)
class Link:
    """A link of the chain. `depth` is how far it is from the part."""

    depth: int
    kind: str  # owner, pod, container, condition, event or log
    name: str
    text: str


def of(facts: Facts) -> tuple[Link, ...]:
    return tuple(links(facts))


def links(facts: Facts) -> Iterator[Link]:
    level = facts.readiness.level
    yield Link(0, "owner", str(facts.part), "not in the cluster" if facts.seen is None else level.name.lower())
    depth = 1
    if facts.between:
        yield Link(depth, "owner", f"replicaset/{facts.between.id.name}", counts(status_of(facts.between)))
        depth += 1
    if facts.pod:
        yield Link(depth, "pod", f"pod/{facts.pod.id.name}", pod_says(status_of(facts.pod), facts.pod.raw))
        depth += 1
        if facts.spot:
            yield Link(depth, "container", facts.spot.said, state(facts.spot))
            depth += 1
    yield from (Link(depth, "condition", name, text) for name, text in conditions(facts))
    yield from (Link(depth, "event", reason, text) for reason, text in events(facts))
    if facts.answer:
        yield Link(depth, "log", "probe's answer", short(facts.answer))
    named = "log (former run)" if facts.tail and facts.tail.previous else "log"
    lines = [line.strip() for line in facts.lines if line.strip()]
    yield from (Link(depth, "log", named, line) for line in lines[-LINES:])


def counts(status: Document) -> str:
    return f"{status.get('readyReplicas', 0)} of {status.get('replicas', 0)} pods ready"


def pod_says(status: Document, raw: Document) -> str:
    node = mapping(raw.get("spec")).get("nodeName")
    why = f" ({status['reason']})" if status.get("reason") else ""
    return f"{status.get('phase', 'Pending')}{why}{f' on {node}' if node else ', on no node'}"


def state(spot: Spot) -> str:
    """Return what a container is at, in a few words."""
    runs = "runs for now" if spot.status.get("ready") else "runs, not ready"
    now = str(spot.waiting.get("reason") or "waiting") if spot.waiting else runs if spot.runs else "ended"
    restarts = f", {spot.restarts} restart{'s' if spot.restarts > 1 else ''}" if spot.restarts else ""
    reason = f" ({spot.ended['reason']})" if spot.ended.get("reason") not in (None, "Error", "Completed") else ""
    code = f", exit code {spot.ended.get('exitCode')}{reason}" if spot.ended else ""
    return f"{now}{restarts}{code}"


def conditions(facts: Facts) -> Iterator[tuple[str, str]]:
    """Yield the conditions that tell of something wrong: those of the pod, else those of the part."""
    obj = facts.pod or facts.seen
    for name, condition in told(obj).items() if obj else ():
        if name in SPOILT or (condition.get("status") == "True") is not (name in NEGATIVE):
            continue
        why = ": ".join(str(condition[key]) for key in ("reason", "message") if condition.get(key))
        yield f"{name} {condition.get('status')}", short(why)


def events(facts: Facts) -> list[tuple[str, str]]:
    """Return the newest events, warnings first where there are some; each message once."""
    warnings = [e for e in facts.events if e.get("type") == "Warning"]
    found: dict[tuple[str, str], None] = {}
    for event in reversed(warnings or (facts.events if facts.readiness.level is not Level.READY else ())):
        found.setdefault((str(event.get("reason")), short(str(event.get("message") or ""))))
    return [*found][:EVENTS][::-1]
