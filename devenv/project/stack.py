"""What is wanted: one frozen value made from the settings, the manifests, the images' folders and the env-file."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType

from devenv.errors import UsageError
from devenv.forwarder.spec import ForwardSpec
from devenv.images.graph import OWN, Image, Source, resolve
from devenv.images.reference import repository
from devenv.kube import hooks
from devenv.kube.objects import (
    CHECKOUT,
    Document,
    Id,
    Object,
    config_hash,
    find,
    node_port,
    prepared,
    reference,
    secret,
    service_port,
)
from devenv.project import schema
from devenv.project import settings as config
from devenv.project.inputs import said
from devenv.project.schema import Tls
from devenv.project.settings import Settings
from devenv.system.digest import of_value

NODE = f"{OWN}node"  # the image of the cluster's node, in the tool's own list


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
    objects: tuple[Object, ...]  # in the order in which they are applied
    forwards: tuple[ForwardSpec, ...]
    env_file: Mapping[str, str]  # its settings, generated ones included
    env_text: str | None  # what to write into it where it is not there yet
    aliases: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # image -> its names in the manifests
    node_ports: Mapping[str, Object] = field(default_factory=dict)  # forward -> the NodePort Service of ours, if any

    @property
    def forwards_hash(self) -> str:
        """The hash of what the forwards' process serves. It also gives Services their addresses, so it always runs."""
        return of_value([*map(vars, self.forwards), *map(str, self.node_ports)])

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

    @cached_property
    def workloads(self) -> tuple[Object, ...]:
        """The objects that are or make pods."""
        return tuple(o for o in self.objects if o.runs)

    @cached_property
    def awaited(self) -> tuple[Object, ...]:
        """The objects that are waited for: those that may be there and not ready yet.

        On a cluster that exists, addresses of Services are its own affair: it may have no load balancer at all.
        """
        theirs = ("Service",) if self.settings.project.context else ()
        return tuple(o for o in self.objects if o.is_awaited and o.kind not in theirs)

    @cached_property
    def gates(self) -> tuple[Object, ...]:
        """The Jobs that other workloads wait for."""
        return tuple(o for gate in self.settings.project.gates if (o := find(self.objects, gate)))

    def gates_before(self, obj: Object) -> list[Object]:
        """Return the gates that a workload waits for: those that name it, and those that run an image of its own; and
        the hooks of its chart that come before it.

        A migration comes from the image of the service that needs it; the database under both must not wait for it.
        """
        first = hooks.before(obj, self.workloads)
        if obj in self.gates:
            return first
        ours, named = {self.ref(name) for name in self.wanted_images}, self.settings.project.gates
        waits = {gate: {find(self.objects, name) for name in named[str(gate.id)].before} for gate in self.gates}
        found = [g for g, waiting in waits.items() if obj in waiting or (not waiting and g.images & obj.images & ours)]
        return [*first, *(gate for gate in found if gate not in first)]

    @property
    def namespaces(self) -> tuple[str, ...]:
        """All namespaces in which an object is wanted, the project's own first."""
        home = self.settings.project.namespace
        return (home, *sorted({o.id.namespace for o in self.objects} - {"", home}))


