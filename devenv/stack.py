"""What is wanted: one frozen value made from the settings, the manifests, the images' folders and the env-file."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from devenv import config, manifest
from devenv.config import Settings
from devenv.digest import of_value
from devenv.errors import UsageError
from devenv.graph import Image, Source, resolve
from devenv.manifest import Document
from devenv.table import Tls

NODE = "node"  # the image of the cluster's node, in the tool's own list


@dataclass(frozen=True)
class Forward:
    """A forward as its process needs it: where to listen, where to lead, how to ask."""

    name: str
    local_port: int
    namespace: str
    service: str  # as the project names it
    port_name: str  # of the Service's port; empty where it has no name
    way: str  # the NodePort Service of ours that leads to the same pods, by its key; nothing on a cluster that exists
    probe: str
    hold_s: float


@dataclass(frozen=True)
class Delivery:
    """How an image gets to the nodes, in the words of a plan."""

    verb: str
    lack: str  # said of an image that they do not have


LOAD, PUSH = Delivery("load", "is not on the node"), Delivery("push", "is not in the registry")


@dataclass(frozen=True)
class Stack:
    settings: Settings
    images: Mapping[str, Image]
    wanted_images: tuple[str, ...]  # those that the node must have
    objects: tuple[Document, ...]  # in the order in which they are applied
    forwards: tuple[Forward, ...]
    env_file: Mapping[str, str]  # its settings, generated ones included
    env_text: str | None  # what to write into it where it is not there yet
    aliases: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # image -> its names in the manifests

    @property
    def forwards_hash(self) -> str:
        """The hash of what the forwards' process serves. It also gives Services their addresses, so it always runs."""
        return of_value([*map(vars, self.forwards)])

    def ref(self, image: str) -> str:
        """Return the reference by which the nodes have an image."""
        return nodes_ref(self.settings, self.images[image])

    @property
    def delivery(self) -> Delivery:
        return PUSH if self.settings.project.context else LOAD

    @property
    def roots(self) -> tuple[str, ...]:
        """The images that may have to be on this host: the stack's, and the node's where the node is ours to make."""
        return self.wanted_images if self.settings.project.context else (NODE, *self.wanted_images)

    def object(self, key: str) -> Document:
        return next(o for o in self.objects if manifest.key(o) == key)

    @property
    def namespaces(self) -> tuple[str, ...]:
        """All namespaces in which an object is wanted, the project's own first."""
        others = sorted({o["metadata"]["namespace"] for o in self.objects if "namespace" in o["metadata"]})
        return (self.settings.project.namespace, *others)

    @property
    def gates(self) -> tuple[str, ...]:
        return self.settings.project.gates


def make(
    settings: Settings,
    documents: Iterable[Document],
    sources: Mapping[str, Source],
    env_file: Mapping[str, str],
    env_text: str | None,
) -> Stack:
    """Return the wanted state. Raise UsageError for what the parts do not agree on."""
    project = settings.project
    documents = [manifest.at_home(d, project.namespace) for d in documents]
    images = resolve(sources)
    names = image_names(settings)
    written = {i for d in documents for i in manifest.images(d)}
    aliases = {n: tuple(sorted(w for w in written if manifest.repository(w) == repo)) for repo, n in names.items()}
    wanted = tuple(name for name in project.images if aliases.get(name))
    secrets = [secret(settings, name, data, env_file) for name, data in project.secrets.items()]
    refs = {repo: nodes_ref(settings, images[name]) for repo, name in names.items() if name in wanted}
    objects = [*secrets, *(manifest.with_images(d, refs) for d in documents)]
    forwards, ways = [], []
    for name in project.forwards:
        forward, way = forward_and_way(settings, name, objects)
        forwards.append(forward)
        ways += [way] if forward.way else []
    if project.tls and (fault := ingress_fault(settings, project.tls, objects)):
        raise UsageError(f"{settings.file}: tls: {fault}")
    if faults := missing_gates(project.gates, objects):
        raise UsageError(f"{settings.file}: gates: {', '.join(faults)}: no such object in {project.manifests}")
    everything = [namespace(project.namespace, project.namespace_labels), *objects, *ways]
    claimed = manifest.prepared(everything, project.name)
    return Stack(settings, images, wanted, tuple(claimed), tuple(forwards), env_file, env_text, aliases)


