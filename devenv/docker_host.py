"""The Docker host: the only module that talks to Docker's API."""

import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from devenv.errors import DevenvError
from devenv.manifest import repository

if TYPE_CHECKING:
    from docker import DockerClient

KIND_CLUSTER = "io.x-k8s.kind.cluster"  # kind's own label on the containers of a cluster
OURS = "devenv.cluster"  # our label on a cluster's network: what is attached to it is ours
QUIET_S = 3600  # how long a build may say nothing
LAST_LINES = 20


@dataclass(frozen=True)
class Container:
    """What we need to know of a container."""

    name: str
    running: bool
    networks: frozenset[str]
    started: datetime


@cache
def client() -> "DockerClient":
    """Return a client of a daemon that answers. Raise DevenvError that says what to do where there is none."""
    import docker

    try:
        found = docker.from_env(timeout=QUIET_S)
        found.ping()
    except docker.errors.DockerException as error:
        raise DevenvError(f"Docker does not answer: {error}\nInstall and start it, or run scripts/setup.sh") from error
    return found


@contextmanager
def explained(doing: str) -> Iterator[None]:
    """Turn Docker's errors into ours, with what was tried."""
    import docker

    try:
        yield
    except docker.errors.DockerException as error:
        detail = getattr(error, "explanation", None) or str(error)
        raise DevenvError(f"{doing}: {detail}") from error


def image_refs() -> frozenset[str]:
    with explained("list images"):
        return frozenset(ref for image in client().api.images() for ref in image["RepoTags"] or ())


def pull(ref: str, name: str) -> None:
    """Pull an image and name it by content."""
    with explained(f"pull {ref}"):
        tagged, _, digest = ref.partition("@")
        tag = tagged.rpartition("/")[2].partition(":")[2]
        client().images.pull(repository(ref), tag=digest or tag or "latest").tag(name)


def tag(ref: str, name: str) -> None:
    """Give an image of the host a further name."""
    with explained(f"name {ref}"):
        client().images.get(ref).tag(name)


def push(ref: str) -> str:
    """Push an image to the registry that its name begins with, and return the digest of its manifest there.

    Who may do so is Docker's knowledge (`docker login`).
    """
    name, _, tagged = ref.rpartition(":")
    digest = ""
    with explained(f"push {ref}"):
        for event in client().api.push(name, tag=tagged, stream=True, decode=True):
            if "error" in event:
                raise DevenvError(f"push {ref}: {event['error']}")
            digest = (event.get("aux") or {}).get("Digest", digest)
    return digest


def build(context: Path, name: str, args: dict[str, str], log: Path, anew: bool = False) -> None:
    """Build an image from a folder with the classic builder, which every daemon has. Its last lines are the error."""
    lines: list[str] = []
    log.parent.mkdir(parents=True, exist_ok=True)
    with explained(f"build {name}"), log.open("a") as out:
        events = client().api.build(
            path=str(context), tag=name, buildargs=args, nocache=anew, rm=True, forcerm=True, decode=True
        )
        for event in events:
            text = event.get("error") or event.get("stream") or ""
            out.write(text)
            lines.extend(line for line in text.splitlines() if line.strip())
            if "error" in event:
                shown = "\n  ".join(lines[-LAST_LINES:])
                raise DevenvError(f"building {name} failed; the last lines of {log}:\n  {shown}")


@dataclass(frozen=True)
class ImageConfig:
    """What Docker says of an image: `layers` are digests of the uncompressed layers (diff IDs), lowest first."""

    id: str
    layers: tuple[str, ...]
    size: int


def inspect_image(ref: str) -> ImageConfig:
    with explained(f"inspect {ref}"):
        seen: dict[str, Any] = client().images.get(ref).attrs
    return ImageConfig(seen["Id"], tuple(seen["RootFS"].get("Layers") or ()), seen["Size"])


def save(ref: str) -> Iterator[bytes]:
    """Yield the image as `docker save` writes it."""
    with explained(f"save {ref}"):
        yield from client().api.get_image(ref, chunk_size=1 << 20)


def files(ref: str, folder: str) -> dict[str, bytes]:
    """Return the files of a folder of an image, by name."""
    with explained(f"look into {ref}"):
        made = client().api.create_container(ref)
        try:
            archive = b"".join(client().api.get_archive(made["Id"], folder)[0])
        finally:
            client().api.remove_container(made["Id"])
    with tarfile.open(fileobj=BytesIO(archive)) as packed:
        found = {m.name.rpartition("/")[2]: packed.extractfile(m) for m in packed.getmembers() if m.isfile()}
        return {name: file.read() for name, file in found.items() if file}


def cluster_container(cluster: str) -> Container | None:
    """Return the control-plane container of a kind cluster, whoever made it."""
    with explained("list containers"):
        found = client().api.containers(all=True, filters={"label": f"{KIND_CLUSTER}={cluster}"})
    for listed in found:
        if listed["Labels"].get("io.x-k8s.kind.role") == "control-plane":
            with explained("inspect the node"):
                seen: dict[str, Any] = client().containers.get(listed["Id"]).attrs
            # To the second, as Kubernetes tells when a container started.
            started = datetime.fromisoformat(seen["State"]["StartedAt"][:19]).replace(tzinfo=UTC)
            networks = frozenset(seen["NetworkSettings"]["Networks"])
            return Container(seen["Name"].lstrip("/"), seen["State"]["Running"], networks, started)
    return None


def has_file(container: str, path: str) -> bool:
    """Whether a container, running or not, has the file."""
    import docker

    with explained(f"look into {container}"):
        try:
            client().api.get_archive(container, path)
        except docker.errors.NotFound:
            return False
        return True


def start(container: str) -> None:
    with explained(f"start {container}"):
        client().api.start(container)


def remove_cluster(cluster: str) -> None:
    """Remove the containers of a kind cluster with their anonymous volumes. No container is no error."""
    with explained(f"remove cluster {cluster}"):
        for seen in client().api.containers(all=True, filters={"label": f"{KIND_CLUSTER}={cluster}"}):
            client().api.remove_container(seen["Id"], v=True, force=True)


def is_our_network(name: str) -> bool:
    with explained("list networks"):
        return any(n["Name"] == name for n in client().api.networks(filters={"label": OURS}))


def make_network(name: str, cluster: str) -> None:
    """Make the network of a cluster, marked as ours, where it does not exist."""
    if not is_our_network(name):
        with explained(f"create network {name}"):
            client().api.create_network(name, driver="bridge", check_duplicate=True, labels={OURS: cluster})


def remove_network(name: str) -> None:
    if is_our_network(name):
        with explained(f"remove network {name}"):
            client().api.remove_network(name)


def root_dir() -> Path:
    """Return the folder in which the daemon keeps its data; it may be on another machine."""
    with explained("ask the daemon"):
        return Path(client().api.info()["DockerRootDir"])
