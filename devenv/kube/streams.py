"""What the API server tells for as long as one listens: the lines of a log, the changes of objects of a kind."""

import json
import time
from collections.abc import Iterator

from devenv.errors import DevenvError, Unreachable
from devenv.kube import logs
from devenv.kube.client import Client
from devenv.kube.kinds import Kind
from devenv.kube.logs import FIRST, Line, Source
from devenv.kube.objects import Object

POD, EVENT = Kind("v1", "Pod", True, "pods"), Kind("v1", "Event", True, "events")
# The server ends a watch after this time and a new one goes on from there. Meanwhile it sends a bookmark each minute: a
# longer silence means that it is gone.
WATCH_S, SILENCE_S, PAUSE_S = 300, 75.0, 0.5


def log(client: Client, source: Source, after: str = FIRST, **limits: str) -> Iterator[Line]:
    """Yield the lines of a container's log, in the words of the API; those later than `after`, where that is given."""
    query = {"container": source.container, "timestamps": "true", **limits}
    query |= {"previous": "true"} if source.previous else {}
    query |= {"sinceTime": after} if after else {}
    path, _, asked = POD.path(source.pod.namespace, source.pod.name, **query).partition("?")
    chunks = client.stream(f"read the log of {source.pod}", f"{path}/log?{asked}")
    return logs.lines(logs.split(chunks), source, after)


def listed(client: Client, kind: Kind, namespace: str, home: str) -> tuple[list[Object], str]:
    """Return the objects of a kind, and the version from which on their changes can be watched."""
    answer = client.send(f"list {kind.name}", "GET", kind.path(namespace)).json()
    heads = {"apiVersion": kind.api_version, "kind": kind.name}
    found = [Object.parse({**item, **heads}, home) for item in answer.get("items") or ()]
    return found, str((answer.get("metadata") or {}).get("resourceVersion", ""))


def watched(client: Client, kind: Kind, namespace: str, home: str) -> Iterator[Object]:
    """Yield each object of a kind as it is, then each change of one, for ever; after an interruption, all again.

    Raise DevenvError where the first list cannot be had; later the API server is asked until it answers.
    """
    found, version = listed(client, kind, namespace, home)
    while True:
        yield from found
        yield from changes(client, kind, namespace, home, version)
        while True:
            time.sleep(PAUSE_S)
            try:
                found, version = listed(client, kind, namespace, home)
                break
            except Unreachable:
                continue


def changes(client: Client, kind: Kind, namespace: str, home: str, version: str) -> Iterator[Object]:
    """Yield objects as they are made or changed since a version, until the server ends that or cannot be reached."""
    query = {"watch": "1", "allowWatchBookmarks": "true", "timeoutSeconds": str(WATCH_S), "resourceVersion": version}
    doing = f"watch {kind.name}"
    try:
        for line in logs.split(client.stream(doing, kind.path(namespace, **query), SILENCE_S), longest=1 << 24):
            event = json.loads(line)
            if event["type"] == "ERROR":  # the version is too old to go on from
                return
            if event["type"] in ("ADDED", "MODIFIED"):
                yield Object.parse(event["object"], home)
    except Unreachable:
        return
    except (ValueError, KeyError, TypeError) as error:
        raise DevenvError(f"{doing}: this is no answer of an API server: {error}") from error