def nodes_ref(settings: Settings, image: Image) -> str:
    """Return the reference by which the nodes have an image: that of its content, in a registry where they pull it."""
    project = settings.project
    if project.context is None:
        return image.ref
    if project.registry is None:
        raise UsageError(
            f"image {image.name} needs a registry from which the nodes of context {project.context} pull it: "
            f"say --registry HOST[/PATH], DEVENV_REGISTRY, or `registry` in [tool.devenv]"
        )
    return f"{project.registry}/{image.ref.rpartition('/')[2]}"


def image_names(settings: Settings) -> dict[str, str]:
    """Return, for each repository that the manifests may name, the image of the project that stands for it."""
    return {manifest.repository(i.image or i.pull or name): name for name, i in settings.project.images.items()}


def namespace(name: str, labels: Mapping[str, str]) -> Document:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": dict(labels)}}


def secret(settings: Settings, name: str, data: Mapping[str, str], env_file: Mapping[str, str]) -> Document:
    text = {k: config.substituted(v, settings.project, env_file, run="") for k, v in data.items()}
    return manifest.secret(name, text)


def forward_and_way(settings: Settings, name: str, objects: Iterable[Document]) -> tuple[Forward, Document]:
    wanted = settings.project.forwards[name]
    home = settings.project.namespace
    named = {"kind": "Service", "metadata": {"name": wanted.service, "namespace": wanted.namespace or home}}
    key = manifest.key(manifest.at_home(named, home))
    service = next((o for o in objects if manifest.key(o) == key), None)
    if service is None:
        raise UsageError(f"{settings.file}: forwards.{name}: no {key} in the manifests")
    port = manifest.service_port(service, wanted.service_port)
    if port is None:
        raise UsageError(
            f"{settings.file}: forwards.{name}: Service {wanted.service} has no port {wanted.service_port}"
        )
    way = manifest.node_port(f"devenv-{name}", service, port)
    forward = Forward(
        name=name,
        local_port=wanted.local_port,
        namespace=wanted.namespace or home,
        service=wanted.service,
        port_name=port.get("name", ""),
        way="" if settings.project.context else manifest.key(way),
        probe=wanted.probe,
        hold_s=wanted.hold_s,
    )
    return forward, way


def missing_gates(gates: Iterable[str], objects: Iterable[Document]) -> list[str]:
    there = {manifest.key(o) for o in objects}
    return [gate for gate in gates if gate not in there]


def ingress_fault(settings: Settings, table: Tls, objects: Iterable[Document]) -> str:
    """Return what the Ingress of the manifests and the table of the certificate do not agree on, or nothing."""
    place = {"namespace": table.namespace} if table.namespace else {}
    named = {"kind": "Ingress", "metadata": {"name": table.ingress, **place}}
    key = manifest.key(manifest.at_home(named, settings.project.namespace))
    ingress = next((o for o in objects if manifest.key(o) == key), None)
    if ingress is None:
        return f"no {key} in the manifests"
    entries = ingress["spec"].get("tls") or ()
    if not any(table.host in (e.get("hosts") or ()) and e.get("secretName") == table.secret for e in entries):
        return f"{key} does not serve {table.host} with secret {table.secret}"
    return ""


def exports(settings: Settings, env_file: Mapping[str, str], run: str) -> dict[str, str]:
    """Return the project's exported settings; `run` is a fresh word for `${run}`."""
    return {k: config.substituted(v, settings.project, env_file, run) for k, v in settings.project.env.items()}
