"""What the API server asks before it takes an object: webhooks, aggregated APIs, and the workloads that answer. Pure.

While nobody answers, the API server refuses what they guard (failurePolicy: Fail), or does not know its kind.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from devenv.kube import pods
from devenv.kube.objects import Object
from devenv.kube.pods import mapping, mappings  # what is wrong of these kinds the API server says

WEBHOOKS = ("ValidatingWebhookConfiguration", "MutatingWebhookConfiguration")
DEFINITION = "CustomResourceDefinition"


@dataclass(frozen=True)
class Order:
    """What runs nothing, by when it may be applied; `servers` are the workloads that the last two wait for."""

    first: tuple[Object, ...]
    guards: tuple[Object, ...]
    guarded: tuple[Object, ...]
    servers: dict[Object, tuple[Object, ...]]


def order(objects: Iterable[Object]) -> Order:
    """Sort what runs nothing. A guard whose Service is not among the objects is somebody else's and answers already."""
    found = [*objects]
    plain = [o for o in found if not o.runs]
    behind = {o: served for o in plain if (served := tuple(servers(o, found)))}
    guards = tuple(o for o in behind if o.kind != DEFINITION)
    guarded = {o: served for o in plain if o not in behind and (served := tuple(answering(o, behind)))}
    first = tuple(o for o in plain if o not in guards and o not in guarded)
    return Order(first, guards, tuple(guarded), {guard: behind[guard] for guard in guards} | guarded)


def removal(objects: Iterable[Object]) -> tuple[tuple[Object, ...], ...]:
    """Sort what is to go, by when: none before may need what goes later.

    A webhook that is left without its workload refuses what it guards, its deletion too; a custom resource may have a
    finalizer that only its operator takes away; the kinds of an API service are known as long as its workload answers.
    """
    tiers: tuple[list[Object], ...] = ([], [], [], [])
    for obj in objects:
        tiers[0 if obj.kind in WEBHOOKS else 1 if obj.is_custom else 2 if obj.kind == "APIService" else 3].append(obj)
    return tuple(tuple(tier) for tier in tiers if tier)


def called(obj: Object) -> Iterator[tuple[str, str]]:
    """Yield namespace and name of each Service that the API server calls because of this object."""
    spec = mapping(obj.raw.get("spec"))
    configs: list[Any] = []
    if obj.kind in WEBHOOKS:
        configs = [hook.get("clientConfig") for hook in mappings(obj.raw.get("webhooks"))]
    elif obj.kind == DEFINITION:
        configs = [mapping(mapping(spec.get("conversion")).get("webhook")).get("clientConfig")]
    elif obj.kind == "APIService":
        configs = [spec]
    for config in configs:
        service = mapping(mapping(config).get("service"))
        if service.get("name"):
            yield str(service.get("namespace", "")), str(service["name"])


def servers(guard: Object, objects: Collection[Object]) -> Iterator[Object]:
    """Yield the workloads behind the Services that a guard calls."""
    wanted = {*called(guard)}
    for service in objects:
        if service.kind == "Service" and (service.id.namespace, service.id.name) in wanted:
            selector = (service.raw.get("spec") or {}).get("selector") or {}
            yield from (
                o for o in objects if o.runs and o.id.namespace == service.id.namespace and selects(selector, o)
            )


def selects(selector: dict[str, str], workload: Object) -> bool:
    labels = [(t.get("metadata") or {}).get("labels") or {} for t in pods.templates(workload.raw)]
    return bool(selector) and any(selector.items() <= one.items() for one in labels)


def answering(obj: Object, behind: dict[Object, tuple[Object, ...]]) -> Iterator[Object]:
    """Yield the workloads that the API server asks about a custom resource. Other kinds wait for nobody: the workloads
    themselves need them, and a webhook that guarded those would never start.
    """
    for guard, served in behind.items():
        if obj.is_custom and obj.id.group in groups(guard):
            yield from served


def groups(guard: Object) -> frozenset[str]:
    """Return the API groups that an object guards by their names; one of all groups is about more than its own."""
    spec = mapping(guard.raw.get("spec"))
    if guard.kind in WEBHOOKS:
        rules = [rule for hook in mappings(guard.raw.get("webhooks")) for rule in mappings(hook.get("rules"))]
        return frozenset(str(group) for rule in rules for group in rule.get("apiGroups") or ())
    return frozenset({str(spec.get("group", ""))})
