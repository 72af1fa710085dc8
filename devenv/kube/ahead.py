"""Pods whose containers run other files than their image has, as an annotation on them says. Pure.

The fact stands on the pod, so that it is true whoever looks, and goes when the pod goes.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from devenv.kube.objects import Object

ANNOTATION = "devenv/ahead"


@dataclass(frozen=True)
class Ahead:
    """How many files of a pod are not those of its image, and the restarts of each container that were our doing.

    `restarts` has the count that the kubelet tells after our last one: those up to it are no sign of a crash loop.
    """

    files: int = 0
    restarts: Mapping[str, int] = field(default_factory=dict)

    def text(self) -> str:
        return json.dumps({"files": self.files, "restarts": dict(self.restarts)}, sort_keys=True)


def of(pod: Object) -> Ahead:
    """Return what a pod's annotation says; of one that we did not write, nothing."""
    try:
        told = json.loads((pod.meta.get("annotations") or {})[ANNOTATION])
        return Ahead(int(told["files"]), {str(name): int(count) for name, count in told["restarts"].items()})
    except (KeyError, ValueError, TypeError, AttributeError):
        return Ahead()


def said(pods: Iterable[Object]) -> str:
    """Return what to say of a workload's pods, or an empty string."""
    files = max((of(pod).files for pod in pods), default=0)
    return f"{files} file{'s' if files > 1 else ''} ahead of its image" if files else ""
