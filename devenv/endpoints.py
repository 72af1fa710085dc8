"""Which pods are behind a Service: EndpointSlices, listed and then watched, in a thread of its own."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Thread
from typing import Any

from devenv.apiserver import ApiError, ApiServer

GONE = 410  # the resource version is too old to go on from (Kubernetes API concepts, "410 Gone responses")
# The server ends a watch after this time and a new one goes on from there: a silence that is longer means that
# nobody is left at the other end, even where no packet says so.
WATCH_S, SILENCE_S = 10, 15
PAUSE_S = 0.5
SERVICE = "kubernetes.io/service-name"  # the label by which a slice names its Service


@dataclass(frozen=True, order=True)
class Pod:
    """An endpoint of a Service. `port` is that of the pod."""

    name: str
    uid: str
    address: str
    port: int
    ready: bool


def pods_of(piece: Mapping[str, Any], port_name: str) -> list[Pod]:
    """Return the pods of an EndpointSlice. A ready condition that is not told counts as true (discovery.k8s.io/v1)."""
    ports = [p["port"] for p in piece.get("ports") or () if (p.get("name") or "") == port_name]
    found = []
    for endpoint in piece.get("endpoints") or ():
        target = endpoint.get("targetRef") or {}
        if ports and target.get("kind") == "Pod":
            ready = (endpoint.get("conditions") or {}).get("ready") is not False
            found.append(Pod(target["name"], target["uid"], endpoint["addresses"][0], ports[0], ready))
    return found


class Endpoints:
    """The slices of one namespace as the API server last told them; `changed` is called after each change.

    `told` says whether they can be relied on: false before the first list, and while the API server is away.
    """

    def __init__(self, server: Callable[[], ApiServer], namespace: str, changed: Callable[[], object]) -> None:
        self._server, self._changed = server, changed
        self._path = f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"
        self._slices: dict[str, dict[str, Any]] = {}
        self.told, self.trouble = False, "not asked yet"

    def start(self) -> None:
        Thread(target=self._forever, daemon=True, name=self._path).start()

    def of(self, service: str, port_name: str) -> list[Pod]:
        """Return the pods behind a port of a Service, the ready ones first."""
        slices = [s for s in list(self._slices.values()) if (s["metadata"].get("labels") or {}).get(SERVICE) == service]
        pods = {pod for piece in slices for pod in pods_of(piece, port_name)}
        return sorted(pods, key=lambda pod: (not pod.ready, pod))

    def _forever(self) -> None:
        while True:
            try:
                self._follow(self._list())
            except (ApiError, ValueError, KeyError) as error:
                self.told, self.trouble = False, str(error)
                self._changed()
            time.sleep(PAUSE_S)

    def _list(self) -> str:
        answer = self._server().ask("GET", self._path)
        self._slices = {item["metadata"]["name"]: item for item in answer["items"]}
        self.told, self.trouble = True, ""
        self._changed()
        return str(answer["metadata"]["resourceVersion"])

    def _follow(self, version: str) -> None:
        """Watch from a version on; return when the list has to be read anew."""
        while True:
            query = f"watch=1&allowWatchBookmarks=true&timeoutSeconds={WATCH_S}&resourceVersion={version}"
            try:
                for line in self._server().lines("GET", f"{self._path}?{query}", within_s=SILENCE_S):
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        return
                    version = self._take(event)
            except ApiError as error:
                if error.code == GONE:
                    return
                raise

    def _take(self, event: Mapping[str, Any]) -> str:
        meta = event["object"]["metadata"]
        if event["type"] in ("ADDED", "MODIFIED"):
            self._slices = {**self._slices, meta["name"]: event["object"]}
        elif event["type"] == "DELETED":
            self._slices = {name: piece for name, piece in self._slices.items() if name != meta["name"]}
        if event["type"] != "BOOKMARK":
            self._changed()
        return str(meta["resourceVersion"])
