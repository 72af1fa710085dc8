"""Asks an API server for its kinds, and keeps what it told in the environment's folder."""

import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Lock
from time import monotonic
from typing import Any

from devenv.errors import NotFound, Unreachable
from devenv.kube import kinds
from devenv.kube.client import Client
from devenv.kube.kinds import Kind, Kinds, Version
from devenv.system import state

DOING = "ask for the kinds of the cluster"
AT_ONCE = 8


class Discovery:
    """The kinds of an API server, asked for once, when one is first looked up. Threads may share it.

    What is kept in the file is used only if the API server says, by its ETag, that it would tell the same again: so it
    is never that of another cluster, nor of one that has changed.
    """

    def __init__(self, client: Client, file: Path) -> None:
        self._client, self._file = client, file
        self._known, self._asked = Kinds(), float("-inf")
        self._asking = Lock()

    def find(self, api_version: str, name: str) -> Kind | None:
        """Return a kind, or None. One that is not known may be new, so it is asked for again once."""
        began = monotonic()
        return self.kinds().find(api_version, name) or self.kinds(since=began).find(api_version, name)

    def kinds(self, since: float = 0) -> Kinds:
        """Return the kinds that the API server told of, at a moment (of the monotonic clock) or later."""
        with self._asking:
            if self._asked < since:
                now = monotonic()
                self._known = self._ask()
                self._asked = now
            return self._known

    def forget(self) -> None:
        """Have the kinds asked for again when one is next looked up."""
        with self._asking:
            self._asked = float("-inf")

    def _ask(self) -> Kinds:
        kept = entries(state.read_json(self._file))
        with ThreadPoolExecutor(AT_ONCE) as pool:
            roots = pool.map(lambda path: self._root(path, kept.get(path)), kinds.ROOTS)
            found = dict(zip(kinds.ROOTS, roots, strict=True))
            seen = [self._versions(pool, entry["document"]) for entry in found.values()]
            told = Kinds(tuple(version for versions in seen for version in versions))
        worth = {path: entry for path, entry in found.items() if entry["etag"]}
        if worth != kept:
            with suppress(OSError):  # it only saves time
                state.write(self._file, json.dumps(worth))
        return told

    def _root(self, path: str, kept: dict[str, Any] | None) -> dict[str, Any]:
        """Return the document of a root with its ETag; a plain one has none, for it does not tell of the kinds."""
        answer = self._client.send(DOING, "GET", path, accept=kinds.ACCEPT, etag=kept["etag"] if kept else "")
        if kept and answer.is_unchanged:
            return kept
        document = answer.json()
        return {"etag": answer.etag if kinds.is_aggregated(document) else "", "document": document}

    def _versions(self, pool: ThreadPoolExecutor, document: dict[str, Any]) -> Iterable[Version]:
        found = kinds.versions(document)
        return found if kinds.is_aggregated(document) else pool.map(self._version, found)

    def _version(self, seen: Version) -> Version:
        """Return a version with its kinds. One group whose own server is away does not hide the others."""
        try:
            return kinds.resources(self._client.send(DOING, "GET", seen.path).json(), seen)
        except (NotFound, Unreachable):
            if not seen.group:  # the API server's own
                raise
            return seen


def entries(kept: Any) -> dict[str, dict[str, Any]]:
    """Return what a file holds by path; nothing of one that is not ours."""
    return {path: entry for path, entry in kept.items() if is_entry(path, entry)} if isinstance(kept, dict) else {}


def is_entry(path: Any, entry: Any) -> bool:
    types = {"etag": str, "document": dict}
    return path in kinds.ROOTS and isinstance(entry, dict) and all(isinstance(entry.get(k), types[k]) for k in types)