def make(
    settings: Settings,
    objects: Iterable[Object],
    sources: Mapping[str, Source],
    env_file: Mapping[str, str],
    env_text: str | None,
    inputs: Mapping[str, str] = MappingProxyType({}),
    hashed: Callable[[Object], str] = config_hash,
) -> Stack:
    """Return the desired state. Raise UsageError for what the parts do not agree on.

    `inputs` has the digest of the files that decide about a gate, for the gates that have some; `hashed` is what
    `prepared` takes.
    """
    project, written = settings.project, [*objects]
    images = resolve(sources)
    if why := ambiguous(project.images):
        raise UsageError(f"{settings.file}: images: {why}")
    # For each repository that the manifests may name, the image of the project that stands for it.
    names = {repository(i.image or i.pull or name): name for name, i in project.images.items()}
    used = {image for o in written for image in o.images}
    aliases = {name: tuple(sorted(i for i in used if repository(i) == repo)) for repo, name in names.items()}
    wanted = tuple(name for name in project.images if aliases.get(name))
    refs = {repo: nodes_ref(settings, images[name]) for repo, name in names.items() if name in wanted}
    ours = [o.with_images(refs).kept().decided_by(inputs.get(str(o.id)), of_value(o.raw)) for o in written]
    secrets = [*secrets_of(settings, written, env_file)]
    everything = [*secrets, *ours]
    forwards, node_ports = forwards_of(settings, everything)
    if why := doubled(written, secrets, node_ports):
        raise UsageError(f"{settings.file}: {why}")
    if project.tls and (fault := ingress_fault(settings, project.tls, everything)):
        raise UsageError(f"{settings.file}: tls: {fault}")
    if missing := [name for name in gated(settings) if find(everything, name) is None]:
        raise UsageError(f"{settings.file}: gates: {', '.join(missing)}: no such object in {said(project.manifests)}")
    home = namespace(
        project.namespace, project.namespace_labels, {} if project.context else {CHECKOUT: str(settings.root)}
    )
    theirs = [o for o in everything if o.id != home.id]
    claimed = prepared([merged(home, everything), *theirs, *node_ports.values()], project.name, hashed)
    by_id = {o.id: o for o in claimed}
    routes = {name: by_id[service.id] for name, service in node_ports.items()}
    made = Stack(settings, images, wanted, tuple(claimed), forwards, env_file, env_text, aliases, routes)
    if idle := [str(gate.id) for gate in made.gates if not any(gate in made.gates_before(o) for o in made.workloads)]:
        raise UsageError(
            f"{settings.file}: gates: nothing waits for {', '.join(idle)}, since no workload runs the same image of "
            f'[tool.devenv.images]\nhint: name what waits: gates = {{ "{idle[0]}" = ["deployment/NAME"] }}'
        )
    return made


def doubled(written: Iterable[Object], secrets: Iterable[Object], node_ports: Mapping[str, Object]) -> str:
    """Return what the manifests have that is made here too, or an empty string: the last one would win, each time."""
    there = {o.id for o in written}
    for obj in secrets:
        if obj.id in there:
            return f"secrets: {obj.id} is in the manifests too; keep one of them"
    for name, obj in node_ports.items():
        if obj.id in there:
            return f"forwards.{name}: devenv makes a {obj.id} for it; give that of the manifests another name"
    return ""


def nodes_ref(settings: Settings, image: Image) -> str:
    """Return the reference by which the nodes have an image: that of its content, in a registry where they pull it."""
    project = settings.project
    if project.context is None:
        return image.ref
    if project.registry is None:
        raise UsageError(
            f"image {image.name} needs a registry that the nodes of context {project.context} pull from: "
            f"pass --registry HOST[/PATH] or set registry in {settings.file.name}"
        )
    return f"{project.registry}/{image.ref.rpartition('/')[2]}"


def gated(settings: Settings) -> list[str]:
    """Return the names of the gates and of all that is said to wait for one."""
    gates = settings.project.gates
    return [*gates, *(name for gate in gates.values() for name in gate.before)]


def namespace(name: str, labels: Mapping[str, str], annotations: Mapping[str, str] | None = None) -> Object:
    meta = {"name": name, "labels": dict(labels), **({"annotations": dict(annotations)} if annotations else {})}
    return Object.parse({"apiVersion": "v1", "kind": "Namespace", "metadata": meta}, name)


def merged(home: Object, written: Iterable[Object]) -> Object:
    """Return the project's own namespace, with what the manifests say of it."""
    for obj in written:
        if obj.id == home.id:
            both = {key: {**(obj.meta.get(key) or {}), **found} for key, found in home.meta.items() if key != "name"}
            return Object(home.id, {**obj.raw, "metadata": {**obj.meta, **both}})
    return home


