"""What is left to do: a pure function from what is wanted and what is there to ordered steps, each with its cause."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from graphlib import TopologicalSorter

from devenv import manifest, tls
from devenv.acts import (
    ApplyObjects,
    AwaitForwards,
    AwaitReady,
    DeleteObject,
    IssueCertificate,
    LoadImage,
    MakeCluster,
    ObtainImage,
    RunJob,
    StartForwards,
    Step,
    WriteEnvFile,
)
from devenv.graph import Image
from devenv.manifest import Document
from devenv.readiness import Level, Readiness
from devenv.stack import NODE, Stack
from devenv.table import LOCAL

SOMEBODY = "is somebody else's"  # said of an object: `up` refuses to take it over


class Cluster(Enum):
    """The state of the cluster: of the kind cluster of our name, or of one that exists, which runs or is none."""

    ABSENT = "does not exist"
    FOREIGN = "was not made by devenv"
    UNFINISHED = "its creation did not finish"
    STOPPED = "is stopped, or has just been started"
    RUNNING = "is running"


@dataclass(frozen=True)
class Observed:
    """One snapshot of what is there."""

    host_images: frozenset[str] = frozenset()  # references on the Docker host
    registries: Mapping[str, bool] = field(default_factory=dict)  # whether the registry of a reference answers
    cluster: Cluster = Cluster.ABSENT
    node_images: frozenset[str] = frozenset()  # references of the stack that the nodes have, or find
    sources: Mapping[str, str] = field(default_factory=dict)  # object -> hash of the source it was applied from
    readiness: Mapping[str, Readiness] = field(default_factory=dict)
    foreign: frozenset[str] = frozenset()  # wanted objects that are there and somebody else's
    strays: tuple[str, ...] = ()  # objects of ours that are wanted no more
    certificate: tls.Seen | None = None  # of the ingress, where one is wanted and the cluster runs
    forwards_hash: str = ""  # of the forwards that a living process serves, or nothing
    forwards_closed: str = ""  # why not all of these lead to a service that answers, or nothing


def make_plan(want: Stack, have: Observed) -> tuple[Step, ...]:
    """Return the steps still missing, each one after the steps it needs.

    What a stopped cluster holds is seen only when it runs: its plan is to start it, and then to look again.
    """
    if have.cluster is Cluster.STOPPED:
        return (cluster_step(have),)
    return ordered(missing(want, have))


def cluster_step(have: Observed) -> Step:
    stopped = have.cluster is Cluster.STOPPED
    needs = () if stopped else (f"image {NODE}", "env-file")
    return Step("cluster", MakeCluster(stopped), have.cluster.value, 300, needs)


def image_plan(want: Stack, have: Observed, names: Iterable[str]) -> tuple[Step, ...]:
    """Return the part of a plan that brings some images to the host and to the node."""
    chosen = [*names]
    return ordered([*obtain_steps(want, have, chosen), *load_steps(want, have, [n for n in chosen if n != NODE])])


def ordered(found: Iterable[Step]) -> tuple[Step, ...]:
    steps = {step.name: step for step in found}
    needs = {name: tuple(n for n in step.needs if n in steps) for name, step in steps.items()}
    return tuple(steps[name] for name in TopologicalSorter(needs).static_order())


def missing(want: Stack, have: Observed) -> Iterator[Step]:
    if want.env_text is not None:
        yield Step("env-file", WriteEnvFile(), f"{want.settings.project.env_file} does not exist", 5)
    yield from obtain_steps(want, have, needed_images(want, have))
    if have.cluster is not Cluster.RUNNING:
        yield cluster_step(have)
    yield from load_steps(want, have, want.wanted_images)
    changed = {manifest.key(o): change(o, have) for o in want.objects}
    yield from object_steps(want, have, {key: why for key, why in changed.items() if why})
    yield from certificate_steps(want, have)
    yield from forward_steps(want, have)


def certificate_steps(want: Stack, have: Observed) -> Iterator[Step]:
    table = want.settings.project.tls
    if table is None:
        return
    absent = "" if table.issuer != LOCAL else "is not in the cluster"
    if why := tls.upkeep_due(table.issuer, table.host, have.certificate) if have.certificate else absent:
        yield certificate_step(table.host, why)


def certificate_step(host: str, why: str) -> Step:
    return Step(f"certificate {host}", IssueCertificate(), why, 30, ("cluster", "objects"))


def tag(image: Image) -> str:
    return image.ref.rpartition(":")[2]


def needed_images(want: Stack, have: Observed) -> list[str]:
    """Return the images that the Docker host must have: the node's, if one is to be made, and what the node lacks."""
    made = have.cluster in (Cluster.RUNNING, Cluster.STOPPED)
    lacking = [n for n in want.wanted_images if want.ref(n) not in have.node_images]
    return lacking if made else [NODE, *lacking]


def obtain_steps(want: Stack, have: Observed, names: Iterable[str]) -> Iterator[Step]:
    for name in obtained(want.images, have, names):
        image = want.images[name]
        pull = is_pulled(image, have)
        how = f"pulled from {image.source.pull}" if pull else f"built from {folder_name(image)}"
        cause = f"{tag(image)} is not on this host; {how}"
        needs = () if pull else tuple(f"image {base}" for base in image.bases)
        yield Step(f"image {name}", ObtainImage(name, pull), cause, 3600, needs)


