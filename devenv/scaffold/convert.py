"""A compose file as manifests, and the table that brings them up. Pure: files are read through `read`."""

from dataclasses import dataclass, field
from functools import cached_property

from devenv.kube.objects import Document
from devenv.scaffold import known, told
from devenv.scaffold.compose import Compose
from devenv.scaffold.draft import Draft
from devenv.scaffold.known import label
from devenv.scaffold.model import Service
from devenv.scaffold.pods import Pod
from devenv.scaffold.sources import Images, Read, mentioned, of_env_files
from devenv.scaffold.text import Commented, as_yaml
from devenv.scaffold.volumes import Volumes

DONE = "service_completed_successfully"
TRIES = 4
WAITS_FOR = "What it needs may come up later than it does."


@dataclass
class Conversion:
    """A compose file on its way into a draft."""

    compose: Compose
    read: Read
    env_file: str
    images: Images = field(init=False)

    def __post_init__(self) -> None:
        self.images = Images(self.compose, self.read)

    @property
    def services(self) -> dict[str, Service]:
        return self.compose.services

    @cached_property
    def jobs(self) -> frozenset[str]:
        """The services that run to an end."""
        awaited = {name for s in self.services.values() for name, c in s.depends_on.items() if c.condition == DONE}
        return frozenset(name for name, s in self.services.items() if name in awaited or ends(s))

    @cached_property
    def shared(self) -> dict[str, str]:
        """The first service that mounts each named volume."""
        found: dict[str, str] = {}
        for name, service in self.services.items():
            for volume in service.volumes:
                if volume.type == "volume" and volume.source:
                    found.setdefault(volume.source, name)
        return found

    def users(self, volume: str) -> int:
        return sum(any(v.source == volume for v in s.volumes) for s in self.services.values())

    def kind(self, name: str) -> str:
        if name in self.jobs:
            return "Job"
        service, facts = self.services[name], known.of_image(self.services[name].image)
        own = [v.source for v in service.volumes if v.type == "volume" and v.source and self.users(v.source) == 1]
        return "StatefulSet" if facts and facts.keeps_data and own else "Deployment"

    def workload(self, name: str) -> str:
        return f"{self.kind(name).lower()}/{label(name, 's')}"

    def ports(self, name: str) -> list[tuple[int, str]]:
        """Return the ports of a service, those first that it is sure to listen on."""
        service, facts = self.services[name], known.of_image(self.services[name].image)
        found = [(port.target, port.protocol) for port in service.ports]
        found += [(port, "tcp") for text in service.expose if 0 < (port := number(text)) < 65536]
        found += [(facts.port, "tcp")] if facts else []
        if not found:
            found += [(port, "tcp") for port in self.images.ports.get(name, ())]
        return list(dict.fromkeys([*found, *((port, "tcp") for port in mentioned(self.compose, name))]))

    def ready_port(self, name: str) -> int | None:
        if name in self.jobs:
            return None
        service, facts = self.services[name], known.of_image(self.services[name].image)
        sure = [port.target for port in service.ports if port.protocol == "tcp"]
        sure += [port for text in service.expose if 0 < (port := number(text)) < 65536]
        return next(iter([*sure, *([facts.port] if facts else []), *self.images.ports.get(name, ())]), None)

    def into(self, draft: Draft, folder: str) -> None:
        """Put all of it into a draft, whose manifests go into a folder."""
        labels: dict[str, str] = {}
        for name in self.services:
            if (first := labels.setdefault(label(name, "s"), name)) != name:
                raise self.compose.fault(("services", name), f"has the name of services.{first} in a cluster")
            self.images.add(name)
        told.tell(self.compose)
        for name in self.services:
            objects = self.objects(name, draft)
            origin = f"services.{name} of {self.compose.file}"
            draft.files[f"{folder}/{label(name, 's')}.yaml"] = as_yaml(objects, origin if origin.isprintable() else "")
        draft.images |= self.images.tables
        draft.notes += self.compose.notes
        self.gate(draft)
        for name in self.services:
            self.forward(name, draft)

    def objects(self, name: str, draft: Draft) -> list[Document]:
        service, kind = self.services[name], self.kind(name)
        variables = of_env_files(self.compose, name, service.env_file, self.read, self.env_file)
        pod = Pod(self.compose, name, service, self.images.names[name], self.ready_port(name), kind != "Job", variables)
        mine = [volume for volume, first in self.shared.items() if first == name]
        own = [volume for volume in mine if kind == "StatefulSet" and self.users(volume) == 1]
        volumes = Volumes(pod, self.read, frozenset(own), frozenset(mine) - frozenset(own))
        volumes.mount()
        spec = pod.spec()
        if pod.secret:
            draft.secrets[pod.label] = pod.secret
        draft.secrets |= volumes.secrets
        ports = self.ports(name)
        needed = ports or any(name in s.depends_on for s in self.services.values())
        served = [service_of(pod.label, ports)] if kind != "Job" and (needed or kind == "StatefulSet") else []
        return [*volumes.objects, *served, self.made(kind, pod, volumes, spec)]

    def made(self, kind: str, pod: Pod, volumes: Volumes, spec: Document) -> Document:
        """Return the workload of a pod."""
        meta, service = {"name": pod.label, "labels": labels_of(pod.label)}, pod.service
        template = {"metadata": {"labels": labels_of(pod.label)}, "spec": spec}
        if kind == "Job":
            template["spec"] = {"restartPolicy": "Never", **spec}
            once = {"backoffLimit": Commented(TRIES, WAITS_FOR), "template": template}
            return {"apiVersion": "batch/v1", "kind": kind, "metadata": meta, "spec": once}
        count = service.deploy.replicas if service.deploy.replicas is not None else service.scale
        body: Document = {"replicas": 1 if count is None else count}
        if kind == "StatefulSet":
            body |= {"serviceName": pod.label}
        elif any("persistentVolumeClaim" in volume for volume in pod.volumes):
            body["strategy"] = {"type": Commented("Recreate", "Two pods at a time would share the volume.")}
        body |= {"selector": {"matchLabels": labels_of(pod.label)}, "template": template}
        if volumes.claims:
            body["volumeClaimTemplates"] = volumes.claims
        return {"apiVersion": "apps/v1", "kind": kind, "metadata": meta, "spec": body}

    def gate(self, draft: Draft) -> None:
        """Have those wait for a Job that Compose has wait for its end. Jobs that others wait for wait for none."""
        waits: dict[str, list[str]] = {}
        for name, service in self.services.items():
            for other, condition in service.depends_on.items():
                if condition.condition == DONE and other in self.services:
                    waits.setdefault(other, []).append(name)
        # Of a chain of Jobs the last is the gate; those before it are tried together with it.
        gates = {job for job, names in waits.items() if any(name not in waits for name in names)}
        for job in waits:
            before = [self.workload(name) for name in waits[job] if name not in gates]
            if job in gates:
                draft.gates[self.workload(job)] = before
            if lost := [name for name in waits[job] if name in gates]:
                keys = ("services", lost[0], "depends_on")
                self.compose.note(keys, f"{', '.join(lost)} does not wait for {job}: it is tried until it succeeds")
        draft.notes += [note for note in self.compose.notes if note not in draft.notes]

    def forward(self, name: str, draft: Draft) -> None:
        service, facts = self.services[name], known.of_image(self.services[name].image)
        ports = {port.target: port for port in reversed(service.ports) if port.protocol == "tcp"}
        for target, port in sorted(ports.items()):
            if name in self.jobs:
                continue
            local = known.local_port(port.published or target, draft.local_ports)
            if port.published and local != port.published:
                draft.notes.append(f"{name}: its port {port.published} is {local} of this machine here")
            own = label(name, "s")
            stem = own if len(ports) == 1 else label(f"{own[: known.LONGEST - 6]}-{target}")
            probe = facts.probe if facts and facts.port == target else self.http(service, target)
            forward = known.free(stem, draft.forwards)
            draft.forward(forward, own, local, target, probe)
            draft.env[f"{known.upper(forward)}_ADDRESS"] = f"127.0.0.1:${{forwards.{forward}}}"

    def http(self, service: Service, port: int) -> str:
        """Return how a port is probed: by the page that the healthcheck asks for, if it asks for one."""
        words = " ".join(service.healthcheck.test) if service.healthcheck else ""
        found = known.PAGE.search(words)
        return f"http {found[2] or '/'}" if found and int(found[1] or 80) == port else "tcp"


