"""An existing cluster, named by a context of the person's kubeconfig, and the guard before it.

That kubeconfig is read, and never changed.
"""

from collections.abc import Collection
from functools import cache
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from devenv import process, state
from devenv.errors import CommandFailed, UsageError
from devenv.state import Folder

# Names of this machine: RFC 6761, and those that Docker Desktop gives to it.
LOCAL_NAMES = ("localhost", "kubernetes.docker.internal", "host.docker.internal")


def kubectl_config(*words: str) -> str:
    return process.run([process.find("kubectl"), "config", *words])


@cache  # one command sees one state of it: what the guard let pass is what is used
def kubeconfig(name: str, namespace: str) -> str:
    """Return a kubeconfig with this context alone and the namespace as its default, made from the person's own."""
    import yaml

    try:
        text = kubectl_config("view", "--minify", "--flatten", "--raw", "--context", name, "--output", "yaml")
    except CommandFailed:
        there = kubectl_config("get-contexts", "--output", "name").splitlines()
        if name in there:
            raise
        known = ", ".join(there) or "none"
        raise UsageError(f"your kubeconfig has no context {name}; there are: {known}") from None
    config: dict[str, Any] = yaml.safe_load(text)
    return yaml.safe_dump({**in_namespace(config, namespace), "current-context": name})


def in_namespace(config: dict[str, Any], namespace: str) -> dict[str, Any]:
    """Return a kubeconfig whose contexts have this namespace as their default."""
    contexts = [{**c, "context": {**c["context"], "namespace": namespace}} for c in config["contexts"]]
    return {**config, "contexts": contexts}


def write(text: str, where: Folder) -> None:
    """Make this the environment's own kubeconfig; whoever reads it sees a change only where there is one."""
    where.make()
    if not where.kubeconfig.exists() or where.kubeconfig.read_text() != text:
        state.write(where.kubeconfig, text)


def use_namespace(namespace: str, where: Folder) -> None:
    """Let the environment's kubeconfig, where there is one, mean this namespace."""
    import yaml

    if where.kubeconfig.exists():
        write(yaml.safe_dump(in_namespace(yaml.safe_load(where.kubeconfig.read_text()), namespace)), where)


def server(text: str) -> str:
    """Return where the one context of a kubeconfig leads: to its server, or to a proxy that is farther away."""
    import yaml

    cluster: dict[str, Any] = yaml.safe_load(text)["clusters"][0]["cluster"]
    address = str(cluster["server"])
    proxy = str(cluster.get("proxy-url") or address)
    return proxy if is_local(address) else address


def is_local(address: str) -> bool:
    """Whether the URL of an API server is one of this machine."""
    host = (urlsplit(address if "://" in address else f"//{address}").hostname or "").rstrip(".")
    try:
        found = ip_address(host)
    except ValueError:
        return host in LOCAL_NAMES or host.endswith(".localhost")
    return found.is_loopback or found.is_unspecified


def guard(name: str, address: str, named: Collection[str], yes_remote: str | None) -> None:
    """Raise UsageError for a context that is neither local, nor named in the table, nor confirmed by its own name."""
    if yes_remote is not None and yes_remote != name:
        raise UsageError(f"--yes-remote names {yes_remote}, yet the context is {name}; nothing was done")
    if not (is_local(address) or name in named or yes_remote == name):
        raise UsageError(
            f"context {name} leads to {address}, which is not on this machine; say --yes-remote {name}, "
            f"or list it in remote-contexts of [tool.devenv]"
        )