def anew(step: Step) -> Step:
    """Return the step that obtains an image without what Docker kept of earlier builds."""
    assert isinstance(step.act, ObtainImage)
    return replace(step, act=replace(step.act, anew=True))


def load_steps(want: Stack, have: Observed, names: Iterable[str]) -> Iterator[Step]:
    for name in names:
        if want.ref(name) not in have.node_images:
            cause = f"{tag(want.images[name])} {want.delivery.lack}"
            yield Step(f"{want.delivery.verb} {name}", LoadImage(name), cause, 300, ("cluster", f"image {name}"))


def folder_name(image: Image) -> str:
    return image.source.folder.name if image.source.folder else "nothing"


def is_pulled(image: Image, have: Observed) -> bool:
    return image.source.folder is None or bool(image.source.pull and have.registries.get(image.source.pull))


def obtained(images: Mapping[str, Image], have: Observed, roots: Iterable[str]) -> list[str]:
    """Return the images to obtain: those not on the host, and for a built one its bases likewise."""
    found: dict[str, None] = {}
    for name in roots:
        image = images[name]
        if image.ref in have.host_images:
            continue
        if not is_pulled(image, have):
            found.update(dict.fromkeys(obtained(images, have, image.bases)))
        found[name] = None
    return list(found)


def change(obj: Document, have: Observed) -> str:
    """Return why an object has to be applied, or nothing. A namespace may be somebody else's: we are a guest in it."""
    key = manifest.key(obj)
    if key in have.foreign:
        return "" if obj["kind"] == "Namespace" else SOMEBODY
    if key not in have.sources:
        return "is not in the cluster"
    return "" if have.sources[key] == manifest.source(obj) else "its source changed"


def object_steps(want: Stack, have: Observed, changed: Mapping[str, str]) -> Iterator[Step]:
    plain = tuple(manifest.key(o) for o in want.objects if o["kind"] not in manifest.RUNS)
    apply = tuple(key for key in plain if key in changed)
    if apply:
        cause = summary(apply, changed)
        yield Step("objects", ApplyObjects(apply), cause, 60, ("cluster", "env-file"))
    for obj in want.objects:
        if obj["kind"] in manifest.RUNS:
            yield from workload_steps(want, have, obj, changed)
    for key in have.strays:
        yield Step(f"delete {key}", DeleteObject(key), "is in the manifests no more", 60, ("cluster", "objects"))


def summary(keys: Iterable[str], changed: Mapping[str, str]) -> str:
    by_cause: dict[str, list[str]] = {}
    for key in keys:
        by_cause.setdefault(changed[key], []).append(key)
    return "; ".join(f"{', '.join(names)}: {cause}" for cause, names in by_cause.items())


def workload_steps(want: Stack, have: Observed, obj: Document, changed: Mapping[str, str]) -> Iterator[Step]:
    key, ready = manifest.key(obj), have.readiness.get(manifest.key(obj))
    cause = changed.get(key, "")
    is_job = obj["kind"] == "Job"
    if is_job and not cause and ready and ready.level is Level.FAILED:
        cause = "failed last time"
    needs = ["cluster", "objects", *loads(want, obj), *(f"ready {gate}" for gate in gates_before(want, obj))]
    if cause:
        act = RunJob(key) if is_job else ApplyObjects((key,))
        yield Step(f"{'run' if is_job else 'apply'} {key}", act, cause, 120, tuple(needs))
    if cause or not ready or ready.level is not Level.READY:
        why = "was just applied" if cause else (ready.why if ready else "is not in the cluster")
        needs = [f"run {key}" if is_job else f"apply {key}", "cluster"]
        yield Step(f"ready {key}", AwaitReady(key), why, want.settings.project.ready_within_s, tuple(needs))


def loads(want: Stack, obj: Document) -> list[str]:
    used = manifest.images(obj)
    return [f"{want.delivery.verb} {name}" for name in want.wanted_images if want.ref(name) in used]


def gates_before(want: Stack, obj: Document) -> list[str]:
    """Return the gates that a workload waits for: those that run an image of its own.

    A migration comes from the image of the service that needs it; the database under both must not wait for it.
    """
    if manifest.key(obj) in want.gates:
        return []
    used = manifest.images(obj)
    return [gate for gate in want.gates if manifest.images(want.object(gate)) & used & refs(want)]


def refs(want: Stack) -> set[str]:
    return {want.ref(name) for name in want.wanted_images}


def forward_steps(want: Stack, have: Observed) -> Iterator[Step]:
    closed = have.forwards_closed
    if have.forwards_hash != want.forwards_hash:
        cause = "what they lead to changed" if have.forwards_hash else "no process serves them"
        yield Step("forwards", StartForwards(), cause, 30, ("cluster", "objects"))
        closed = "were just started"
    if closed and want.forwards:
        ready = tuple(f"ready {manifest.key(o)}" for o in want.objects if o["kind"] in manifest.RUNS)
        yield Step("forwards open", AwaitForwards(), closed, 60, ("forwards", *ready))
