"""The cause of what is not ready: rules in the order in which one excludes those after it. Pure."""

from devenv.kube.causes import (
    admission,
    configs,
    crashes,
    databases,
    images,
    policies,
    probes,
    programs,
    scheduling,
    services,
    storage,
)
from devenv.kube.causes.cause import Cause, Rule, short
from devenv.kube.causes.facts import Facts
from devenv.kube.readiness import Level
from devenv.kube.verdict import LEAVES


def absent(facts: Facts) -> Cause | None:
    if facts.seen is not None:
        return None
    if facts.waits:
        names = ", ".join(map(str, facts.waits))
        return Cause(
            "waits", f"it is not applied before {names} is ready", f"devenv explain {facts.waits[0]}", facts.waits
        )
    return Cause("absent", f"{facts.part} is not in the cluster", "devenv up")


def leaving(facts: Facts) -> Cause | None:
    if facts.seen is None or not facts.seen.leaves:
        return None
    held = ", ".join(facts.seen.meta.get("finalizers") or ())
    why = f"; it goes once these finalizers are done: {held}" if held else ""
    return Cause("leaving", f"{facts.part} is being deleted{why}", "devenv up")


def readiness(facts: Facts) -> Cause | None:
    """Return what its own conditions say, where no rule knows more."""
    if facts.readiness.level is Level.READY:
        return None
    kind = "failed" if facts.readiness.level is Level.FAILED else "pending"
    why = short(facts.readiness.why) or "it is not ready yet, and says no more"
    next_ = f"devenv logs {facts.part} --tail 50" if kind == "failed" and facts.pods else f"devenv wait {facts.part}"
    return Cause(kind, f"{facts.part}: {why}" if why != LEAVES else why, next_)


# What a container has said counts before how it ended or is probed: it is nearer to the cause.
RULES: tuple[Rule, ...] = (
    absent, leaving, services.of, storage.of_claim, admission.of,
    scheduling.evicted, scheduling.unschedulable, crashes.lost,
    configs.of, images.pull, images.wrong_architecture, images.unstartable,
    crashes.out_of_memory, probes.wrong_port,
    databases.migration, databases.schema, databases.told_by_probe, storage.full, programs.port_taken, programs.expired,
    programs.name_unknown, programs.no_answer, policies.denied,
    crashes.killed_by_probe, probes.answered, crashes.crashed, crashes.still_initialising,
    probes.failing, probes.never_asked, readiness,
)  # fmt: skip


def of(facts: Facts) -> Cause | None:
    """Return the cause of what is wrong with a part; None where nothing is."""
    if facts.readiness.level is Level.READY:  # what a Service leads to is no part of its readiness
        return services.of(facts)
    return next((cause for rule in RULES if (cause := rule(facts))), None)
