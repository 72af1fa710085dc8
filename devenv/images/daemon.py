"""The Docker host: the only module that talks to Docker's API."""

import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from devenv.errors import DevenvError
from devenv.images import endpoint
from devenv.images.reference import repository

if TYPE_CHECKING:
    from docker import DockerClient

QUIET_S = 3600  # how long a build may say nothing
LAST_LINES = 20


@cache
def client(within_s: int = QUIET_S) -> "DockerClient":
    """Return a client of the Docker daemon, which may be silent for so long.

    Raise DevenvError with what to do if it does not answer.
    """
    import docker

    try:
        # Like the docker program, the library leaves ssh:// to the ssh program, with its keys and settings.
        found = docker.DockerClient(timeout=within_s, use_ssh_client=True, **endpoint.current().arguments)
        found.ping()
    except docker.errors.DockerException as error:
        raise DevenvError(
            f"Docker does not answer: {error}\nhint: start Docker, or run scripts/setup.sh of a devenv checkout"
        ) from error
    except (AttributeError, TypeError, ValueError) as error:  # its own file is of another shape
        raise DevenvError(f"Docker's configuration cannot be read: {error}\nhint: docker context ls") from error
    return found


@cache
def platform() -> str:
    """Return what the daemon builds for and its nodes run, such as linux/amd64."""
    with explained("ask the daemon"):
        seen = client().version()
    return f"{seen['Os']}/{seen['Arch']}"


@contextmanager
def explained(doing: str) -> Iterator[None]:
    """Turn Docker's errors into DevenvError, with what was tried."""
    import docker

    try:
        yield
    except docker.errors.DockerException as error:
        detail = getattr(error, "explanation", None) or str(error)
        raise DevenvError(f"{doing}: {detail}") from error


def image_refs() -> frozenset[str]:
    with explained("list images"):
        return frozenset(ref for image in client().api.images() for ref in image["RepoTags"] or ())


def pull(ref: str, name: str, for_platform: str) -> None:
    """Pull an image for a platform and name it by content."""
    with explained(f"pull {ref}"):
        tagged, _, digest = ref.partition("@")
        tag = tagged.rpartition("/")[2].partition(":")[2]
        client().images.pull(repository(ref), tag=digest or tag or "latest", platform=for_platform).tag(name)


def tag(ref: str, name: str) -> None:
    """Tag an image of the host."""
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


@cache
def prefers_buildkit() -> bool:
    """Whether `docker build` is BuildKit's work by this daemon's own word, and BuildKit can run what the daemon can: it
    calls runc, whatever runtime the daemon has by default.
    """
    api = client().api
    with explained("ask the daemon"):
        said = api.get(f"{api.base_url}/_ping").headers.get("Builder-Version")
        return said == "2" and api.info().get("DefaultRuntime", "runc") == "runc"


def build(
    context: Path,
    name: str,
    args: dict[str, str],
    log: Path,
    no_cache: bool = False,
    *,
    dockerfile: Path | None = None,
    target: str | None = None,
    platform: str | None = None,
) -> None:
    """Build an image from a folder with the classic builder, which every daemon has. Its last lines are the error."""
    lines: list[str] = []
    log.parent.mkdir(parents=True, exist_ok=True)
    with explained(f"build {name}"), log.open("a") as out:
        events = client().api.build(
            path=str(context), tag=name, buildargs=args, nocache=no_cache, rm=True, forcerm=True, decode=True,
            dockerfile=str(dockerfile) if dockerfile else None, target=target, platform=platform,
        )  # fmt: skip
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
    platform: str


def inspect_image(ref: str) -> ImageConfig:
    with explained(f"inspect {ref}"):
        seen: dict[str, Any] = client().images.get(ref).attrs
    layers = tuple(seen["RootFS"].get("Layers") or ())
    return ImageConfig(seen["Id"], layers, seen["Size"], f"{seen['Os']}/{seen['Architecture']}")


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


def info() -> dict[str, Any]:
    """Return what the daemon says of itself and its machine, by the names of Docker's API."""
    with explained("ask the daemon"):
        return dict(client().api.info())


def root_dir() -> Path:
    """Return the folder in which the daemon keeps its data; it may be on another machine."""
    return Path(info()["DockerRootDir"])


def bridge() -> str:
    """Return the interface by which builds reach the world: that of the daemon's default network."""
    with explained("inspect network bridge"):
        options = client().networks.get("bridge").attrs.get("Options") or {}
    return str(options.get("com.docker.network.bridge.name", "docker0"))
