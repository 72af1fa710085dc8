"""An API server that keeps what it is given: objects by their paths, applied, listed by label and deleted.

Deleting a namespace or a definition takes with it what Kubernetes takes; a namespace that is not there has no objects.
Jobs are complete as soon as they are created.
"""

import json
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from pathlib import Path
from threading import RLock, Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

from devenv.kube.kinds import Kinds, versions
from devenv.system.digest import digest
from tests.kube_server import Answering
from tests.test_kinds import aggregated, resource

Document = dict[str, Any]
CLUSTER = "Cluster"
KINDS = {
    "/api": aggregated(("", {"v1": [
        *(resource(f"{k.lower()}s", k) for k in (
            "ConfigMap", "Secret", "Pod", "Event", "PersistentVolumeClaim", "Service",
        )),
        resource("namespaces", "Namespace", CLUSTER),
    ]})),
    "/apis": aggregated(
        ("apps", {"v1": [resource("deployments", "Deployment"), resource("replicasets", "ReplicaSet")]}),
        ("batch", {"v1": [resource("jobs", "Job"), resource("cronjobs", "CronJob")]}),
        ("discovery.k8s.io", {"v1": [resource("endpointslices", "EndpointSlice")]}),
        ("networking.k8s.io", {"v1": [resource("networkpolicies", "NetworkPolicy")]}),
        ("coordination.k8s.io", {"v1": [resource("leases", "Lease")]}),
        ("rbac.authorization.k8s.io", {"v1": [resource("clusterroles", "ClusterRole", CLUSTER)]}),
        ("admissionregistration.k8s.io", {"v1": [resource("guards", "ValidatingAdmissionPolicy", CLUSTER)]}),
        ("apiextensions.k8s.io", {"v1": [resource("definitions", "CustomResourceDefinition", CLUSTER)]}),
        ("cert-manager.io", {"v1": [
            resource("certificates", "Certificate"), resource("clusterissuers", "ClusterIssuer", CLUSTER),
        ]}),
        ("x.example", {"v1": [resource("things", "Thing"), resource("wholes", "Whole", CLUSTER)]}),
    ),
}  # fmt: skip
KNOWN = Kinds(tuple(version for document in KINDS.values() for version in versions(document)))


def path_of(document: Document, home: str = "shop") -> str:
    kind = KNOWN.find(document["apiVersion"], document["kind"])
    assert kind, document
    return kind.path(document["metadata"].get("namespace") or home, document["metadata"]["name"])


@dataclass
class Store:
    objects: dict[str, Document] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)  # a status for what begins with `METHOD /path`
    changes: list[str] = field(default_factory=list)  # requests that changed something, in their order
    written: Callable[[str], None] = lambda _: None  # what a controller does of an object at this path
    lock: RLock = field(default_factory=RLock)
    url: str = ""

    def put(self, *documents: Document, manager: str = "devenv") -> None:
        """Have objects as a manager applied them."""
        for document in documents:
            meta = {**document["metadata"], "managedFields": [managed(document, manager)], "uid": path_of(document)}
            self.objects[path_of(document)] = {**ended(document), "metadata": meta}

    def names(self) -> list[str]:
        return sorted(f"{o['kind'].lower()}/{o['metadata']['name']}" for o in self.objects.values())

    def listed(self, path: str, labels: dict[str, str]) -> list[Document]:
        spread = path.partition("/namespaces/")[0] if "/namespaces/" not in path else ""
        version, plural = path.rpartition("/")[::2]
        inside = [p for p in self.objects if p.rpartition("/")[0] == path]
        if spread:
            everywhere = (p for p in self.objects if p.startswith(f"{version}/namespaces/"))
            inside += [p for p in everywhere if p.split("/")[-2] == plural and p not in inside]
        found = (self.objects[p] for p in inside)
        return [o for o in found if labels.items() <= (o["metadata"].get("labels") or {}).items()]

    def delete(self, path: str) -> Document | None:
        gone = self.objects.pop(path, None)
        if gone and gone["kind"] == "Namespace":
            inner = f"/namespaces/{gone['metadata']['name']}/"
            self.objects = {p: o for p, o in self.objects.items() if inner not in p}
        if gone and gone["kind"] == "CustomResourceDefinition":
            plural = gone["metadata"]["name"].partition(".")[0]
            self.objects = {p: o for p, o in self.objects.items() if plural not in p.split("/")}
        return gone


