"""The pod of a compose service: its container, variables, probe, volumes. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import ceil
from typing import Any

from devenv.kube.objects import Document
from devenv.scaffold import template
from devenv.scaffold.compose import Compose
from devenv.scaffold.known import label
from devenv.scaffold.model import Amount, Healthcheck, Service
from devenv.scaffold.passwords import MARK
from devenv.scaffold.text import Commented

VARIABLE = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*")  # that Kubernetes takes for the name of one
USER = re.compile(r"(\d{1,9})(?::(\d{1,9}))?")


@dataclass
class Pod:
    """A pod in the making. What the table has to say for it is in `secret`."""

    compose: Compose
    name: str  # of the service in the file
    service: Service
    image: str
    ready_port: int | None
    serves: bool  # whether it goes on running, as a Job does not
    from_files: Mapping[str, tuple[str, bool]]  # variables of its env_file: values, and whether git may not have them
    secret: dict[str, str] = field(default_factory=dict)
    named: set[str] = field(default_factory=set)  # passwords that its commands refer to
    mounts: list[Document] = field(default_factory=list)
    volumes: list[Document] = field(default_factory=list)

    @property
    def label(self) -> str:
        return label(self.name, "s")

    def note(self, key: str, what: str) -> None:
        self.compose.note(("services", self.name, *key.split(".")), what)

    def spec(self) -> Document:
        service, container = self.service, self.container()
        spec: Document = {
            "enableServiceLinks": Commented(
                False, "Else the container has a variable such as REDIS_PORT for each Service of the namespace."
            )
        }
        if service.stop_grace_period is not None:
            spec["terminationGracePeriodSeconds"] = ceil(service.stop_grace_period)
        spec["containers"] = [container]
        if self.volumes:
            spec["volumes"] = self.volumes
        return spec

    def container(self) -> Document:
        service = self.service
        found: Document = {"name": self.label, "image": self.image}
        for key, words in (("command", service.entrypoint), ("args", service.command)):
            if words:
                found[key] = [self.referred(escaped(word), "$({})") for word in words]
        if service.working_dir:
            found["workingDir"] = service.working_dir
        found |= {key: True for key, wanted in (("stdin", service.stdin_open), ("tty", service.tty)) if wanted}
        probe = self.probe()
        variables = self.variables()  # after the commands, which may refer to more
        if self.ready_port is not None:
            found["ports"] = [{"containerPort": self.ready_port}]
        for key, value in (("env", variables), ("resources", self.resources()), ("readinessProbe", probe)):
            if value:
                found[key] = value
        if security := self.security():
            found["securityContext"] = security
        if self.mounts:
            found["volumeMounts"] = self.mounts
        return found

    def referred(self, text: str, form: str) -> str:
        """Return a word of a command in which passwords are taken from the container's variables."""

        def reference(found: re.Match[str]) -> str:
            self.named.add(found[1])
            return form.format(found[1])

        return MARK.sub(reference, text)

    def variables(self) -> list[Document]:
        found: dict[str, Document] = {}
        passwords = self.compose.passwords
        for key, (value, private) in self.from_files.items():
            if not VARIABLE.fullmatch(key):
                continue
            if secret := passwords.secret(key, (value,) if value else (), self.name, private):
                self.secret[key] = secret
            else:
                found[key] = {"name": key, "value": escaped(value)}
        for key, raw in self.service.environment.items():
            self.secret.pop(key, None)
            found.pop(key, None)
            value = raw if raw is not None else f"${{{key}}}" if template.NAME.fullmatch(key) else ""
            if raw is None and passwords.value(key) is None:
                self.note(f"environment.{key}", "is taken from the caller's shell, and the env-file has none: left out")
            elif not VARIABLE.fullmatch(key):
                self.note("environment", "a name that Kubernetes does not take for a variable: left out")
            elif secret := passwords.secret(key, (parts := template.parse(value)), self.name):
                self.secret[key] = secret
            else:
                found[key] = self.variable(key, value, parts)
        self.secret |= {key: f"${{env.{key}}}" for key in sorted(self.named) if key not in self.secret | found}
        found |= {key: reference(key, self.label) for key in self.secret}
        return list(found.values())

    def variable(self, key: str, raw: str, parts: template.Parts) -> Document:
        try:
            value: Any = escaped(template.joined(parts, self.compose.values))
        except ValueError as error:
            raise self.compose.fault(("services", self.name, "environment", key), str(error)) from None
        said = raw.splitlines()[0] if raw else ""
        if any(isinstance(part, template.Variable) for part in parts) and said.isprintable():
            value = Commented(value, f"{said} in {self.compose.file}")
        return {"name": key, "value": value}

    def probe(self) -> Document:
        check = self.service.healthcheck if self.serves else None
        if not self.serves:
            return {}
        if check and (check.disable or check.test[:1] == ["NONE"]):
            return {}
        if check and check.test and (command := self.command_of(check)):
            run: Any = {"command": command}
            if check.start_period:
                run = Commented(
                    run, f"No start_period is needed: a probe that fails while {self.name} starts restarts nothing."
                )
            return {"exec": run, **times(check)}
        if check and not check.test:
            self.note("healthcheck", "the test is the image's own, which Kubernetes does not know: left out")
        if self.ready_port is None:
            return {}
        why = f"{self.compose.file} has no test for it: it is ready once it listens."
        return {"tcpSocket": Commented({"port": self.ready_port}, why), "periodSeconds": 2}

    def command_of(self, check: Healthcheck) -> list[str]:
        kind, *words = check.test
        if kind == "CMD-SHELL":
            return ["/bin/sh", "-c", self.referred(escaped(words[0]), "${{{}}}")]
        if any(MARK.search(word) for word in words):
            # Kubernetes puts no value of a Secret into the command of a probe.
            self.note("healthcheck.test", "a password among its words: write it as CMD-SHELL; left out")
            return []
        return [escaped(word) for word in words]

    def resources(self) -> Document:
        service, deploy = self.service, self.service.deploy.resources
        limits = quantities(deploy.limits, service.cpus, service.mem_limit)
        requests = quantities(deploy.reservations, None, service.mem_reservation)
        return {key: value for key, value in (("requests", requests), ("limits", limits)) if value}

    def security(self) -> Document:
        service, found = self.service, Document()
        if service.user:
            if user := USER.fullmatch(service.user):
                found["runAsUser"] = int(user[1])
                found |= {"runAsGroup": int(user[2])} if user[2] else {}
            else:
                self.note("user", "Kubernetes takes numbers only: write UID or UID:GID; left out")
        if service.read_only:
            found["readOnlyRootFilesystem"] = True
        both = (("add", service.cap_add), ("drop", service.cap_drop))
        if capabilities := {key: [c.upper().removeprefix("CAP_") for c in names] for key, names in both if names}:
            found["capabilities"] = capabilities
        return found


def reference(key: str, secret: str) -> Document:
    return {"name": key, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}


def escaped(text: str) -> str:
    """Return a text as Kubernetes reads it back: `$(NAME)` is a variable to it, and `$$` one dollar."""
    return text.replace("$", "$$") if "$(" in text or "$$" in text else text


def times(check: Healthcheck) -> Document:
    both = (("periodSeconds", check.interval), ("timeoutSeconds", check.timeout))
    found: Document = {key: max(1, ceil(value)) for key, value in both if value}
    if check.retries:
        found["failureThreshold"] = check.retries
    return found


def quantities(amount: Amount, cpus: float | None, memory: int | None) -> Document:
    found: Document = {}
    if cores := amount.cpus or cpus:
        found["cpu"] = f"{round(cores * 1000)}m" if cores * 1000 % 1000 else str(round(cores))
    if size := amount.memory or memory:
        found["memory"] = next(
            (f"{size // n}{u}" for u, n in (("Gi", 1 << 30), ("Mi", 1 << 20)) if size % n == 0), str(size)
        )
    return found
