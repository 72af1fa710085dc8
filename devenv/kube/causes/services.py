"""Services that lead to no pod. Pure."""

from collections.abc import Iterable, Mapping
from difflib import SequenceMatcher
from typing import Any

from devenv.kube.causes.cause import Cause, kubectl, up_after
from devenv.kube.causes.facts import Facts, selected
from devenv.kube.objects import Document, Object
from devenv.kube.pods import mapping, mappings, templates
from devenv.kube.readiness import Level, conditions, spec_of


def of(facts: Facts) -> Cause | None:
    """Return why a Service leads to no pod: its selector and the labels that are there, its port, or the pods."""
    if facts.part.kind != "Service" or facts.seen is None:
        return None
    spec, here = spec_of(facts.seen), facts.around.pods_in(facts.part.namespace)
    selector = mapping(spec.get("selector"))
    if not selector or spec.get("type") == "ExternalName":
        return None
    pods = selected(here, selector)
    if not pods:
        return without_pods(facts, selector) if makers(facts, selector) else mismatch(facts, selector, here)
    if (lacking := named_port(spec, pods)) is not None:
        has = ", ".join(sorted({*names(pods)})) or "none"
        text = f"{facts.part} leads to port {lacking} of its pods, and they name no such port; they name: {has}"
        return Cause("no-endpoints", text, up_after("correct targetPort or the name of the container's port"))
    if not any("Ready" in conditions(p) for p in pods):
        text = f"{facts.part} leads to no pod, since none of {len(pods)} with its labels is ready: {pods[0].id}"
        return Cause("no-endpoints", text, "devenv explain", tuple(p.id for p in pods))
    if facts.readiness.level is not Level.READY:  # of one with an address of a load balancer
        text = f"{facts.part} {facts.readiness.why}"
        return Cause("no-address", text, kubectl(f"describe service {facts.part.name}", facts.part.namespace))
    return None


def makers(facts: Facts, selector: Document) -> list[Object]:
    """Return the workloads whose pods are to have these labels."""
    here = [o for o in facts.around.workloads if o.id.namespace == facts.part.namespace]
    return [o for o in here if any(selector.items() <= labels_of(t).items() for t in templates(o.raw))]


def labels_of(template: Document) -> Document:
    return mapping(mapping(template.get("metadata")).get("labels"))


def without_pods(facts: Facts, selector: Document) -> Cause | None:
    """Return whose pods are lacking; nothing where none is wanted."""
    wanting = [o for o in makers(facts, selector) if spec_of(o).get("replicas") != 0]
    if not wanting:
        return None
    ids = tuple(o.id for o in wanting)
    text = f"{facts.part} leads to no pod, since {', '.join(map(str, ids))} has none"
    return Cause("no-endpoints", text, f"devenv explain {ids[0]}", ids)


def mismatch(facts: Facts, selector: Document, here: Iterable[Object]) -> Cause:
    """Return both: what the Service selects, and the labels of the pods that come nearest."""
    pods = [*here]

    def fits(pod: Object) -> tuple[float, int]:
        labels = pod.meta.get("labels") or {}
        keys = selector.keys() & labels.keys()
        alike = sum(SequenceMatcher(None, str(labels[k]), str(selector[k])).ratio() for k in keys)
        return alike + near(pod, facts.part.name), len(keys)

    nearest = max(pods, key=fits, default=None)
    if nearest is None:
        text = f"{facts.part} selects {shown(selector)}, and there is no pod in namespace {facts.part.namespace}"
        return Cause("no-endpoints", text, "devenv status")
    labels = nearest.meta.get("labels") or {}
    theirs = {key: value for key, value in labels.items() if key in selector} or labels
    text = f"{facts.part} selects {shown(selector)}, and no pod has these labels; {nearest.id} has {shown(theirs)}"
    return Cause("no-endpoints", text, up_after("correct the selector or the labels of the pods"))


def near(pod: Object, name: str) -> int:
    return pod.id.name == name or pod.id.name.startswith(f"{name}-")


def shown(labels: Document) -> str:
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items())) or "no labels"


def named_port(spec: Mapping[str, Any], pods: Iterable[Object]) -> str | None:
    """Return a port that the Service names and none of its pods does, or None."""
    known = {*names(pods)}
    wanted = [p.get("targetPort") for p in mappings(spec.get("ports"))]
    return next((port for port in wanted if isinstance(port, str) and not port.isdigit() and port not in known), None)


def names(pods: Iterable[Object]) -> Iterable[str]:
    for pod in pods:
        for container in mappings(spec_of(pod).get("containers")):
            yield from (str(p["name"]) for p in mappings(container.get("ports")) if p.get("name"))
