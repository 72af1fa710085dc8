"""A server that answers as the API server does, as far as devenv looks inside: objects, watches, logs as they grow.

Answers without an end come in pieces (Transfer-Encoding: chunked), as those of a real one.
"""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Condition, Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.test_kinds import aggregated, resource

Document = dict[str, Any]
KINDS = {
    "/api": aggregated(("", {"v1": [resource(f"{k.lower()}s", k) for k in ("Pod", "Event", "ConfigMap", "Service")]})),
    "/apis": aggregated(
        ("apps", {"v1": [resource(f"{k.lower()}s", k) for k in ("Deployment", "ReplicaSet", "StatefulSet")]}),
        ("batch", {"v1": [resource("jobs", "Job")]}),
    ),
}  # fmt: skip
LISTED = ("pods", "events", "replicasets", "jobs", "services", "deployments", "statefulsets", "configmaps")


@dataclass
class Cluster:
    """What the server has: objects by their paths, lines by the ID of the container's run that said them."""

    objects: dict[str, Document] = field(default_factory=dict)
    logs: dict[str, list[str]] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)  # runs whose log does not grow any more
    asked: list[str] = field(default_factory=list)
    bodies: list[tuple[str, Document]] = field(default_factory=list)
    made: Callable[[Document], None] = lambda _: None  # what becomes of an object that was changed
    port: int = 0
    cuts: int = 0  # how often all connections were cut
    changes: list[tuple[str, Document]] = field(default_factory=list)
    changed: Condition = field(default_factory=Condition)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def listed(self, path: str, selector: str) -> list[Document]:
        """Return the objects of a kind, of one namespace or of all, that have these labels."""
        version, _, plural = path.rpartition("/")
        spread = re.compile(f"{re.escape(version)}/(namespaces/[^/]+/)?{plural}")
        wanted = dict(pair.split("=", 1) for pair in selector.split(",") if pair)
        found = (obj for place, obj in self.objects.items() if spread.fullmatch(place.rpartition("/")[0]))
        return [obj for obj in found if wanted.items() <= (obj["metadata"].get("labels") or {}).items()]

    def put(self, path: str, obj: Document) -> None:
        """Make an object, or another of it, and tell those that watch."""
        with self.changed:
            kind = "MODIFIED" if path in self.objects else "ADDED"
            self.objects[path] = obj
            self.changes.append((path.rpartition("/")[0], {"type": kind, "object": json.loads(json.dumps(obj))}))
            self.changed.notify_all()

    def say(self, run: str, *lines: str) -> None:
        with self.changed:
            self.logs.setdefault(run, []).extend(lines)
            self.changed.notify_all()

    def end(self, run: str) -> None:
        with self.changed:
            self.ended.add(run)
            self.changed.notify_all()

    def cut(self) -> None:
        """Break all answers that are under way, as a server does that goes away."""
        with self.changed:
            self.cuts += 1
            self.changed.notify_all()

    def streams(self) -> int:
        return sum("follow=true" in line for line in self.asked)


class Answering(BaseHTTPRequestHandler):
    """Answers on connections that are kept, and says nothing to the terminal."""

    protocol_version = "HTTP/1.1"

    def told(self, value: Document, status: int = 200) -> None:
        self.whole(json.dumps(value).encode(), status)

    def whole(self, body: bytes, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Handler(Answering):
    cluster: Cluster

    def do_GET(self) -> None:
        self.cluster.asked.append(f"GET {self.path}")
        url = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        if url.path == "/readyz":
            self.whole(b"ok")
        elif url.path.endswith("/log"):
            self.log(url.path.removesuffix("/log"), query)
        elif "watch" in query:
            self.pieces(self.watch(url.path, int(query["resourceVersion"])))
        elif url.path == "/version":
            self.told({"major": "1"})
        elif url.path in KINDS:
            self.told(KINDS[url.path])
        elif url.path in self.cluster.objects:
            self.told(self.cluster.objects[url.path])
        elif url.path.rpartition("/")[2] in LISTED:
            with self.cluster.changed:
                found = self.cluster.listed(url.path, query.get("labelSelector", ""))
                version = len(self.cluster.changes)
            self.told({"metadata": {"resourceVersion": str(version)}, "items": found})
        else:
            self.told({"message": f"{url.path} is not there"}, 404)

    def do_PATCH(self) -> None:
        self.cluster.asked.append(f"PATCH {self.path}")
        path = self.path.partition("?")[0]
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.cluster.bodies.append((self.path, body))
        self.cluster.made(self.cluster.objects[path])
        self.told(self.cluster.objects[path])

    def log(self, path: str, query: dict[str, str]) -> None:
        """Answer with the log of a container, as the kubelet chooses the run of it."""
        status = self.cluster.objects[path]["status"]
        every = [c for key in ("initContainerStatuses", "containerStatuses") for c in status.get(key, ())]
        seen = next(c for c in every if c["name"] == query["container"])
        last = seen.get("lastState", {}).get("terminated", {}).get("containerID")
        run = last if "previous" in query else seen.get("containerID")
        if run not in self.cluster.logs:
            self.told({"message": f"container {query['container']} has no such log"}, 400)
            return
        self.pieces(self.lines(run, query))

    def lines(self, run: str, query: dict[str, str]) -> Iterator[bytes]:
        cluster, sent, cuts = self.cluster, 0, self.cluster.cuts
        if "sinceTime" in query:  # to the second, as the API has it
            sent = sum(line[:19] < query["sinceTime"][:19] for line in cluster.logs[run])
        if "tailLines" in query:
            sent = max(sent, len(cluster.logs[run]) - int(query["tailLines"]))
        while True:
            with cluster.changed:
                cluster.changed.wait_for(
                    lambda sent=sent: len(cluster.logs[run]) > sent  # type: ignore[misc]
                    or run in cluster.ended or "follow" not in query or cluster.cuts > cuts
                )  # fmt: skip
                new, over = cluster.logs[run][sent:], run in cluster.ended or "follow" not in query
            if cluster.cuts > cuts:
                raise ConnectionAbortedError
            if new:
                sent += len(new)
                yield "".join(f"{line}\n" for line in new).encode()
            if over:
                return

    def watch(self, path: str, version: int) -> Iterator[bytes]:
        cluster, cuts = self.cluster, self.cluster.cuts
        while True:
            with cluster.changed:
                cluster.changed.wait_for(
                    lambda version=version: len(cluster.changes) > version or cluster.cuts > cuts  # type: ignore[misc]
                )
                new = cluster.changes[version:]
            if cluster.cuts > cuts:
                raise ConnectionAbortedError
            version += len(new)
            for place, event in new:
                if place == path:
                    yield json.dumps(event).encode() + b"\n"

    def pieces(self, chunks: Iterator[bytes]) -> None:
        """Send an answer piece by piece; what breaks it off breaks the connection."""
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.close_connection = True
        with suppress(ConnectionError):
            for chunk in chunks:
                for start in range(0, len(chunk), 30_000):  # wherever that is in a line
                    piece = chunk[start : start + 30_000]
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            self.wfile.write(b"0\r\n\r\n")


@contextmanager
def serving() -> Iterator[Cluster]:
    cluster = Cluster()
    handler = type("Of", (Handler,), {"cluster": cluster})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads, server.block_on_close = True, False
        cluster.port = server.server_address[1]
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield cluster
        cluster.cut()
        server.shutdown()
