"""Which Docker daemon: one for the library and for every program that is started, as the docker program would pick it.

Source: Docker's documentation, "Docker contexts": DOCKER_HOST goes before DOCKER_CONTEXT, and that before the current
context.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from devenv.errors import DevenvError

DEFAULT = "default"  # the context of which the library itself knows where its daemon is


@dataclass(frozen=True)
class Endpoint:
    """A daemon: `variables` say it to a program, `arguments` to the library."""

    variables: dict[str, str]
    arguments: dict[str, Any] = field(repr=False)


@cache
def current() -> Endpoint:
    """Return the daemon of this command: a context that is switched meanwhile switches nothing half-way."""
    return of(os.environ)


def variables() -> dict[str, str]:
    """Return what a program that talks to Docker is to have in its environment."""
    return current().variables


def of(environ: Mapping[str, str]) -> Endpoint:
    """Return the daemon that an environment names. Raise DevenvError for a context that cannot be had."""
    try:
        return named_by(environ)
    except DevenvError:
        raise
    except Exception as error:  # the library has no class of its own for a file that it cannot read
        raise DevenvError(f"Docker's configuration cannot be read: {error}\nhint: docker context ls") from error


def named_by(environ: Mapping[str, str]) -> Endpoint:
    from docker.context import ContextAPI
    from docker.context.config import get_current_context_name
    from docker.utils import kwargs_from_env

    arguments: dict[str, Any] = {**kwargs_from_env({**environ})}
    if host := environ.get("DOCKER_HOST"):
        return Endpoint({"DOCKER_HOST": host}, arguments)
    name = environ.get("DOCKER_CONTEXT") or get_current_context_name() or DEFAULT
    # By its name, for the name also stands for the certificates of a context.
    named = {"DOCKER_CONTEXT": name}
    if name == DEFAULT:
        return Endpoint(named, arguments)
    context = ContextAPI.get_context(name)
    if context is None or not context.Host:
        raise DevenvError(
            f"Docker has no context {name}, which DOCKER_CONTEXT or Docker's configuration names\n"
            "hint: docker context ls, docker context use NAME"
        )
    return Endpoint(named, {"base_url": context.Host, **({"tls": context.TLSConfig} if context.TLSConfig else {})})
