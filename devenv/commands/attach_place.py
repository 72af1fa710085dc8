"""The place of a workload that a process is to take: what stands in the way, and all that the process gets."""

import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import time

from devenv.cluster import kind
from devenv.errors import DevenvError, UsageError
from devenv.kube import attachment, outside, parts, pod_env, pods, stand_in
from devenv.kube.attachment import Record
from devenv.kube.objects import Object, reference
from devenv.kube.outside import Backend, Outside
from devenv.kube.pod_env import Place as PodPlace
from devenv.kube.pod_files import File, mounted
from devenv.kube.stand_in import Port
from devenv.kube.workloads import has_ended
from devenv.project.stack import Stack
from devenv.reconcile import forwards, observe
from devenv.reconcile.environment import Environment
from devenv.reconcile.members import Members

ADDRESS, FILES = "DEVENV_ATTACH_ADDRESS", "DEVENV_ATTACH_FILES"  # told to the command
OWN = "PATH"  # this machine's stays: the pod's names folders of its image


@dataclass(frozen=True)
class Place:
    """A workload's place, with all that it takes to take it."""

    workload: Object  # as it is in the cluster
    desired: Object  # as the manifests have it
    pod: Object  # as its template has it
    ports: tuple[Port, ...]
    services: tuple[Object, ...]  # that lead to its pods
    policies: tuple[Object, ...]  # all of the cluster
    space: Mapping[str, str]  # the labels of its namespace
    address: str  # of this machine, as the cluster reaches it
    record: Record
    environment: Mapping[str, str]  # of the command, whole
    files: Mapping[str, File]  # by their paths below the folder of such files
    mounts: tuple[str, ...]  # likewise
    lacks: tuple[str, ...]  # what a person is told of it


def meant(desired: Stack, name: str) -> Object:
    """Return the workload of a name. Raise UsageError for one that is not there, or whose place cannot be taken."""
    found = parts.chosen([name], parts.of(desired.objects))
    wanted = [o for o in desired.objects if o.id in found and o.kind in attachment.KINDS]
    if len(wanted) != 1:
        why = f"only {' and '.join(attachment.KINDS)} can be attached to"
        several = f"name one of them: {', '.join(str(o.id) for o in wanted)}"
        raise UsageError(f"{', '.join(map(str, found))}: {several if wanted else why}")
    return wanted[0]


def look(
    env: Environment, desired: Stack, wanted: Object, asked: Sequence[str], container: str | None, program: str
) -> Place:
    """Return the place of a workload. Raise DevenvError with what stands in the way; nothing is changed."""
    observe.require_answers(env)
    api, space = env.api, wanted.id.namespace
    if (workload := api.get(wanted)) is None:
        raise DevenvError(f"{wanted.id} is not in the cluster\nhint: devenv up")
    if record := attachment.record_of(workload):
        raise DevenvError(f"{wanted.id}: {record}, and is gone\nhint: devenv up gives the place back")
    pod = pod_of(workload)
    labels, spec = pods.mapping(pod.meta.get("labels")), pod.raw["spec"]
    every = api.objects("v1", "Service", desired.namespaces)
    services = tuple(s for s in every if s.id.namespace == space and stand_in.leads_to(s, labels))
    ports = tuple(stand_in.chosen(one, services, spec) for one in asked)
    if twice := [p.local for p in ports if [q.container for q in ports].count(p.container) > 1]:
        raise UsageError(f"ports {' and '.join(map(str, twice))} are for the same port of the pods\nhint: give one")
    used = tuple(s for s in services if stand_in.led(s, ports, spec))
    address = kind.gateway(env.project.name)
    if faults := [
        *stand_in.misled(used, ports, spec),
        *own(address),
        *shared(env, wanted, used),
        *taken(address, ports),
    ]:
        raise DevenvError("\n".join(faults))
    led = [(p.local, f"service {s.id.name}:{port['port']}") for p in ports for s in used
           for port, local in stand_in.led(s, (p,), spec)]  # fmt: skip
    since = datetime.fromtimestamp(int(time()), UTC).isoformat().replace("+00:00", "Z")
    told = tuple(f"{local} → {service}" for local, service in led)
    record = Record(attachment.replicas(workload), os.getpid(), Path(program).name, since, told)
    home = api.get(reference("v1", "Namespace", space, ""))
    policies = tuple(api.listed("networking.k8s.io/v1", "NetworkPolicy"))
    common = (workload, wanted, pod, ports, used, policies, pods.mapping(home.meta.get("labels")) if home else {})
    return Place(*common, address, record, *inside(env, pod, parts.container(pod, container), every, address))


