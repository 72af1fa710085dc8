"""Which of several causes comes first: the one that others lie behind. Pure."""

from collections.abc import Iterator, Sequence

from devenv.kube.causes.cause import Cause
from devenv.kube.causes.facts import Facts
from devenv.kube.objects import Id
from devenv.kube.readiness import Level

Found = tuple[Facts, Cause]
RANK = {Level.FAILED: 0, Level.PENDING: 1, Level.ABSENT: 2, Level.READY: 3}  # READY: a Service that leads nowhere


def in_order(found: Sequence[Found]) -> list[Found]:
    """Return the causes, each after what it lies behind; of those that are independent, failures first."""
    ranked = sorted(found, key=lambda f: RANK[f[0].readiness.level])
    done: list[Found] = []

    def visit(one: Found, above: tuple[Found, ...]) -> None:
        if one in done or one in above:  # what waits for each other in a circle comes as it is ranked
            return
        for before in lies_behind(one, ranked):
            visit(before, (*above, one))
        done.append(one)

    for one in ranked:
        visit(one, ())
    return done


def lies_behind(one: Found, among: Sequence[Found]) -> Iterator[Found]:
    """Yield those that a cause lies behind: the objects that it names, and what has those pods."""
    named = {*one[1].behind, *one[0].waits}
    yield from (f for f in among if f is not one and named & {*ids(f[0])})


def ids(facts: Facts) -> Iterator[Id]:
    yield facts.part
    yield from (pod.id for pod in facts.pods)


def without_echoes(found: Sequence[Found]) -> list[Found]:
    """Return the causes without those of Services that only say again that a workload's pods are not ready."""
    return [f for f in found if f[0].part.kind != "Service" or not any(lies_behind(f, found))]
