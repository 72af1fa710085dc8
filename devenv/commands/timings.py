"""devenv timings: a run and its pods as a trace."""

from collections.abc import Callable
from typing import Any

from devenv.cluster.state import Cluster
from devenv.errors import DevenvError
from devenv.kube import pod_times
from devenv.kube.pod_times import Interval
from devenv.reconcile import trace as tracing
from devenv.reconcile.environment import Environment
from devenv.reconcile.timeline import Timeline


def trace(env: Environment, run: Timeline, log: Callable[[str], None]) -> dict[str, Any]:
    """Return a Chrome trace of a run, with what the API tells of the pods at that time, as far as it can be asked."""
    return tracing.chrome(run, pods(env, run, log))


def pods(env: Environment, run: Timeline, log: Callable[[str], None]) -> list[Interval]:
    if not run.namespaces or run.outcome == "interrupted":  # who interrupts does not want to wait for the API
        return []
    try:
        # A promotion leaves no copy of the credentials behind, and a look at its cluster would write one.
        reached = env.provider.shared and env.is_connected
        if not reached and env.provider.observe() is not Cluster.RUNNING:
            return []
        found = [dict(pod.raw) for pod in env.api.objects("v1", "Pod", run.namespaces)]
        return pod_times.intervals(found, env.api.events(run.namespaces))
    except DevenvError as error:
        log(f"the trace has no pods: {error}")
        return []
