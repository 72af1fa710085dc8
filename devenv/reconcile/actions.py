"""The steps of a plan as data: what each does, with what, why it is there, what it needs. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from devenv.forwarder.spec import AUTO, ForwardSpec
from devenv.images.graph import Image
from devenv.kube.objects import Document, Object
from devenv.project.schema import Tls


@dataclass(frozen=True)
class Action:
    """What a step does, with all that it does it to; handlers.py knows how."""


@dataclass(frozen=True)
class WriteEnvFile(Action):
    path: Path
    text: str


@dataclass(frozen=True)
class ObtainImage(Action):
    image: Image
    images: Mapping[str, Image]  # among them those that it is built from
    pull: bool
    no_cache: bool = False  # without what Docker kept of earlier builds


@dataclass(frozen=True)
class CreateCluster(Action):
    image: Image


@dataclass(frozen=True)
class StartCluster(Action):
    """Start the node again. `namespaces` are those whose pods are waited for."""

    namespaces: tuple[str, ...]


@dataclass(frozen=True)
class LoadImage(Action):
    image: Image
    target: str  # the reference by which the nodes have it
    names: tuple[str, ...]  # further names of it on the node


@dataclass(frozen=True)
class ApplyObjects(Action):
    objects: tuple[Object, ...]


@dataclass(frozen=True)
class RunJob(Action):
    """Run a Job again: a Job's template cannot be changed, so the old one goes first."""

    job: Object


@dataclass(frozen=True)
class ReplaceObject(Action):
    """Delete an object and apply it anew: it cannot be changed in place. Of a StatefulSet pods and claims stay."""

    object: Object


@dataclass(frozen=True)
class ReplacePods(Action):
    """Delete pods; their workload makes others."""

    pods: tuple[Object, ...]


@dataclass(frozen=True)
class Restart(Action):
    """Have a workload replace its pods, as `kubectl rollout restart` does: its template changes by the moment `at`."""

    object: Object
    at: str


@dataclass(frozen=True)
class SetTemplate(Action):
    """Put a template of pods in the place of a workload's own, as `kubectl rollout undo` does."""

    object: Object
    template: Document


@dataclass(frozen=True)
class MergeObject(Action):
    """Change these fields of an object that is there, and nothing else of it."""

    object: Object
    body: Document


@dataclass(frozen=True)
class Detach(Action):
    """Give a workload its place back, as it is written on it: a local process took it."""

    object: Object  # as it is in the cluster


@dataclass(frozen=True)
class AwaitReady(Action):
    object: Object


@dataclass(frozen=True)
class AwaitEnd(Action):
    """See a Job of before at its end, well or not: then it may go."""

    job: Object


@dataclass(frozen=True)
class AwaitComplete(Action):
    """See a Job counted as complete: its pod has succeeded, which is enough for what waits for it."""

    job: Object


@dataclass(frozen=True)
class DeleteObject(Action):
    object: Object


@dataclass(frozen=True)
class StartForwards(Action):
    forwards: tuple[ForwardSpec, ...]
    hash: str
    node_ports: Mapping[str, Object]  # forward -> the Service whose node port leads to its pods
    via: str = AUTO


@dataclass(frozen=True)
class AwaitForwards(Action):
    pass


@dataclass(frozen=True)
class IssueCertificate(Action):
    """Let the environment's own authority sign."""

    tls: Tls


@dataclass(frozen=True)
class DefineKinds(Action):
    """Apply the resource definitions that an image carries in /crds."""

    image: Image


@dataclass(frozen=True)
class RequestCertificate(Action):
    """Ask an ACME authority; `recreate` drops a request that has failed, which would not be repeated for an hour."""

    issuer: Object
    certificate: Object
    recreate: bool


@dataclass(frozen=True)
class AwaitCertificate(Action):
    certificate: Object
    tls: Tls


@dataclass(frozen=True)
class Step:
    name: str  # "image api"
    action: Action
    cause: str  # why it is in the plan: "3f9c… is not on the node"
    within_s: float  # how long it may take
    needs: tuple[str, ...] = ()  # names of steps; one that is not in the plan is already done
    undo: Action | None = None  # what takes the step back where a later one fails

    def without_cache(self) -> "Step":
        """Return the step that obtains an image without what Docker kept of earlier builds."""
        assert isinstance(self.action, ObtainImage)
        return replace(self, action=replace(self.action, no_cache=True))


def reopened(*needs: str) -> Step:
    """Return the step that sees all forwards open again after these steps, in which pods were replaced."""
    return Step("forwards open", AwaitForwards(), "pods are replaced", 60.0, needs)