def ambiguous(images: Mapping[str, schema.Image]) -> str:
    """Return which two images the manifests name by one repository, so that one would run in the other's place."""
    named: dict[str, str] = {}
    for name, image in images.items():
        if (other := named.setdefault(repository(image.image or image.pull or name), name)) != name:
            return (
                f"{other} and {name} are of one repository, and the manifests could not tell which is meant\n"
                f"hint: give one of them another by `image`, and name it so in the manifests"
            )
    return ""


def secrets_of(settings: Settings, written: Iterable[Object], env_file: Mapping[str, str]) -> Iterator[Object]:
    """Yield the Secrets of the project.

    One that its pods start without is left out where the env-file lacks a setting of it: the file may be of an older
    example, and the data of a cluster was made with what is in it.
    """
    home, pods = settings.project.namespace, [*written]
    required = {id_ for obj in pods for id_ in obj.required}
    optional = {id_ for obj in pods for id_ in obj.references} - required
    for name, data in settings.project.secrets.items():
        if Id("", "Secret", home, name, home) in optional and config.missing(data, env_file):
            continue
        yield secret(name, substituted(settings, data, env_file, run=""), home)


def substituted(settings: Settings, data: Mapping[str, str], env_file: Mapping[str, str], run: str) -> dict[str, str]:
    return {key: config.substituted(value, settings.project, env_file, run) for key, value in data.items()}


def forwards_of(settings: Settings, objects: Iterable[Object]) -> tuple[tuple[ForwardSpec, ...], dict[str, Object]]:
    """Return the forwards, and the NodePort Service of each; a cluster that exists gets none of ours."""
    project, there, node_ports = settings.project, {o.id: o for o in objects}, dict[str, Object]()
    forwards = []
    for name, wanted in project.forwards.items():
        namespace = wanted.namespace or project.namespace
        id_ = Id("", "Service", namespace, wanted.service, project.namespace)
        if (service := there.get(id_)) is None:
            raise UsageError(f"{settings.file}: forwards.{name}: no {id_} in the manifests")
        port = service_port(service, wanted.service_port) or {}
        if why := unreachable(service, port, wanted.service_port):
            raise UsageError(f"{settings.file}: forwards.{name}: Service {wanted.service} {why}")
        if project.context is None:
            node_ports[name] = node_port(f"devenv-{name}", service, port)
        forwards.append(
            ForwardSpec(
                name=name,
                local_port=wanted.local_port,
                namespace=namespace,
                service=wanted.service,
                port_name=port.get("name", ""),
                probe=wanted.probe,
                hold_s=wanted.hold_s,
            )
        )
    return tuple(forwards), node_ports


def unreachable(service: Object, port: Document, number: int) -> str:
    """Return why a port of a Service leads to no pod that a forward could reach, or an empty string."""
    spec = service.raw.get("spec") or {}
    if not port:
        return f"has no port {number}"
    if port.get("protocol", "TCP") != "TCP":
        return f"has port {number} for {port['protocol']}; a forward carries TCP"
    if spec.get("type") == "ExternalName" or not spec.get("selector"):
        return "has no selector: it leads to no pod of this cluster, so connect to what it stands for"
    return ""


def ingress_fault(settings: Settings, table: Tls, objects: Iterable[Object]) -> str:
    """Return what the Ingress of the manifests and the table of the certificate do not agree on, or an empty string."""
    home = settings.project.namespace
    named = reference("networking.k8s.io/v1", "Ingress", table.ingress, table.namespace or home).id
    id_ = replace(named, home=home)
    ingress = next((o for o in objects if o.id == id_), None)
    if ingress is None:
        return f"no {id_} in the manifests"
    entries = ingress.raw["spec"].get("tls") or ()
    if not any(table.host in (e.get("hosts") or ()) and e.get("secretName") == table.secret for e in entries):
        return f"{id_} does not serve {table.host} with secret {table.secret}"
    return ""
