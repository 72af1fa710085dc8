"""The volumes of a compose service: claims, scratch space, files of configs and secrets. Pure."""

from dataclasses import dataclass, field
from pathlib import PurePosixPath

from devenv.kube.objects import Document
from devenv.scaffold.known import label
from devenv.scaffold.model import Mounted, Stored, Volume
from devenv.scaffold.pods import Pod
from devenv.scaffold.sources import Read
from devenv.scaffold.text import Commented

CLAIM_SIZE = "1Gi"


@dataclass
class Volumes:
    """What a pod mounts."""

    pod: Pod
    read: Read
    own: frozenset[str]  # the volumes whose claims its StatefulSet makes
    first: frozenset[str]  # those whose claims are written beside it, for other services too
    claims: list[Document] = field(default_factory=list)
    objects: list[Document] = field(default_factory=list)  # to go before the workload
    secrets: dict[str, dict[str, str]] = field(default_factory=dict)  # for the table

    def mount(self) -> None:
        service = self.pod.service
        binds = [PurePosixPath(v.target) for v in service.volumes if v.type == "bind"]
        last = {volume.target: (n, volume) for n, volume in enumerate(service.volumes)}
        for n, volume in last.values():
            self.one(n, volume, binds)
        for n, path in enumerate(service.tmpfs):
            self.scratch(f"tmpfs-{n + 1}", path.partition(":")[0], in_memory=True)
        if service.shm_size:
            self.scratch("shm", "/dev/shm", in_memory=True, limit=service.shm_size)  # noqa: S108
        for kind, mounted in (("secrets", service.secrets), ("configs", service.configs)):
            for one in mounted:
                self.file(kind, one)

    def one(self, n: int, volume: Volume, binds: list[PurePosixPath]) -> None:
        key = f"volumes.{n}"
        if volume.type == "bind":
            hint = "; `devenv dev` sends files into a running container, where its image has a `sync`"
            self.pod.note(key, f"a folder of this machine ({volume.source}) on {volume.target}: left out{hint}")
        elif volume.type == "tmpfs":
            self.scratch(f"tmpfs-at-{n + 1}", volume.target, in_memory=True)
        elif volume.type != "volume":
            self.pod.note(key, f"a volume of type {volume.type}: left out")
        elif any(PurePosixPath(volume.target).is_relative_to(bind) for bind in binds):
            self.pod.note(key, f"{volume.target} is what the image has there, without the folder above it: left out")
        elif not volume.source:
            self.scratch(f"scratch-{n + 1}", volume.target)
        else:
            self.named(volume, key)

    def named(self, volume: Volume, key: str) -> None:
        name, compose = label(volume.source, "v"), self.pod.compose
        if (declared := compose.project.volumes.get(volume.source)) is None:
            raise compose.fault(("services", self.pod.name, *key.split(".")), f"no volume {volume.source} in `volumes`")
        if declared.external:
            compose.note(("volumes", volume.source), "is external: the claim for it begins empty")
        spec = claim_spec(compose.file)
        if volume.source in self.own:
            add(self.claims, {"metadata": {"name": name}, "spec": spec})
        else:
            if volume.source in self.first:
                meta = {"name": name, "labels": {"app.kubernetes.io/name": self.pod.label}}
                claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": meta, "spec": spec}
                add(self.objects, claim)
            self.volume(name, {"persistentVolumeClaim": {"claimName": name}})
        self.mounted(name, volume.target, volume.read_only)

    def scratch(self, name: str, path: str, in_memory: bool = False, limit: int | None = None) -> None:
        if not path.startswith("/") or ":" in path or path.strip("/") == "":
            self.pod.note("tmpfs", "is no absolute path: left out")
            return
        medium: Document = {"medium": "Memory"} if in_memory else {}
        self.volume(name, {"emptyDir": medium | ({"sizeLimit": str(limit)} if limit else {})})
        self.mounted(name, path)

    def volume(self, name: str, source: Document) -> None:
        if name not in {volume["name"] for volume in self.pod.volumes}:
            self.pod.volumes.append({"name": name, **source})

    def mounted(self, name: str, path: str, read_only: bool = False, sub: str = "") -> None:
        mount = {"name": name, "mountPath": path, **({"subPath": sub} if sub else {})}
        if path not in {mount["mountPath"] for mount in self.pod.mounts}:
            self.pod.mounts.append(mount | ({"readOnly": True} if read_only else {}))

    def file(self, kind: str, one: Mounted) -> None:
        """Mount a config or a secret, as one file."""
        compose, is_secret = self.pod.compose, kind == "secrets"
        stored = (compose.project.secrets if is_secret else compose.project.configs).get(one.source)
        if stored is None:
            raise compose.fault(("services", self.pod.name, kind), f"no {one.source} in `{kind}`")
        path = one.target or ("/run/secrets/" if is_secret else "/") + one.source
        path = path if path.startswith("/") else f"/run/secrets/{path}"
        name, key = label(f"{one.source}-{kind.removesuffix('s')}"), label(one.source)
        content = self.content(kind, one.source, stored)
        if content is None or ":" in path or path.strip("/") == "":
            compose.note((kind, one.source), f"what it holds is not known here: left out of {self.pod.name}")
            return
        if is_secret:
            self.secrets[name] = {key: content}
            self.volume(name, {"secret": {"secretName": name}})
        else:
            meta = {"name": name, "labels": {"app.kubernetes.io/name": self.pod.label}}
            data = {key: Commented(content, f"{stored.file or 'written'} in {compose.file}")}
            add(self.objects, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data})
            self.volume(name, {"configMap": {"name": name}})
        self.mounted(name, path, read_only=True, sub=key)

    def content(self, kind: str, name: str, stored: Stored) -> str | None:
        """Return what a config holds; of a secret, the reference to it."""
        passwords, file = self.pod.compose.passwords, self.read(stored.file) if stored.file else stored.content
        if kind == "configs":
            return passwords.value(stored.environment) if stored.environment else file
        if stored.environment:
            known = passwords.value(stored.environment)
            return f"${{env.{stored.environment}}}" if known is not None else None
        return None if file is None else passwords.kept(name.upper(), file, kind, private=True)


def add(objects: list[Document], one: Document) -> None:
    """Add an object, once: a volume may be mounted at two places."""
    same = (one.get("kind"), one["metadata"]["name"])
    if same not in {(o.get("kind"), o["metadata"]["name"]) for o in objects}:
        objects.append(one)


def claim_spec(file: str) -> Document:
    size = Commented({"storage": CLAIM_SIZE}, f"{file} has no size for it.")
    return {"accessModes": ["ReadWriteOnce"], "resources": {"requests": size}}
