"""The images and settings that services name: where each is built or pulled, and which ports it listens on. Pure."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from devenv.images import dockerfile
from devenv.images.reference import repository
from devenv.project import envfile
from devenv.scaffold.compose import Compose
from devenv.scaffold.known import free, label, last_part
from devenv.scaffold.model import Build, EnvFile
from devenv.scaffold.passwords import key_is_secret

Read = Callable[[str], str | None]  # a file of the project, by its path; None where there is none that is text
EXPOSE = re.compile(r"\s*EXPOSE\s+(.*)", re.IGNORECASE)
EXPOSED = re.compile(r"(\d{1,5})(?:/tcp)?(?=\s|$)", re.IGNORECASE)


@dataclass
class Images:
    """The images of the table, and the name of each in the manifests."""

    compose: Compose
    read: Read
    tables: dict[str, dict[str, Any]] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)  # service -> the image in its manifest
    ports: dict[str, tuple[int, ...]] = field(default_factory=dict)  # service -> those that its Dockerfile exposes
    _made: dict[str, tuple[str, str]] = field(default_factory=dict)

    def add(self, service: str) -> None:
        """Find where a service's image comes from."""
        found = self.compose.project.services[service]
        if found.build is None:
            self.pulled(service, str(found.image))
            return
        keys = ("services", service, "build")
        table = {"build": self.folder(found.build, keys), **self.details(found.build, keys)}
        if found.platform:
            table["platform"] = found.platform
        path = str(PurePosixPath(table["build"]) / found.build.dockerfile)
        if (text := self.read(path)) is None:
            raise self.compose.fault(keys, f"{path}: no such file")
        self.ports[service] = tuple(exposed(text))
        self.made(service, found.image, table, label(last_part(found.image or "") or service))

    def pulled(self, service: str, image: str) -> None:
        self.made(service, image, {"pull": image}, label(last_part(image)))

    def made(self, service: str, image: str | None, table: dict[str, Any], stem: str) -> None:
        """Give an image its place in the table; the same image has one place."""
        if same := self._made.get(key := f"{image} {table}"):
            self.names[service] = same[1]
            return
        name = free(stem, self.tables)
        taken = {repository(t.get("image") or t.get("pull") or n) for n, t in self.tables.items()}
        if image and "build" in table and repository(image) != repository(name):
            table = {"image": without_tag(image), **table}
        shown = image or name
        if repository(shown) in taken:
            # Another tag of a repository that is there: the manifests could not tell which is meant.
            shown, table = name, {**table, "image": name}
        self.tables[name], self.names[service] = table, shown
        self._made[key] = (name, shown)

    def folder(self, build: Build, keys: tuple[str, ...]) -> str:
        if "://" in build.context or build.context.startswith("git@"):
            raise self.compose.fault(
                keys, "its context is no folder of this machine\nhint: check it out, and name that"
            )
        if "dockerfile_inline" in (build.model_extra or {}):
            raise self.compose.fault(keys, "dockerfile_inline\nhint: write it into a file, which `dockerfile` names")
        return str(PurePosixPath(build.context or "."))

    def details(self, build: Build, keys: tuple[str, ...]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if build.dockerfile != "Dockerfile":
            found["dockerfile"] = build.dockerfile
        if build.target:
            found["target"] = build.target
        args = {key: value if value is not None else self.compose.values.get(key) for key, value in build.args.items()}
        if hidden := [key for key, value in args.items() if key_is_secret(key) or value is None]:
            why = "no values, or passwords, which the table is no place for: left out"
            self.compose.note((*keys, "args"), f"{', '.join(hidden)}: {why}")
        if kept := {key: value for key, value in args.items() if key not in hidden}:
            found["args"] = kept
        contexts = {key: value for key, value in build.additional_contexts.items() if value and "://" not in value}
        if odd := [key for key in build.additional_contexts if key not in contexts]:
            self.compose.note((*keys, "additional_contexts"), f"{', '.join(odd)}: no folders: left out")
        return found | ({"contexts": contexts} if contexts else {})


def without_tag(image: str) -> str:
    head, slash, last = image.partition("@")[0].rpartition("/")
    return f"{head}{slash}{last.partition(':')[0]}"


def exposed(text: str) -> Iterator[int]:
    """Yield the TCP ports that a Dockerfile exposes, as far as it names them by number."""
    for _, line in dockerfile.lines(text):
        if found := EXPOSE.match(line):
            yield from (int(port) for port in EXPOSED.findall(found[1]) if 0 < int(port) < 65536)


def mentioned(compose: Compose, service: str) -> Iterator[int]:
    """Yield the ports of a service that others name, as in `redis://cache:6379`."""
    named = re.compile(rf"(?<![\w.-]){re.escape(service)}:(\d{{2,5}})(?!\d)")
    for other in compose.services.values():
        texts = [*other.environment.values(), *(other.command or ()), *(other.entrypoint or ())]
        for text in filter(None, texts):
            yield from (int(port) for port in named.findall(text) if 0 < int(port) < 65536)


def of_env_files(
    compose: Compose, service: str, files: list[EnvFile], read: Read, env_file: str
) -> Mapping[str, tuple[str, bool]]:
    """Return the variables of a service's env_file, and whether git may not have them."""
    found: dict[str, tuple[str, bool]] = {}
    for n, one in enumerate(files):
        path = str(PurePosixPath(one.path))
        if path == env_file:
            found |= {key: (value, True) for key, value in compose.values.items()}
        elif (text := read(path)) is not None:
            try:
                found |= {key: (value, True) for key, value in envfile.read(text).items()}
            except envfile.Fault as error:
                raise compose.fault(("services", service, "env_file"), f"{path}: {error}") from None
        elif one.required:
            compose.note(("services", service, "env_file", str(n)), f"{path}: no such file: left out")
    return found
