"""Objects of one kind, listed and then watched in a thread of its own."""

import json
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from threading import Thread
from typing import Any

from devenv.forwarder.apiserver import ApiError, Kubeconfig

GONE = 410  # the resource version is too old to go on from (Kubernetes API concepts, "410 Gone responses")
# The server ends a watch after this time and a new one goes on from there. Meanwhile it sends a bookmark each minute
# (k8s.io/apiserver, pkg/storage/cacher/cacher.go): a longer silence means that the server is gone.
# A host that is gone without a packet is found sooner, by the kernel (apiserver.py).
WATCH_S, SILENCE_S = 300, 75
PAUSE_S = 0.5

Object = Mapping[str, Any]


class Watch:
    """The objects below a path of the API; `changed` is called, in the thread, after each change.

    `synced` says whether they can be relied on: false before the first list, and while the API server is away.
    """

    def __init__(self, server: Kubeconfig, path: str, changed: Callable[[], object]) -> None:
        self._server, self._path, self._changed = server, path, changed
        self._objects: Mapping[str, Object] = {}  # by UID; replaced as a whole, so that readers need no lock
        self.synced, self.trouble = False, "not listed yet"

    @property
    def objects(self) -> Iterable[Object]:
        return self._objects.values()

    def start(self) -> None:
        Thread(target=self._forever, daemon=True, name=self._path).start()

    def _forever(self) -> None:
        while True:
            try:
                self._follow(self._list())
            except Exception as error:  # an unexpected document too: the thread is the only one that would learn better
                self.synced, self.trouble = False, f"{type(error).__name__}: {error}"
                with suppress(Exception):  # it may be what the listener makes of a document
                    self._changed()
            time.sleep(PAUSE_S)

    def _list(self) -> str:
        answer = self._server.ask("GET", self._path)
        self._objects = {item["metadata"]["uid"]: item for item in answer["items"]}
        self.synced, self.trouble = True, ""
        self._changed()
        return str(answer["metadata"]["resourceVersion"])

    def _follow(self, version: str) -> None:
        """Watch from a version on; return when the list has to be read again."""
        while True:
            begun = time.monotonic()
            query = f"watch=1&allowWatchBookmarks=true&timeoutSeconds={WATCH_S}&resourceVersion={version}"
            try:
                for line in self._server.lines("GET", f"{self._path}?{query}", silence_s=SILENCE_S):
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        return
                    version = self._take(event)
                # Where the server, or a proxy before it, ends each watch at once, there is a pause before the next.
                time.sleep(max(0.0, PAUSE_S - (time.monotonic() - begun)))
            except ApiError as error:
                if error.code == GONE:
                    return
                raise

    def _take(self, event: Object) -> str:
        meta = event["object"]["metadata"]
        if event["type"] in ("ADDED", "MODIFIED"):
            self._objects = {**self._objects, meta["uid"]: event["object"]}
        elif event["type"] == "DELETED":
            self._objects = {uid: obj for uid, obj in self._objects.items() if uid != meta["uid"]}
        if event["type"] != "BOOKMARK":
            self._changed()
        return str(meta["resourceVersion"])
