"""Images on their way to a registry, by the Docker daemon and with its person's login."""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from devenv.docker_host import client, explained
from devenv.errors import UsageError
from devenv.manifest import repository

TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)
# What an image is, as a daemon tells it: the rest, such as the size, depends on how that stores it.
ESSENCE = ("Architecture", "Config", "Created", "Os", "RootFS", "Variant")


def checked(registry: str, tag: str) -> None:
    """Raise UsageError for what can name no image."""
    host = registry.partition("/")[0]
    if not ("." in host or ":" in host or host == "localhost"):
        raise UsageError(f"registry {registry}: {host} is no host; Docker's own is docker.io/{registry}")
    if tag and not TAG.fullmatch(tag):
        raise UsageError(f"--tag {tag}: wanted letters, digits, '_', '.' and '-'")


def look(ref: str) -> dict[str, Any] | None:
    """Return what Docker says of an image of the host, or None where it is not there."""
    import docker

    with explained(f"inspect {ref}"):
        try:
            return dict(client().images.get(ref).attrs)
        except docker.errors.ImageNotFound:
            return None


def was_pulled(ref: str, pull: str | None) -> bool:
    """Whether an image of the host came from the repository that it may be pulled from."""
    digests = (look(ref) or {}).get("RepoDigests") or ()
    return bool(pull) and any(repository(d) == repository(str(pull)) for d in digests)


def load(archive: Iterable[bytes]) -> None:
    """Bring an image to the host, under the name that its archive has."""
    with explained("load an image"):
        client().images.load(iter(archive))  # type: ignore[arg-type]  # any iterable is sent in chunks


@contextmanager
def lent(name: str) -> Iterator[None]:
    """Let an image of the host have a name, which afterwards is what it was before: another image's, or nobody's."""
    before = look(name)
    try:
        yield
    finally:
        with explained(f"give the name {name} back"):
            if before:
                client().images.get(before["Id"]).tag(name)
            elif look(name):
                client().images.remove(name)


def digest(ref: str) -> str:
    """Return the digest that a registry has under a name, or nothing."""
    import docker

    with explained(f"ask for {ref}"):
        try:
            return str(client().images.get_registry_data(ref).id)
        except docker.errors.NotFound:
            return ""


def has(ref: str) -> bool:
    """Whether a registry has an image under a name, and shows it to us."""
    import docker

    with explained(f"ask for {ref}"):
        try:
            client().images.get_registry_data(ref)
        except docker.errors.APIError as error:
            # Registries refuse what does not exist as they refuse what may not be seen: a push tells which.
            if error.status_code in (401, 403, 404):
                return False
            raise
        return True


def has_same(name: str, digest: str) -> bool:
    """Whether an image of the host is the one that its registry has under a digest."""
    there = f"{name.rpartition(':')[0]}@{digest}"
    known = look(there)
    with explained(f"pull {there}"):
        found = known or client().images.pull(there).attrs
        ours = look(name) or {}
        same = all(found.get(key) == ours.get(key) for key in ESSENCE)
        if not known and not same:
            client().images.remove(there)
    return same
