"""What is left to do: a pure function from what is desired and what is there to ordered steps, each with its cause."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import partial
from graphlib import TopologicalSorter
from types import MappingProxyType

from devenv.certificates import rules
from devenv.cluster.state import Cluster
from devenv.kube import ahead, attachment, hooks
from devenv.kube.objects import RUN_AGAIN, Id, Object
from devenv.kube.readiness import Level, Readiness
from devenv.kube.verdict import LEAVES
from devenv.project.schema import LOCAL, Tls
from devenv.project.stack import NODE, Stack
from devenv.reconcile import attached, gated, guards, replacing
from devenv.reconcile.actions import (
    Action,
    ApplyObjects,
    AwaitComplete,
    AwaitForwards,
    AwaitReady,
    CreateCluster,
    DeleteObject,
    IssueCertificate,
    ReplaceObject,
    ReplacePods,
    RunJob,
    StartCluster,
    StartForwards,
    Step,
    WriteEnvFile,
)
from devenv.reconcile.image_steps import load_steps, obtain_steps
from devenv.reconcile.observed import Observed

# Said of an object that goes: why it is ours to delete too (`Api.ours`).
DROPPED = "no longer in the manifests; devenv applied it for this environment"
# The steps of what runs nothing, and what each comes after, beside the workloads that answer for it.
PLAIN = ("objects", "webhooks", "guarded objects")
AFTER = (("cluster", "env-file"), ("cluster", "objects"), ("cluster", "objects", "webhooks"))
GONE_WITHIN_S = 60.0  # a pod that is asked to end
AS_ASKED = "is replaced, as --replace says"
NOT_OURS = "exists and is not managed by devenv"  # said of an object: `up` refuses to overwrite it


def make_plan(desired: Stack, observed: Observed) -> tuple[Step, ...]:
    """Return the steps still missing, each one after the steps it needs.

    What a stopped or paused cluster holds is seen only when it runs: its plan is to start it, and then to look again.
    """
    if observed.cluster.rests:
        return (Step("cluster", StartCluster(desired.namespaces), observed.cluster.value, 300),)
    return ordered(missing(desired, observed))


def ordered(found: Iterable[Step]) -> tuple[Step, ...]:
    steps = {step.name: step for step in found}
    needs = {name: tuple(n for n in step.needs if n in steps) for name, step in steps.items()}
    return tuple(steps[name] for name in TopologicalSorter(needs).static_order())


def missing(desired: Stack, observed: Observed) -> Iterator[Step]:
    settings = desired.settings
    if desired.env_text is not None:
        path = settings.path(settings.project.env_file)
        yield Step("env-file", WriteEnvFile(path, desired.env_text), f"{settings.project.env_file} does not exist", 5)
    yield from obtain_steps(desired, observed, needed_images(desired, observed))
    if observed.cluster is not Cluster.RUNNING:
        action = CreateCluster(desired.images[NODE])
        yield Step("cluster", action, observed.cluster.value, 300, (f"image {NODE}", "env-file"))
    yield from load_steps(desired, observed.node_images, desired.wanted_images)
    changed = replacing.begun_again(desired, observed) | changed_objects(desired.objects, observed)
    within_s, needs = settings.project.ready_within_s, partial(workload_needs, desired)
    awaited = {o.id for o in desired.awaited}
    held = (gated.held(desired, changed, observed), replacing.held(desired, observed), loaded_first(desired))
    waiting = {id_: after for id_ in changed if (after := tuple(n for found in held for n in found.get(id_, ())))}
    yield from object_steps(desired.objects, changed, observed, within_s, needs, awaited, waiting)
    yield from ahead_steps(desired, observed, changed, within_s)
    yield from replacing.waits(desired, observed, changed, within_s)
    yield from attached.steps(observed)
    # What takes their place comes first: a workload under another name may not come up.
    after = ("cluster", *PLAIN, *(f"ready {o.id}" for o in desired.awaited))
    for tier in guards.removal(attached.others(observed.orphans)):
        yield from (Step(f"delete {orphan.id}", DeleteObject(orphan), DROPPED, 60, after) for orphan in tier)
        after = (*after, *(f"delete {orphan.id}" for orphan in tier))
    if settings.project.tls and (why := certificate_due(settings.project.tls, observed.certificate)):
        yield certificate_step(settings.project.tls, why)
    yield from forward_steps(desired, observed)


def ahead_steps(desired: Stack, observed: Observed, changed: Mapping[Id, str], within_s: float) -> Iterator[Step]:
    """Yield the steps that replace pods whose files are ahead of their image, where nothing else replaces them."""
    for obj in (o for o in desired.workloads if o.id in observed.ahead and o.id not in changed):
        pods = observed.ahead[obj.id]
        name = f"pods of {obj.id}"
        yield Step(name, ReplacePods(pods), ahead.said(pods), GONE_WITHIN_S, ("cluster", *PLAIN))
        yield Step(f"ready {obj.id}", AwaitReady(obj), "its pods are replaced", within_s, (name,))


def certificate_due(tls: Tls, seen: rules.Seen | None) -> str:
    if seen:
        return rules.upkeep_due(tls.issuer, tls.host, seen)
    return "is not in the cluster" if tls.issuer == LOCAL else ""


def certificate_step(tls: Tls, why: str) -> Step:
    return Step(f"certificate {tls.host}", IssueCertificate(tls), why, 30, ("cluster", "objects"))


def needed_images(desired: Stack, observed: Observed) -> list[str]:
    """Return the images that the Docker host must have: the node's, if one is to be made, and what the node lacks."""
    made = observed.cluster is Cluster.RUNNING or observed.cluster.rests
    lacking = [n for n in desired.wanted_images if desired.ref(n) not in observed.node_images]
    return lacking if made else [NODE, *lacking]


