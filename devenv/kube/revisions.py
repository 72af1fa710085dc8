"""The revisions of a workload, as its controller keeps them, and the way back to one. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from devenv.errors import UsageError
from devenv.kube.objects import Document, Object

NUMBER, CAUSE = "deployment.kubernetes.io/revision", "kubernetes.io/change-cause"
HASH = "pod-template-hash"  # the label by which a Deployment's controller tells its ReplicaSets apart
REPLACE = "$patch"  # of a strategic merge patch: in the place of what is there
# What keeps the revisions of a kind (Kubernetes documentation, "Deployments" and "StatefulSets", rolling back).
KEPT_BY = {"Deployment": "ReplicaSet", "StatefulSet": "ControllerRevision", "DaemonSet": "ControllerRevision"}


@dataclass(frozen=True)
class Revision:
    number: int
    template: Document  # of its pods
    made: str  # RFC 3339
    cause: str  # what a person has written of it (kubernetes.io/change-cause)

    @property
    def images(self) -> list[str]:
        spec = self.template.get("spec") or {}
        return [str(c["image"]) for key in ("initContainers", "containers") for c in spec.get(key) or ()]


def of(workload: Object, kept: Iterable[Object]) -> list[Revision]:
    """Return the revisions of a workload, the oldest first: the last one is what runs."""
    own = (o for o in kept if any(r.get("uid") == workload.meta["uid"] for r in o.meta.get("ownerReferences") or ()))
    return sorted((revision for o in own if (revision := parsed(o))), key=lambda revision: revision.number)


def parsed(kept: Object) -> Revision | None:
    notes = kept.meta.get("annotations") or {}
    raw = kept.raw if kept.kind == "ReplicaSet" else kept.raw.get("data") or {}
    number = str(notes.get(NUMBER, "") if kept.kind == "ReplicaSet" else kept.raw.get("revision", ""))
    template = (raw.get("spec") or {}).get("template")
    if not template or not number.isdecimal():
        return None
    made = str(kept.meta.get("creationTimestamp", ""))
    return Revision(int(number), plain(template), made, str(notes.get(CAUSE, "")))


def plain(template: Document) -> Document:
    """Return a template without what the controller has written into it."""
    meta = dict(template.get("metadata") or {})
    labels = {key: value for key, value in (meta.get("labels") or {}).items() if key != HASH}
    rest = {key: value for key, value in template.items() if key not in (REPLACE, "metadata")}
    return {**rest, "metadata": {**meta, "labels": labels}}


def chosen(workload: Object, there: Sequence[Revision], number: int | None) -> Revision:
    """Return the revision to go back to: this one, or the one before what runs. Raise UsageError if there is none."""
    former = there[:-1]
    if number is None and former:
        return former[-1]
    if found := next((revision for revision in former if revision.number == number), None):
        return found
    kept = ", ".join(str(revision.number) for revision in former) or "none"
    what = f"revision {number}" if number is not None else "revision before the one that runs"
    raise UsageError(f"{workload.id} has no {what} to go back to; kept are: {kept}")


def patch(template: Document) -> Document:
    """Return the strategic merge patch that puts a template in the place of another."""
    return {"spec": {"template": {**template, REPLACE: "replace"}}}
