"""Whether a pod that the kubelet calls ready is to be believed, by how long its containers run and ran before. Pure."""

from datetime import datetime, timedelta

from devenv.kube import ahead, pod_state
from devenv.kube.objects import Object
from devenv.kube.pod_state import containers, ran
from devenv.kube.readiness import Document, spec_of, status_of

STEADY_AFTER = timedelta(seconds=10)  # a run that lasts for longer, and for twice as long as the one before
STEADY_AT_LAST = timedelta(minutes=1)  # nobody waits for longer to see a container fall that has run for long
# Where nothing probes a container the kubelet says Ready as soon as it runs, and it may fall over in a moment. Three
# seconds at least: its start and the API server's clock are told without fractions, which may make it a second older.
SETTLED_AFTER = timedelta(seconds=4)
# Of a node whose clock goes before the API server's nothing can be said.
SKEWED = timedelta(seconds=-2)


def restless(pod: Object, now: datetime) -> str:
    """Return why a pod that the kubelet calls ready is not to be believed yet, or an empty string."""
    if name := unsteady(pod, now):
        status = next(c for _, c in containers(status_of(pod)) if c["name"] == name)
        code = (status.get("lastState", {}).get("terminated") or {}).get("exitCode")
        return f"container {name}: runs again after {status.get('restartCount')} restarts, last exit code {code}"
    if name := unsettled(pod, now):
        return f"container {name}: has just begun, and nothing probes it"
    return ""


def unsteady(pod: Object, now: datetime) -> str:
    """Return the name of a container that runs, and is about to crash as its runs before did; or an empty string.

    Between two crashes the kubelet tells that it is ready where nothing probes it. What ended with its node did not
    crash.
    """
    ours, since = ahead.of(pod).restarts, pod_state.told_at(status_of(pod), pod_state.SANDBOX)
    for _, container in containers(status_of(pod)):
        before = container.get("lastState", {}).get("terminated") or {}
        restarts = container.get("restartCount", 0) - ours.get(container["name"], 0)
        ended = before.get("finishedAt")
        if restarts < pod_state.CRASHES_THAT_ARE_A_LOOP or not ended or ran(before) >= pod_state.RECOVERED_AFTER:
            continue
        by_itself = before.get("reason") != pod_state.ENDED_WITH_ITS_NODE and (not since or ended >= since)
        if by_itself and is_young(container, now, min(max(STEADY_AFTER, 2 * ran(before)), STEADY_AT_LAST)):
            return str(container["name"])
    return ""


def unsettled(pod: Object, now: datetime) -> str:
    """Return the name of a container that has just begun and that nothing probes, or an empty string."""
    wanted = spec_of(pod).get("containers") or ()
    probed = {c["name"] for c in wanted if c.get("readinessProbe") or c.get("startupProbe")}
    running = (c for c in status_of(pod).get("containerStatuses") or () if c["name"] not in probed)
    return next((str(c["name"]) for c in running if is_young(c, now, SETTLED_AFTER)), "")


def is_young(container: Document, now: datetime, age: timedelta) -> bool:
    """Whether a container runs, and has done so for less than an age."""
    begun = str((container.get("state", {}).get("running") or {}).get("startedAt") or "")
    return bool(begun) and SKEWED <= now - datetime.fromisoformat(begun) < age
