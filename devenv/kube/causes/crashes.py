"""Containers that end: out of memory, by a probe, by an exception; and init containers that do not. Pure.

Sources: Kubernetes documentation, "Pod Lifecycle"; POSIX, "Shell Command Language": above 128 a code is 128 + signal.
"""

import signal

from devenv.kube.causes.cause import Cause, logs, short, up_after
from devenv.kube.causes.facts import Facts, Spot
from devenv.kube.causes.words import last_words
from devenv.kube.pods import mapping
from devenv.kube.readiness import status_of

OOM = "OOMKilled"
KILLED = ("failed liveness probe", "failed startup probe")
NOT_FOUND, NOT_EXECUTABLE = 127, 126  # a shell's own words (POSIX)
LOST = {"NodeLost", "Terminated", "NodeShutdown", "Preempting"}


def out_of_memory(facts: Facts) -> Cause | None:
    spot = facts.spot
    if spot is None or spot.ended.get("reason") != OOM:
        return None
    limit = mapping(mapping(spot.spec.get("resources")).get("limits")).get("memory")
    why = f"its limit is {limit}" if limit else "the node had none left"
    times = f", {spot.restarts} times so far" if spot.restarts > 1 else ""
    text = f"{spot.said} was killed for want of memory: {why}{times}"
    return Cause("out-of-memory", text, up_after("raise resources.limits.memory, or use less"))


def killed_by_probe(facts: Facts) -> Cause | None:
    """Return the liveness or startup probe that has the kubelet end the container."""
    spot = facts.spot
    if spot is None or not spot.ended or spot.init:
        return None
    told = next((m for m in facts.told("Killing") if any(words in m for words in KILLED)), "")
    if not told or spot.name not in told:
        return None
    which = "startup" if KILLED[1] in told else "liveness"
    said = next((m for m in facts.told("Unhealthy") if m.lower().startswith(which)), "")
    probe = mapping(spot.spec.get(f"{which}Probe"))
    patience = patience_s(probe)
    text = f"{spot.said} is ended by its {which} probe, which fails within {patience} s of its start"
    told_by = f": {short(said.partition(': ')[2], 160)}" if said else ""
    return Cause("probe", text + told_by, up_after(f"correct the {which}Probe, or give it more time"))


def patience_s(probe: dict[str, object]) -> int:
    """Return how soon a probe ends its container; the defaults are those of the API (Probe v1)."""

    def of(key: str, usual: int) -> int:
        value = probe.get(key)
        return value if isinstance(value, int) else usual

    return of("initialDelaySeconds", 0) + of("periodSeconds", 10) * of("failureThreshold", 3)


def crashed(facts: Facts) -> Cause | None:
    """Return how the container ended, with the last words of its log."""
    spot = facts.spot
    code = spot.ended.get("exitCode") if spot else None
    if spot is None or code is None:
        return None
    words = last_words(facts.lines)
    if code == 0:
        if spot.init or spot.runs:
            return None
        text = f"{spot.said} ends by itself, with exit code 0, and is started again and again"
        return Cause("ends", text, up_after("have its command stay in the foreground"))
    why = short(words) if words else meaning(int(code), spot)
    text = f"{spot.said} {ending(facts, spot)}: {why}"
    return Cause("init-failed" if spot.init else "crash", text, logs(facts.part))


def ending(facts: Facts, spot: Spot) -> str:
    code = spot.ended.get("exitCode")
    if spot.restarts:
        return f"crashes with exit code {code}, {spot.restarts} restart{'s' if spot.restarts > 1 else ''} so far"
    return f"{'failed' if facts.part.kind in ('Job', 'CronJob') or spot.init else 'crashed'} with exit code {code}"


def meaning(code: int, spot: Spot) -> str:
    """Return what an exit code means of a container that has said nothing."""
    if code == NOT_FOUND:
        return "its shell does not find the command"
    if code == NOT_EXECUTABLE:
        return "its command is not executable"
    if code > 128:
        try:
            return f"it was ended by {signal.Signals(code - 128).name}, and has said nothing"
        except ValueError:
            pass
    return "it has said nothing" + (f" ({short(str(spot.ended['message']), 160)})" if spot.ended.get("message") else "")


def still_initialising(facts: Facts) -> Cause | None:
    """Return the init container that the pod waits for."""
    spot = facts.spot
    if spot is None or not spot.init or not spot.runs:
        return None
    words = next((line.strip() for line in reversed(facts.lines) if line.strip()), "")
    text = f"{spot.said} has not ended yet, and all else waits for it: {short(words) or 'it has said nothing'}"
    return Cause("init-waits", text, logs(facts.part))


def lost(facts: Facts) -> Cause | None:
    """Return that a pod ended with its node, or for another."""
    status = status_of(facts.pod) if facts.pod else {}
    if status.get("reason") not in LOST and status.get("reason") != "DeadlineExceeded":
        return None
    if status["reason"] == "DeadlineExceeded":
        text = "the pod did not end within its activeDeadlineSeconds"
        return Cause("deadline", text, logs(facts.part))
    return Cause(
        "node-not-ready",
        f"the pod ended with its node: {short(str(status.get('message') or status['reason']))}",
        "kubectl get nodes",
    )