def ends(service: Service) -> bool:
    """Whether a service says that it is not started again, and serves nothing."""
    never = service.restart in told.NO_RESTART or service.deploy.restart_policy.condition == "none"
    serves = service.ports or service.expose or service.healthcheck
    return service.deploy.mode.endswith("-job") or (never and not serves)


def labels_of(name: str) -> Document:
    return {"app.kubernetes.io/name": name}


def number(text: str) -> int:
    plain = text.partition("/")[0]
    return int(plain) if plain.isascii() and plain.isdigit() and len(plain) < 6 else 0


def service_of(name: str, ports: list[tuple[int, str]]) -> Document:
    """Return the Service of a workload; without ports that are known, one that is a name for its pods."""
    spec: Document = {"selector": labels_of(name)}
    if ports:
        spec["ports"] = [service_port(port, protocol, len(ports) > 1) for port, protocol in ports]
    else:
        spec["clusterIP"] = Commented("None", "No port of it is known: its name leads to its pods, whatever the port.")
    meta = {"name": name, "labels": labels_of(name)}
    return {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec}


def service_port(port: int, protocol: str, named: bool) -> Document:
    found: Document = {"name": f"{protocol}-{port}"} if named else {}
    return found | {"port": port} | ({"protocol": protocol.upper()} if protocol != "tcp" else {})
