"""What a compose file says that has no place in a cluster: a line for each. Pure."""

from collections.abc import Iterable

from pydantic import BaseModel

from devenv.scaffold.compose import Compose, Keys
from devenv.scaffold.known import label
from devenv.scaffold.model import Service

WHY = {
    "networks": "all Services of a namespace reach each other",
    "network_mode": "a pod has a network of its own",
    "container_name": "pods have names of their own; other services reach it by the name of its Service",
    "hostname": "other services reach it by the name of its Service",
    "links": "other services are reached by the names of their Services",
    "privileged": "it would have the node's rights; write securityContext.privileged if it needs them",
    "extends": "is not followed: write what it would add",
    "include": "is not followed: run devenv init where that file is, or copy it",
    "develop": "see images.NAME.sync in docs/reference.md of devenv",
    "init": "the first process of the container is its own",
    "logging": "devenv logs shows what the containers say",
    "pull_policy": "what devenv loads has the name of its content",
    "extra_hosts": "write hostAliases into the pod",
    "devices": "a pod gets devices by a device plugin of the node",
    "gpus": "a pod gets devices by a device plugin of the node",
    "stop_signal": "is the image's (STOPSIGNAL)",
}
ELSEWHERE = "has no counterpart here"
SILENT = {"version"}  # says nothing to Compose itself
ORDER = "no order is needed: what lacks another service is tried again until that is there"
NO_RESTART = ("no", "never", "none")


def tell(compose: Compose) -> None:
    """Add a line for each key that is left out."""
    left_out(compose, (), compose.project)
    for kind, parts in (("volumes", compose.project.volumes), ("secrets", compose.project.secrets)):
        for name, part in parts.items():
            left_out(compose, (kind, name), part)
    for name, config in compose.project.configs.items():
        left_out(compose, ("configs", name), config)
    for name, service in compose.project.services.items():
        if service.profiles:
            why = f"belongs to profiles ({', '.join(service.profiles)}), and does not start by itself: left out"
            compose.note(("services", name), why)
        else:
            of_service(compose, ("services", name), service)


def left_out(compose: Compose, keys: Keys, part: BaseModel) -> None:
    for key in part.model_extra or {}:
        if not key.startswith("x-") and key not in SILENT:
            compose.note((*keys, key), f"{WHY.get(key, ELSEWHERE)}: left out")


def of_service(compose: Compose, keys: Keys, service: Service) -> None:
    left_out(compose, keys, service)
    for key, part in inner(service):
        left_out(compose, (*keys, *key), part)
    name = keys[-1]
    if label(name, "s") != name:
        compose.note(keys, f"is {label(name, 's')} in the cluster: change the addresses that name it")
    if any(c.condition != "service_completed_successfully" for c in service.depends_on.values()):
        compose.note((*keys, "depends_on"), ORDER)
    for port in service.ports:
        if port.protocol != "tcp":
            compose.note(
                (*keys, "ports"), f"{port.target}/{port.protocol}: reached in the cluster; a forward carries TCP"
            )
    if service.deploy.mode.startswith("global"):
        compose.note((*keys, "deploy", "mode"), "there is one node: one pod")


def inner(service: Service) -> Iterable[tuple[Keys, BaseModel]]:
    """Yield the parts of a service with where they are."""
    for key in ("build", "healthcheck", "deploy"):
        if (part := getattr(service, key)) is not None:
            yield (key,), part
    deploy = service.deploy
    resources, policy = deploy.resources, deploy.restart_policy
    yield ("deploy", "restart_policy"), policy
    yield ("deploy", "resources"), resources
    yield ("deploy", "resources", "limits"), resources.limits
    yield ("deploy", "resources", "reservations"), resources.reservations
    for key in ("volumes", "ports", "secrets", "configs", "env_file"):
        for n, part in enumerate(getattr(service, key)):
            yield (key, str(n)), part
    for name, condition in service.depends_on.items():
        yield ("depends_on", name), condition
