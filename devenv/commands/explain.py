"""devenv explain: why a part is not ready, by the chain that leads to its cause."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from devenv.forwarder.spec import LOST, OPEN
from devenv.kube import parts
from devenv.kube.causes import chain, order, rules
from devenv.kube.causes.cause import Cause
from devenv.kube.causes.chain import Link
from devenv.kube.causes.facts import Facts
from devenv.kube.objects import Id, Object
from devenv.kube.readiness import Level
from devenv.project import sources
from devenv.project.stack import Stack
from devenv.reconcile import explaining, forwards, observe
from devenv.reconcile.environment import Environment


@dataclass(frozen=True)
class Explanation:
    """What is wrong with a part, as `devenv explain -o json` tells it; without a cause, nothing is."""

    part: str
    state: str
    chain: tuple[Link, ...] = ()
    kind: str = ""
    cause: str = ""
    next: str = ""


def explain(env: Environment, names: Sequence[str]) -> list[Explanation]:
    """Return why parts of these names are not ready; of all parts, those that are not, the first cause first.

    Raise UsageError for a name that no part has, and DevenvError where the cluster does not run.
    """
    desired = sources.load(env.settings)
    known = explained(desired)
    chosen = parts.chosen(names, tuple(o.id for o in known))
    observe.require_answers(env)
    found = explaining.facts(env.api, desired, [o for o in known if o.id in chosen])
    wrong = order.in_order([(facts, cause) for facts in found if (cause := rules.of(facts))])
    if not names:
        return [said(*one) for one in order.without_echoes(wrong)] or [*closed(env, desired)]
    ill, named = {f.part for f, _ in wrong}, meant(names, known)
    well = [Explanation(str(f.part), Level.READY.name) for f in found if f.part in named - ill]
    return [*(said(*one) for one in wrong), *well]


def meant(names: Sequence[str], known: Sequence[Object]) -> set[Id]:
    """Return whom these names mean: where nothing is wrong, a workload's own is not that of its Services too."""
    found = set()
    for name in names:
        there = [o for o in known if parts.is_named(o.id, name)]
        found |= {o.id for o in there if o.runs} or {o.id for o in there}
    return found


def explained(desired: Stack) -> list[Object]:
    """Return what can be explained: what is waited for, and the Services of the manifests."""
    ours = {service.id for service in desired.node_ports.values()}
    return [o for o in desired.objects if o in desired.awaited or (o.kind == "Service" and o.id not in ours)]


def closed(env: Environment, desired: Stack) -> Iterator[Explanation]:
    """Yield why forwards lead nowhere although nothing is wrong with the stack itself."""
    seen = {f.name: f for f in forwards.status(env.folder)}
    for forward in desired.forwards:
        name, there = f"forward/{forward.name}", seen.get(forward.name)
        to = f"127.0.0.1:{forward.local_port} to service {forward.service}"
        if taken := forwards.newly_taken(env.folder, [forward]):
            yield Explanation(name, LOST, (Link(0, "owner", name, to),), "port-taken", taken[0], "devenv doctor")
        elif there and there.state != OPEN:
            cause = f"{name} is {there.state}: {there.reason or 'it has not been answered yet'}"
            next_ = "devenv forward start" if there.state == LOST else "devenv forward status"
            yield Explanation(name, there.state, (Link(0, "owner", name, to),), "forward", cause, next_)


def said(facts: Facts, cause: Cause) -> Explanation:
    # A Service is there and ready although it leads to no pod.
    ready = facts.readiness.level is Level.READY
    state = (Level.PENDING if cause.behind else Level.FAILED) if ready else facts.readiness.level
    return Explanation(str(facts.part), state.name, chain.of(facts), cause.kind, cause.text, cause.next)
