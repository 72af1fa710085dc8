"""Who builds an image: BuildKit, which only a docker program speaks to, or the classic builder of every daemon.

Source: Docker's documentation. `docker build` is BuildKit's by buildx, or in programs before 23 by DOCKER_BUILDKIT=1.
The daemon's own answer says which builder it prefers (`Builder-Version` of /_ping).
"""

import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from devenv.errors import CannotRun, CommandFailed, DevenvError
from devenv.images import daemon, endpoint
from devenv.images.dockerfile import needs_buildkit
from devenv.images.graph import Source
from devenv.system import process
from devenv.system.cancel import Cancel

BUILDKIT, CLASSIC = "buildkit", "classic"
BUILT_IN_BEFORE = 23  # the docker program's major version from which BuildKit is buildx's alone
WITHIN_S = 3600.0
LACKING = "install buildx (https://docs.docker.com/go/buildx/; Debian's docker-buildx, Docker's docker-buildx-plugin)"


@dataclass(frozen=True)
class Build:
    """What is built: a folder that is sent, a Dockerfile that may lie outside, folders beside it."""

    context: Path
    dockerfile: Path
    name: str
    source: Source
    contexts: Mapping[str, Path]
    platform: str | None = None  # where it is not the daemon's own


def chosen(source: Source, has_buildkit: bool, preferred: bool) -> str:
    """Return who builds an image. Raise DevenvError where that must be BuildKit and it cannot be had. Pure."""
    if source.builder == CLASSIC or (source.own and source.builder is None):
        return CLASSIC  # the tool's own images are made for it
    why = required(source)
    if why and not has_buildkit:
        raise DevenvError(
            f"{source.folder}/{source.file}: {why} needs BuildKit, and no docker program on PATH has it\n"
            f"hint: {LACKING}"
        )
    return BUILDKIT if why or (has_buildkit and preferred) else CLASSIC


def required(source: Source) -> str:
    """Return what the classic builder cannot do for an image, or an empty string."""
    if source.builder == BUILDKIT:
        return "its `builder`"
    if source.contexts:
        return "its `contexts`"
    return needs_buildkit(source.dockerfile, dict(source.args))


def choose(source: Source) -> str:
    """Return who builds an image on this host."""
    program = buildkit_program() if source.builder != CLASSIC and not source.own else None
    return chosen(source, program is not None, program is not None and daemon.prefers_buildkit())


@cache
def buildkit_program() -> str | None:
    """Return the first docker program on PATH that speaks to BuildKit, or None."""
    for folder in process.search_path().split(os.pathsep):
        if (program := shutil.which("docker", path=folder)) and speaks_buildkit(program):
            return program
    return None


def speaks_buildkit(program: str) -> bool:
    try:
        said = re.search(r"version (\d+)\.", process.run([program, "--version"]))
        if said and int(said[1]) < BUILT_IN_BEFORE:
            return True
        process.run([program, "buildx", "version"])
    except (CommandFailed, CannotRun):
        return False
    return True


def by_buildkit(build: Build, log: Path, no_cache: bool, cancel: Cancel | None) -> None:
    """Build an image with BuildKit. Its last lines are the error. Values of arguments are seen by nobody else."""
    program, source = buildkit_program(), build.source
    assert program
    argv = [program, "build", "--progress", "plain", "--tag", build.name, "--file", str(build.dockerfile)]
    argv += [word for key, _ in source.args for word in ("--build-arg", key)]
    argv += [word for name, path in build.contexts.items() for word in ("--build-context", f"{name}={path}")]
    argv += ["--target", source.target] if source.target else []
    argv += ["--platform", build.platform] if build.platform else []
    argv += ["--no-cache"] if no_cache else []
    there = endpoint.variables()
    # The builder of the daemon itself: another one would neither know its images nor leave it the result, whose
    # provenance would be a second image in it.
    own = {"DOCKER_BUILDKIT": "1", "BUILDX_BUILDER": there.get("DOCKER_CONTEXT", endpoint.DEFAULT)}
    variables = {**dict(source.args), **there, **own, "BUILDX_NO_DEFAULT_ATTESTATIONS": "1"}
    try:
        process.run([*argv, str(build.context)], env=variables, log=log, within_s=WITHIN_S, cancel=cancel)
    except CommandFailed as error:
        shown = "\n  ".join([line for line in error.output.splitlines() if line.strip()][-daemon.LAST_LINES :])
        raise DevenvError(f"building {build.name} with BuildKit failed; the last lines of {log}:\n  {shown}") from error
