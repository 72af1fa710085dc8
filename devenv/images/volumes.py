"""The volumes of Docker that are ours, by their labels."""

from collections.abc import Mapping
from dataclasses import dataclass

from devenv.images.daemon import client, explained


@dataclass(frozen=True)
class Volume:
    """A volume. `path` is where it lies on Docker's machine."""

    name: str
    path: str
    labels: Mapping[str, str]


def find(label: str) -> list[Volume]:
    """Return the volumes that have a label, given as KEY or as KEY=VALUE."""
    with explained("list volumes"):
        found = client().api.volumes(filters={"label": label})["Volumes"] or ()
    return [Volume(v["Name"], v["Mountpoint"], v["Labels"] or {}) for v in found]


def make(name: str, labels: Mapping[str, str]) -> Volume:
    with explained(f"create volume {name}"):
        made = client().api.create_volume(name, labels=dict(labels))
    return Volume(made["Name"], made["Mountpoint"], labels)


def remove(volume: Volume) -> bool:
    """Remove a volume and say whether it went. One that a container uses stays, running or not.

    Docker itself sees only who has it by its name, and not the node that has its folder.
    """
    with explained("list containers"):
        mounts = [mount for c in client().api.containers(all=True) for mount in c["Mounts"]]
    if any(m.get("Source") == volume.path or m.get("Name") == volume.name for m in mounts):
        return False
    with explained(f"remove volume {volume.name}"):
        client().api.remove_volume(volume.name)
    return True
