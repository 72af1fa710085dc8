"""devenv images preload and prune: what is kept so that the next cluster's node need not be sent the images again."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from typing import IO

from devenv.cluster import preload
from devenv.cluster.preload import Preload
from devenv.errors import UsageError
from devenv.project import sources
from devenv.project.stack import NODE
from devenv.reconcile.actions import CreateCluster, Step
from devenv.reconcile.environment import Environment
from devenv.system import state


def make(env: Environment, log: Callable[[str], None]) -> Preload | None:
    """Keep the stack's images, unpacked, for the next cluster's node; None where what is kept lacks little."""
    if env.project.context:
        raise UsageError("images are kept for a cluster that devenv makes; leave --context out")
    desired = sources.load(env.settings)
    images = {desired.ref(name): desired.aliases.get(name, ()) for name in desired.wanted_images}
    with alone(env, log):
        prune(env, log)  # what was left half made
        made = preload.make(env.project.name, desired.images[NODE].ref, images, log)
        prune(env, log)  # the former one
        return made


def forget(env: Environment, log: Callable[[str], None]) -> list[str]:
    """Remove what is kept, and return the volumes that went. One that the node uses goes after the cluster."""
    with alone(env, log):
        preload.forget(env.project.name)
        return prune(env, log)


def prune(env: Environment, log: Callable[[str], None]) -> list[str]:
    with state.locked(env.folder, "images prune", log):  # `up` may be about to give one to a node
        return preload.prune(env.project.name)


def alone(env: Environment, log: Callable[[str], None]) -> IO[str]:
    """Return the lock of what is kept. It is not that of `up`, which need not wait."""
    return state.acquired(preload.record(env.project.name).with_suffix(".lock"), log)


def is_due(env: Environment, done: Iterable[Step]) -> bool:
    """Whether images are to be kept after these steps: a cluster was made, and another will be. A CI makes but one."""
    return env.project.preload and not os.environ.get("CI") and any(isinstance(s.action, CreateCluster) for s in done)


def begin(env: Environment) -> None:
    """Keep the images in the background, by a process that outlives this command and lets all others go first."""
    log = env.folder.log("preload")
    with log.open("wb") as out:
        subprocess.Popen(
            ["nice", "-n", "19", sys.executable, "-m", "devenv", "images", "preload", "--file", str(env.settings.file)],
            stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd="/", start_new_session=True,
        )  # fmt: skip
