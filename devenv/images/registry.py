"""Images in a registry, pushed by the Docker daemon with the credentials of `docker login`."""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from devenv.errors import UsageError
from devenv.images.daemon import client, explained, platform
from devenv.images.reference import repository

OFFERS_WITHIN_S = 5  # a registry that cannot be reached must not hold up a plan
TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)
# What an image is, as a daemon tells it: the rest, such as the size, depends on how that stores it.
ESSENCE = ("Architecture", "Config", "Created", "Os", "RootFS", "Variant")


def checked(registry: str, tag: str) -> None:
    """Raise UsageError for a registry or a tag that is not valid."""
    host = registry.partition("/")[0]
    if not ("." in host or ":" in host or host == "localhost"):
        raise UsageError(f"registry {registry}: {host} is not a host; for Docker Hub use docker.io/{registry}")
    if tag and not TAG.fullmatch(tag):
        raise UsageError(f"--tag {tag}: use letters, digits, '_', '.' and '-' only")


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
def temporary_tag(name: str) -> Iterator[None]:
    """Tag an image for the duration of the block, then restore the tag."""
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
    """Return the digest of an image in its registry, or an empty string if it is not there."""
    import docker

    with explained(f"ask for {ref}"):
        try:
            return str(client().images.get_registry_data(ref).id)
        except docker.errors.NotFound:
            return ""


def offers(ref: str) -> bool:
    """Whether an image can be pulled, for the daemon's platform, from a registry that answers soon.

    The daemon is asked, for it is the one that pulls: by its mirrors, its authorities and its insecure registries.
    """
    import docker
    from requests import RequestException

    try:
        return fits(client(OFFERS_WITHIN_S).images.get_registry_data(ref).attrs, platform())
    except (docker.errors.DockerException, RequestException):
        return False


def has(ref: str) -> bool:
    """Whether a registry has an image for the daemon's platform, and lets us read it."""
    import docker

    with explained(f"ask for {ref}"):
        try:
            return fits(client().images.get_registry_data(ref).attrs, platform())
        except docker.errors.APIError as error:
            # Registries refuse what does not exist as they refuse what may not be seen: a push tells which.
            if error.status_code in (401, 403, 404):
                return False
            raise


def fits(told: Mapping[str, Any], platform: str) -> bool:
    """Whether what a registry tells of an image names a platform. Old manifests name none, and are taken."""
    named = {f"{p.get('os')}/{p.get('architecture')}" for p in told.get("Platforms") or ()}
    return platform in named or not named


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