def pod_of(workload: Object) -> Object:
    """Return the pod that a workload would make, under a name that none of its own has, but for the first of a set."""
    template = workload.raw["spec"]["template"]
    name = f"{workload.id.name}-{0 if workload.kind == 'StatefulSet' else 'attached'}"
    meta = {**pods.mapping(template.get("metadata")), "name": name, "namespace": workload.id.namespace}
    return Object.parse(
        {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": template["spec"]}, workload.id.home
    )


def own(address: str) -> list[str]:
    """Return what to say of an address that the cluster does not reach this machine by."""
    if address:
        try:
            with socket.socket() as probe:
                probe.bind((address, 0))
        except OSError:
            return [
                f"the cluster cannot reach this machine: {address}, the address of Docker's machine, is another's "
                f"(Docker runs in a virtual machine, or elsewhere)"
            ]
        return []
    return ["the cluster cannot reach this machine: Docker tells no address of it in the cluster's network"]


def taken(address: str, ports: Sequence[Port]) -> list[str]:
    """Return what to say of local ports that another process has."""
    free = {p.local: all(forwards.can_bind(socket.AF_INET, a, p.local) for a in ("0.0.0.0", address)) for p in ports}  # noqa: S104  only tried
    return [
        f"port {port} is in use by {forwards.holder(port)}\nhint: choose another local port in --port LOCAL:SERVICE"
        for port, is_free in free.items()
        if not is_free
    ]


def shared(env: Environment, wanted: Object, services: Sequence[Object]) -> list[str]:
    """Return what to say of Services that lead to pods of others too, which would go on taking a part of it all."""
    members = Members(env, (wanted.id,))
    there = [p for p in env.api.objects("v1", "Pod", [wanted.id.namespace]) if not (p.leaves or has_ended(p))]
    led = [(s, p) for s in services for p in there if stand_in.leads_to(s, pods.mapping(p.meta.get("labels")))]
    return [f"service {s.id.name} leads to {p.id} too, which is not of {wanted.id}" for s, p in led
            if members.part_of(p) is None]  # fmt: skip


def inside(
    env: Environment, pod: Object, container: str, every: Sequence[Object], address: str
) -> tuple[dict[str, str], dict[str, File], tuple[str, ...], tuple[str, ...]]:
    """Return what a command gets of a container: environment, files and mounts, and what it does not get."""
    spec, space = pod.raw["spec"], pod.id.namespace
    own_container = next(c for c in spec["containers"] if c["name"] == container)
    read = {(k, name) for k, name, _ in pods.read_by({**spec, "initContainers": [], "containers": [own_container]})}
    there = {(o.kind, o.id.name): o for o in env.api.there(reference("v1", k, name, space) for k, name in sorted(read))}
    ways = {
        Backend(f.service, f.namespace or env.project.namespace, f.service_port): f.local_port
        for f in env.project.forwards.values()
    }
    near = [(b.service, local) for b, local in ways.items() if b.namespace == space]
    links = pod_env.links(near if spec.get("enableServiceLinks", True) else ())
    where = PodPlace(pod, own_container, there, address, links)
    made = pod_env.variables(where)
    files = mounted(where, made.variables)
    folder = env.folder.attached
    known = outside.services(
        (s.id.name, s.id.namespace, [p["port"] for p in pods.mappings(s.raw["spec"].get("ports"))]) for s in every
    )
    world = Outside(space, known, ways, {m: f"{folder}{m}" for m in files.mounts}, files.elsewhere)
    settings, lacks = world.settings(made.variables)
    written = {path: File(rewritten(world, path, f.data, lacks), f.executable) for path, f in files.files.items()}
    if OWN in settings:
        lacks.append(f"{OWN} stays this machine's: the pod's names folders of its image")
    told = {ADDRESS: address, FILES: str(folder)}
    everything = {**os.environ, **{k: v for k, v in settings.items() if k != OWN}, **told}
    return everything, written, files.mounts, (*made.lacks, *files.lacks, *dict.fromkeys(lacks))


def rewritten(world: Outside, path: str, data: bytes, lacks: list[str]) -> bytes:
    """Return the content of a file with its addresses and paths as they are here; what is no text stays."""
    try:
        return world.text(f"file {path}", data.decode(), lacks).encode()
    except UnicodeDecodeError:
        return data
