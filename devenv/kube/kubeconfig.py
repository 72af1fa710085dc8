"""An existing cluster, named by a context of the user's kubeconfig, and its guard.

That kubeconfig is read, and never changed.
"""

import os
from collections.abc import Collection, Mapping
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from devenv.errors import CommandFailed, UsageError
from devenv.kube import access
from devenv.kube.address import KubeconfigError, is_local
from devenv.system import process, state
from devenv.system.state import Folder


def kubectl_config(*words: str) -> str:
    return process.run([process.find("kubectl"), "config", *words], env={"KUBECONFIG": user_files(os.environ)})


def user_files(environ: Mapping[str, str]) -> str:
    """Return the user's KUBECONFIG without the copy of ours that `eval "$(devenv env)"` puts there."""
    files = [f for f in environ.get("KUBECONFIG", "").split(os.pathsep) if f and not state.is_ours(Path(f))]
    return os.pathsep.join(files)


@cache  # one command sees one state of it: what the guard let pass is what is used
def kubeconfig(name: str, namespace: str) -> str:
    """Return a kubeconfig with this context alone and the namespace as its default, made from the user's own."""
    import yaml

    try:
        text = kubectl_config("view", "--minify", "--flatten", "--raw", "--context", name, "--output", "yaml")
    except CommandFailed:
        there = kubectl_config("get-contexts", "--output", "name").splitlines()
        if name in there:
            raise
        known = ", ".join(there) or "none"
        raise UsageError(f"your kubeconfig has no context {name}; there are: {known}") from None
    config = {**in_namespace(access.parse(text), namespace), "current-context": name}
    return yaml.safe_dump({**config, "users": [standing(user) for user in config.get("users") or ()]})


def standing(user: Any) -> Any:
    """Return a user of a kubeconfig whose program and token file are found wherever the kubeconfig is. Paths stand
    relative to the file that has the user; these two kubectl leaves as they are, and a program without a folder in its
    name is one on PATH (client-go, "credential plugins").
    """
    inner = user.get("user") if isinstance(user, dict) else None
    if not isinstance(inner, dict):
        return user
    found, run = dict(inner), inner.get("exec")
    if is_relative(inner.get("tokenFile")):
        found["tokenFile"] = beside(user.get("name"), inner["tokenFile"])
    if isinstance(run, dict) and is_relative(run.get("command")) and "/" in run["command"]:
        found["exec"] = {**run, "command": beside(user.get("name"), run["command"])}
    return {**user, "user": found}


def is_relative(path: Any) -> bool:
    return isinstance(path, str) and path != "" and not path.startswith("/")


def beside(user: Any, path: str) -> str:
    """Return a path as it is meant in the first file that has the user."""
    files = user_files(os.environ).split(os.pathsep) if user_files(os.environ) else [str(Path.home() / ".kube/config")]
    home = next((Path(f).resolve().parent for f in files if has_user(Path(f), user)), Path.cwd())
    return os.path.normpath(home / path)


def has_user(file: Path, name: Any) -> bool:
    try:
        return any(user.get("name") == name for user in access.parse(file.read_text()).get("users") or ())
    except (OSError, ValueError, AttributeError, KubeconfigError):
        return False


def in_namespace(config: dict[str, Any], namespace: str) -> dict[str, Any]:
    """Return a kubeconfig whose contexts have this namespace as their default."""
    contexts = [{**c, "context": {**c["context"], "namespace": namespace}} for c in config["contexts"]]
    return {**config, "contexts": contexts}


def write(text: str, folder: Folder) -> None:
    """Make this the environment's own kubeconfig. Its readers see a change only where there is one."""
    folder.make()
    if not folder.kubeconfig.exists() or folder.kubeconfig.read_text() != text:
        state.write(folder.kubeconfig, text)


def use_namespace(namespace: str, folder: Folder) -> None:
    """Make this the default namespace of the environment's kubeconfig, where there is one."""
    import yaml

    if folder.kubeconfig.exists():
        config = in_namespace(access.parse(folder.kubeconfig.read_text()), namespace)
        write(yaml.safe_dump(config), folder)


def server(text: str) -> str:
    """Return the address of a kubeconfig's current context.

    Of its server, the name in the certificate and its proxy it is the first that is not on this machine, for a tunnel
    makes a cluster look local. Raise UsageError where there is no server.
    """
    try:
        cluster = access.cluster_of(access.parse(text))
    except KubeconfigError as error:
        raise UsageError(str(error)) from error
    proxy = urlsplit(cluster.proxy)._replace(netloc=urlsplit(cluster.proxy).netloc.rpartition("@")[2]).geturl()
    return next((a for a in (cluster.url, cluster.server_name, proxy) if a and not is_local(a)), cluster.url)


def guard(name: str, address: str, named: Collection[str], yes_remote: str | None) -> None:
    """Raise UsageError for a context that is neither local, nor named in the table, nor confirmed by its own name."""
    if yes_remote is not None and yes_remote != name:
        raise UsageError(f"--yes-remote names {yes_remote}, but the context is {name}; nothing was done")
    if not (is_local(address) or name in named or yes_remote == name):
        raise UsageError(
            f"context {name} is at {address}, which is not on this machine: pass --yes-remote {name}, "
            f"or add it to remote-contexts in [tool.devenv]"
        )