def changed_objects(objects: Iterable[Object], observed: Observed) -> dict[Id, str]:
    """Return why each object that has to be applied has to be."""
    return {obj.id: why for obj in objects if (why := change(obj, observed))}


def change(obj: Object, observed: Observed) -> str:
    ending = {id_.name for id_ in observed.leaving if id_.kind == "Namespace"}  # with all that is in them
    if obj.id in observed.leaving or obj.id.namespace in ending:
        return LEAVES
    if obj.id in observed.foreign:
        # We may be a guest in a namespace.
        return "" if obj.kind == "Namespace" else NOT_OURS
    if obj.id not in observed.sources:
        return "is not in the cluster"
    if (why := observed.differences.fixed.get(obj.id)) or obj.id in observed.differences.asked:
        replaced = obj.id in observed.differences.replaced
        return f"cannot be changed in place{', and is replaced' if replaced else ''}: {why}" if why else AS_ASKED
    if attachment.record_of(observed.living.get(obj.id)):
        return attachment.TOOK
    if observed.sources[obj.id] != obj.source:
        return new_source(obj, observed.living.get(obj.id), observed.readiness.get(obj.id))
    return observed.differences.drifted.get(obj.id, "")


def new_source(obj: Object, there: Object | None, ready: Readiness | None) -> str:
    """Return why an object whose source is another has to be applied.

    One with inputs of its own that has ended keeps its verdict, whatever its images have become. While it runs there is
    none: then it is those that may never come to one.
    """
    if not (obj.inputs and there and there.inputs):
        return "its source changed"
    if obj.inputs != there.inputs:
        return "its inputs changed"
    ended = ready is not None and ready.level in (Level.READY, Level.FAILED)
    return "" if ended and obj.said == there.said else "its source changed"


def object_steps(
    objects: Iterable[Object],
    changed: Mapping[Id, str],
    observed: Observed,
    within_s: float,
    needs: Callable[[Object], Iterable[str]],
    awaited: Collection[Id] = (),
    held: Mapping[Id, tuple[str, ...]] = MappingProxyType({}),
) -> Iterator[Step]:
    """Yield the steps that apply what changed, what runs nothing in one step, and see every workload ready, and what
    else is awaited.

    `needs` names the steps that a workload comes after, beside those that apply what runs nothing; `held` has those of
    configuration that comes later, each before what reads it.
    """
    found = [*objects]
    plain, order = tuple(o for o in found if not o.runs), guards.order(found)
    fixed, readiness = observed.differences.replaced, observed.readiness
    own = fixed | held.keys()  # each in a step of its own
    for name, tier, before in zip(PLAIN, (order.first, order.guards, order.guarded), AFTER, strict=True):
        answering = {f"ready {server.id}" for o in tier for server in order.servers.get(o, ())}
        needed = (*before, *sorted(answering))
        if due := tuple(o for o in tier if o.id in changed and o.id not in own):
            yield Step(name, ApplyObjects(due), summary(due, changed), 60, needed)
        for obj in (o for o in tier if o.id in own):
            after = (*needed, name, *held.get(obj.id, ()))
            if obj.id in fixed:
                yield Step(f"replace {obj.id}", ReplaceObject(obj), changed[obj.id], 60, after)
            else:
                yield Step(f"apply {obj.id}", ApplyObjects((obj,)), changed[obj.id], 60, after)
    # A volume may be made for the first pod that claims it, and a load balancer's address is the forwards' to give.
    after = ("cluster", *PLAIN, "forwards", *(f"apply {o.id}" for o in found if o.runs))
    for obj in (o for o in plain if o.id in awaited):
        applied = (f"apply {obj.id}", f"replace {obj.id}")
        yield from await_steps(obj, changed.get(obj.id, ""), readiness.get(obj.id), within_s, (*after, *applied))
    for workload in (o for o in found if o.runs):
        configured = (f"{verb} {id_}" for id_ in sorted(workload.references & own) for verb in ("apply", "replace"))
        others = (f"replace {o.id}" for o in order.first if o.id not in held)
        needed = ("cluster", "objects", f"detach {workload.id}", *others, *configured, *needs(workload))
        how = ReplaceObject(workload) if workload.id in fixed else ApplyObjects((workload,))
        cause = changed.get(workload.id, "")
        yield from workload_steps(workload, how, cause, readiness.get(workload.id), within_s, needed)