def merged(there: Document, change: Document) -> Document:
    """Return an object with the changes of a merge patch (RFC 7386)."""
    found = {key: value for key, value in there.items() if change.get(key, 0) is not None}
    for key, value in change.items():
        if value is not None:
            inner = there.get(key)
            found[key] = merged(inner if isinstance(inner, dict) else {}, value) if isinstance(value, dict) else value
    return found


def ended(document: Document) -> Document:
    status = {"conditions": [{"type": "Complete", "status": "True"}]}
    return {**document, "status": status} if document["kind"] == "Job" else document


def managed(document: Document, manager: str) -> Document:
    return {"manager": manager, "operation": "Apply", "fieldsV1": fields({k: document[k] for k in document})}


def fields(value: Document) -> Document:
    left = {k: v for k, v in value.items() if k not in ("apiVersion", "kind", "metadata")}
    return {f"f:{k}": fields(v) if isinstance(v, dict) else {} for k, v in left.items()}


class Handler(Answering):
    store: Store

    def answer(self) -> None:
        url, body = urlsplit(self.path), self.rfile.read(int(self.headers.get("Content-Length") or 0))
        asked, store = {key: values[0] for key, values in parse_qs(url.query).items()}, self.store
        line = f"{self.command} {url.path}"
        refused = next((status for begin, status in store.refused.items() if line.startswith(begin)), 0)
        with store.lock:
            if refused:
                self.told({"message": f"{line} is refused"}, refused)
            elif url.path in KINDS:
                self.told(KINDS[url.path])
            elif url.path == "/readyz":
                self.whole(b"ok")
            elif url.path == "/version":
                self.told({"major": "1"})
            elif self.command == "GET" and url.path in store.objects:
                self.told(store.objects[url.path])
            elif self.command == "GET" and any(url.path.endswith(f"/{k.plural}") for k in KNOWN):
                labels = dict(part.split("=", 1) for part in asked.get("labelSelector", "").split(",") if part)
                self.told({"items": store.listed(url.path, labels)})
            elif self.command == "DELETE":
                store.changes.append(line)
                self.told(*(({}, 200) if store.delete(url.path) else ({"message": "not there"}, 404)))
            elif self.command in ("PATCH", "POST", "PUT") and self.has_place(url.path):
                self.written(url.path, json.loads(body), "dryRun" in asked, asked.get("fieldManager", ""))
            else:
                self.told({"message": f"{url.path} is not there"}, 404)

    def has_place(self, path: str) -> bool:
        namespace = path.partition("/namespaces/")[2].split("/")
        return len(namespace) < 2 or f"/api/v1/namespaces/{namespace[0]}" in self.store.objects

    def written(self, path: str, document: Document, dry: bool, manager: str) -> None:
        if self.headers.get("Content-Type") == "application/merge-patch+json":
            there = self.store.objects[path]
            if document["metadata"].get("uid", there["metadata"].get("uid")) != there["metadata"].get("uid"):
                self.told({"message": "another has this name"}, 409)
                return
            document = merged(there, document)
        name = document["metadata"].get("name", "")
        place = path if self.command != "POST" else f"{path}/{name}"
        there = self.store.objects.get(place, {}).get("metadata", {}).get("resourceVersion")
        wanted = document["metadata"].get("resourceVersion", there)
        if (self.command == "POST" and place in self.store.objects) or (self.command == "PUT" and wanted != there):
            self.told({"message": f"{place} is of another version"}, 409)
            return
        version = b64encode(digest([json.dumps(document).encode()]).encode()).decode()
        meta = {
            **document["metadata"], "managedFields": [managed(document, manager)], "uid": place,
            "resourceVersion": version,
        }  # fmt: skip
        new = {**ended(document), "metadata": meta}
        if not dry:
            self.store.changes.append(f"{self.command} {path}")
            self.store.objects[place] = new
            self.store.written(place)
        self.told(new)

    do_GET = do_PATCH = do_POST = do_PUT = do_DELETE = answer


@contextmanager
def serving() -> Iterator[Store]:
    store = Store()
    handler = type("Of", (Handler,), {"store": store})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        store.url = f"http://127.0.0.1:{server.server_port}"
        yield store
        server.shutdown()


def kubeconfig(folder: Path, url: str) -> Path:
    """Write a person's kubeconfig whose context `c` leads there."""
    config = {
        "clusters": [{"name": "c", "cluster": {"server": url}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
    }
    (folder / "person").write_text(json.dumps(config))
    return folder / "person"
