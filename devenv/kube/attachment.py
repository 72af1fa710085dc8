"""A workload whose place a process on this machine has taken: what is written on it, and undone. Pure.

The workload has no pods meanwhile. What it was stands in an annotation of it, set by the request that takes its place:
so whoever finds it can give that back. What is made beside it (stand_in.py) has a label of the same name.
"""

import json
from dataclasses import asdict, dataclass
from typing import Any

from devenv.kube.objects import Document, Object
from devenv.kube.pods import mapping

ATTACHED = "devenv/attached"  # an annotation of the workload, a label of what is made for it
KINDS = ("Deployment", "StatefulSet")
TOOK = "a local process took its place"  # said of the workload, and of what was made for it
FIELD_MANAGER = "devenv-attach"


@dataclass(frozen=True)
class Record:
    """What took a workload's place, and what it was."""

    replicas: int
    process: int
    command: str  # its program
    since: str
    ports: tuple[str, ...]  # "8000 → service api:80"

    def __str__(self) -> str:
        known = filter(None, (self.command, f"process {self.process}" if self.process else "", self.since))
        return f"{TOOK} ({', '.join(known)})"


def record_of(workload: Object | None) -> Record | None:
    """Return what took a workload's place; None where nothing did. What cannot be read of it is as it mostly is."""
    text = mapping(workload.meta.get("annotations")).get(ATTACHED) if workload else None
    if text is None:
        return None
    try:
        found = mapping(json.loads(text))
    except ValueError:
        found = {}
    ports = found.get("ports")
    return Record(
        replicas=number(found.get("replicas"), 1),
        process=number(found.get("process"), 0),
        command=str(found.get("command", "")),
        since=str(found.get("since", "")),
        ports=tuple(map(str, ports if isinstance(ports, list) else ())),
    )


def number(value: Any, otherwise: int) -> int:
    return value if isinstance(value, int) and value >= 0 else otherwise


def taking(record: Record) -> Document:
    """Return the change that takes a workload's place: one request, so that nothing is changed that is not recorded."""
    return {"metadata": {"annotations": {ATTACHED: json.dumps(asdict(record))}}, "spec": {"replicas": 0}}


def giving_back(workload: Object) -> Document:
    """Return the change that gives a workload's place back; replicas that somebody has set since stay."""
    record, body = record_of(workload), {"metadata": {"annotations": {ATTACHED: None}}}
    if record and replicas(workload) == 0:
        return {**body, "spec": {"replicas": record.replicas}}
    return body


def replicas(workload: Object) -> int:
    count = mapping(workload.raw.get("spec")).get("replicas")
    return 1 if count is None else int(count)


def is_part(obj: Object) -> bool:
    """Whether an object was made for a process that took a workload's place."""
    return ATTACHED in mapping(obj.meta.get("labels"))