def summary(objects: Iterable[Object], changed: Mapping[Id, str]) -> str:
    by_cause: dict[str, list[str]] = {}
    for obj in objects:
        by_cause.setdefault(changed[obj.id], []).append(str(obj.id))
    return "; ".join(f"{', '.join(names)}: {cause}" for cause, names in by_cause.items())


def workload_steps(
    obj: Object, how: Action, cause: str, ready: Readiness | None, within_s: float, needs: tuple[str, ...]
) -> Iterator[Step]:
    again = obj.kind in RUN_AGAIN
    if again and not cause and ready and ready.level is Level.FAILED:
        cause = "failed last time"
    name = f"{'run' if again else 'apply'} {obj.id}"
    if cause:
        yield Step(name, RunJob(obj) if again else how, cause, 120, needs)
    yield from await_steps(obj, cause, ready, within_s, (name, "cluster"))


def await_steps(
    obj: Object, cause: str, ready: Readiness | None, within_s: float, needs: tuple[str, ...]
) -> Iterator[Step]:
    if cause or not ready or ready.level is not Level.READY:
        why = "was just applied" if cause else (ready.why if ready else "is not in the cluster")
        yield Step(f"ready {obj.id}", AwaitReady(obj), why, within_s, needs)
        if obj.kind == "Job":
            yield complete_step(obj, why, within_s)


def complete_step(job: Object, why: str, within_s: float) -> Step:
    """Return the step that nothing waits for but the last word: what a Job gates may begin before."""
    return Step(f"complete {job.id}", AwaitComplete(job), why, within_s, (f"ready {job.id}",))


def workload_needs(desired: Stack, obj: Object) -> list[str]:
    """Return the steps that a workload comes after: its images on the node, its gates, and what is loaded before it."""
    loaded = [f"apply {o.id}" for o in hooks.loaded_before(obj, desired.workloads)]
    return [*loads(desired, obj), *loaded, *(f"ready {gate.id}" for gate in desired.gates_before(obj))]


def loaded_first(desired: Stack) -> dict[Id, tuple[str, ...]]:
    """Return what comes after its images although it runs nothing: custom resources that an operator makes pods of."""
    return {o.id: needs for o in desired.objects if not o.runs and (needs := loads(desired, o))}


def loads(desired: Stack, obj: Object) -> tuple[str, ...]:
    """Return the steps that bring an object's images to the nodes."""
    names = (name for name in desired.wanted_images if desired.ref(name) in obj.images)
    return tuple(f"{desired.delivery.verb} {name}" for name in names)


def forward_steps(desired: Stack, observed: Observed) -> Iterator[Step]:
    closed = observed.forwards_closed
    if observed.forwards_hash != desired.forwards_hash:
        cause = "targets changed" if observed.forwards_hash else "no process serves them"
        action = StartForwards(desired.forwards, desired.forwards_hash, desired.node_ports)
        yield Step("forwards", action, cause, 30, ("cluster", "objects"))
        closed = "were just started"
    if closed and desired.forwards:
        ready = tuple(f"ready {o.id}" for o in desired.workloads)
        yield Step("forwards open", AwaitForwards(), closed, 60, ("forwards", *ready))
