"""The Kubernetes API of our cluster: objects applied, listed, deleted, and logs."""

from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import urlencode

from devenv.errors import Conflict, DevenvError, Forbidden, NoSuchKind, NoSuchNamespace, NotFound
from devenv.kube import secrecy
from devenv.kube.client import ANYTHING, JSON, Client
from devenv.kube.discovery import Discovery
from devenv.kube.kinds import Kind
from devenv.kube.objects import KEPT, MANAGER, Document, Id, Object, selector
from devenv.system import masking
from devenv.system.state import Folder

APPLY = "application/apply-patch+yaml"  # JSON is YAML
MERGE, STRATEGIC = "application/merge-patch+json", "application/strategic-merge-patch+json"
READY_WITHIN_S = 2.0
LOG_LINES = 30
AT_ONCE = 8  # requests of one look


class Api:
    """A connection by the environment's own kubeconfig. Every request has a time limit. Threads may share it."""

    def __init__(self, folder: Folder, namespace: str) -> None:
        self.namespace = namespace
        self.client = Client(folder)
        self._discovery = Discovery(self.client, folder.path / "discovery.json")

    @property
    def now(self) -> datetime:
        """The cluster's clock, to a second, at the last answer."""
        return self.client.now

    def _kind(self, api_version: str, kind: str) -> Kind:
        if found := self._discovery.find(api_version, kind):
            return found
        raise NoSuchKind(f"{api_version} {kind}: this cluster has no such kind")

    def _path(self, obj: Object, **query: str) -> str:
        """Return the path of an object."""
        kind = self._kind(obj.raw["apiVersion"], obj.kind)
        return kind.path(obj.id.namespace or self.namespace, obj.id.name, **query)

    def _parsed(self, raw: Document) -> Object:
        found = Object.parse(raw, self.namespace)
        masking.hide(secrecy.of_object(found))  # its pods may print it, and so may a difference to it
        return found

    def is_namespaced(self, obj: Object) -> bool:
        """Whether objects of its kind are in namespaces, as this cluster says; a kind that it does not serve may be."""
        found = self._discovery.find(obj.raw["apiVersion"], obj.kind)
        return found is None or found.namespaced

    def key(self, obj: Object) -> Id:
        """Return what tells an object from all others in this cluster: the namespace that a manifest gives to an object
        of a kind without one means nothing.
        """
        return obj.id if self.is_namespaced(obj) else replace(obj.id, namespace="")

    def serves(self, obj: Object) -> bool:
        """Whether the cluster has the kind of an object."""
        return self._discovery.find(obj.raw["apiVersion"], obj.kind) is not None

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The kinds whose objects can be listed and deleted, each in the version that the server prefers."""
        return self._discovery.kinds().listable

    def apply(self, obj: Object, dry_run: bool = False) -> Object:
        """Server-side apply as field manager devenv: what we name is ours, what others set beside it stays.

        Returns the object as the API server makes it; with `dry_run` nothing is stored. Raises NoSuchNamespace.
        """
        dry = {"dryRun": "All"} if dry_run else {}
        doing = f"apply {obj.id}"
        path = self._path(obj, fieldManager=MANAGER, force="true", **dry)
        return self._written(doing, "PATCH", path, obj, NoSuchNamespace, APPLY)

    def create(self, obj: Object) -> Object:
        """Create an object. Raises Conflict where it is there, and NoSuchNamespace."""
        kind = self._kind(obj.raw["apiVersion"], obj.kind)
        path = kind.path(obj.id.namespace or self.namespace, fieldManager=MANAGER)
        return self._written(f"create {obj.id}", "POST", path, obj, NoSuchNamespace)

    def replace(self, obj: Object) -> Object:
        """Replace an object. Raises Conflict where it is not of the version that is given any more, or is gone."""
        path = self._path(obj, fieldManager=MANAGER)
        return self._written(f"replace {obj.id}", "PUT", path, obj, Conflict)

    def annotate(self, obj: Object, annotations: Mapping[str, str]) -> None:
        """Set annotations of an object, and nothing else of it. Raises Conflict where another has taken its name."""
        self.merge(f"annotate {obj.id}", obj, {"metadata": {"annotations": dict(annotations)}})

    def merge(self, doing: str, obj: Object, body: Document, manager: str = MANAGER) -> Object:
        """Change these fields of an object, and nothing else of it. Raises Conflict where another has its name now."""
        return self._patched(doing, obj, body, manager, MERGE)

    def patch(self, doing: str, obj: Object, body: Document) -> Object:
        """Change an object of a built-in kind by a strategic merge patch. Raises Conflict as `merge` does."""
        return self._patched(doing, obj, body, MANAGER, STRATEGIC)

    def _patched(self, doing: str, obj: Object, body: Document, manager: str, media: str) -> Object:
        body = {**body, "metadata": {"uid": obj.meta["uid"], **body.get("metadata", {})}}
        path = self._path(obj, fieldManager=manager)
        return self._written(doing, "PATCH", path, Object(obj.id, body), Conflict, media)

    def _written(
        self, doing: str, method: str, path: str, obj: Object, gone: type[DevenvError], media: str = JSON
    ) -> Object:
        try:
            return self._parsed(self.client.send(doing, method, path, obj.raw, media=media).json())
        except NotFound as error:
            way_out = f"\nhint: add a Namespace named {obj.id.namespace} to the manifests, or create it"
            raise gone(f"{error}{way_out if gone is NoSuchNamespace else ''}") from None

    def preview(self, obj: Object) -> Object:
        """Return the object as `apply` would make it; in a namespace that is not there yet, as it was given."""
        try:
            return self.apply(obj, dry_run=True)
        except NoSuchNamespace:
            return obj

    def get(self, obj: Object) -> Object | None:
        """Return the living object of the same kind and name, or None."""
        try:
            found = self._parsed(self.client.send(f"read {obj.id}", "GET", self._path(obj)).json())
        except (NotFound, NoSuchKind):
            return None
        return found if self.is_namespaced(obj) else found.placed(obj.id.namespace)

    def there(self, objects: Iterable[Object]) -> list[Object]:
        """Return those of some objects that the cluster has, as they are there, whoever created them."""
        with ThreadPoolExecutor() as pool:
            return [found for found in pool.map(self.get, objects) if found]

    def objects(self, api_version: str, kind: str, namespaces: Iterable[str]) -> list[Object]:
        """Return the objects of a kind in some namespaces."""
        return [obj for namespace in namespaces for obj in self.listed(api_version, kind, namespace)]

    def listed(self, api_version: str, kind: str, namespace: str | None = None, labels: str = "") -> list[Object]:
        """Return the objects of a kind, of all namespaces where none is named. Raise NoSuchKind."""
        query = {"labelSelector": labels} if labels else {}
        path = self._kind(api_version, kind).path(namespace, **query)
        try:
            found = self.client.send(f"list {kind}", "GET", path).json()
        except NotFound:  # its definition was deleted since the kinds were asked for
            self._discovery.forget()
            raise NoSuchKind(f"{api_version} {kind}: this cluster has no such kind any more") from None
        return [self._parsed({**item, "apiVersion": api_version, "kind": kind}) for item in found.get("items") or ()]

    def events(self, namespaces: Iterable[str]) -> list[Document]:
        """Return the Events of some namespaces; none where these credentials may not see them."""
        try:
            return [dict(event.raw) for event in self.objects("v1", "Event", namespaces)]
        except Forbidden:
            return []

    def ours(self, name: str, wanted: Iterable[Object], namespaces: Collection[str]) -> dict[Id, Object]:
        """Return what was applied for an environment: what of it is wanted, and what else may be pruned.

        Each kind is asked for once. `namespaces` are those that are looked in where these credentials may not look in
        all.
        """
        objects, labels = [*wanted], selector(name, self.namespace)
        needed, ids = {(o.id.group, o.kind) for o in objects}, {o.id for o in objects}
        kinds = {(k.group, k.name): k for k in self.kinds if k.name not in KEPT or (k.group, k.name) in needed}
        with ThreadPoolExecutor(AT_ONCE) as pool:
            lists = pool.map(lambda key: self._labelled(kinds[key], labels, namespaces, key in needed), kinds)
            seen = dict(zip(kinds, lists, strict=True))
            # What may not be listed may still be read by its name.
            singles = [*pool.map(self.get, [o for o in objects if seen.get((o.id.group, o.kind)) is None])]
        # What a manifest says of the place of an object that has none is told from the others by its name alone.
        places = {(o.id.group, o.kind, o.id.name): o.id.namespace for o in objects}
        placed = [
            (kinds[key], o if kinds[key].namespaced else o.placed(places.get((*key, o.id.name), o.id.namespace)))
            for key, found in seen.items()
            for o in found or ()
        ]
        listed = [o for kind, o in placed if counts(kind, o, o.id in ids)]
        return {o.id: o for o in (*listed, *(s for s in singles if s and s.is_ours(name)))}

    def _labelled(self, kind: Kind, labels: str, namespaces: Collection[str], needed: bool) -> list[Object] | None:
        """Return the objects with these labels; None of a kind that may not be listed."""
        try:
            return self.listed(kind.api_version, kind.name, None, labels)
        except NoSuchKind:
            return []
        except Forbidden:
            if not kind.namespaced or kind.name in KEPT:
                return None
            with suppress(*(() if needed else (Forbidden,))):
                return [o for place in namespaces for o in self.listed(kind.api_version, kind.name, place, labels)]
            return None

    def delete(self, obj: Object, exactly: bool = False, orphans: bool = False) -> None:
        """Delete an object with what it owns, in the foreground, or without. None there is no error.

        With `exactly`, another version of it than the one that was read is a Conflict.
        """
        policy = "Orphan" if orphans else "Foreground"
        known = {key: obj.meta[key] for key in ("uid", "resourceVersion") if exactly and key in obj.meta}
        body = {"propagationPolicy": policy, "preconditions": known}
        with suppress(NotFound, NoSuchKind):
            self.client.send(f"delete {obj.id}", "DELETE", self._path(obj), body)

    def log(self, pod: Id) -> str:
        """Return the last lines of the container of a pod that most likely tells why."""
        try:
            living = self.get(Object(pod, {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": pod.name}}))
            if living is None:
                return "(no log: the pod is gone)"
            container, previous = culprit(living.raw)
            query = {"container": container, "previous": str(previous).lower(), "tailLines": LOG_LINES}
            path = f"{self._path(living)}/log?{urlencode(query)}"
            return self.client.send(f"read the log of {pod}", "GET", path, accept=ANYTHING).text
        except DevenvError as error:
            return f"(no log: {error})"

    def log_since(self, pod: Id, container: str, since: float) -> str:
        """Return the lines of a container's log from the second of a moment on, each with its time before it."""
        begun = datetime.fromtimestamp(int(since), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        query = urlencode({"container": container, "timestamps": "true", "sinceTime": begun})
        path = self._path(Object(pod, {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": pod.name}}))
        return self.client.send(f"read the log of {pod}", "GET", f"{path}/log?{query}", accept=ANYTHING).text

    def answers(self) -> bool:
        """Whether the API server says that it is ready."""
        try:
            self.client.send("ask the API server", "GET", "/readyz", accept=ANYTHING, within_s=READY_WITHIN_S)
        except DevenvError:
            return False
        return True


def counts(kind: Kind, obj: Object, wanted: bool) -> bool:
    """Whether an object with our labels is ours: that a controller gave them to what it made is no reason.

    What is made once for all, or holds data, is ours by its name and these labels, and never pruned by them alone.
    """
    if wanted and (kind.name in KEPT or not kind.namespaced):
        return True
    return kind.name not in KEPT and obj.is_applied


def culprit(pod: Document) -> tuple[str, bool]:
    """Return the container whose log to show, and whether it is the log of its previous run."""
    status = pod.get("status", {})
    seen = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
    for container in seen:
        state, last = container.get("state", {}), container.get("lastState", {})
        if (state.get("terminated") or {}).get("exitCode"):
            return container["name"], False
        if "waiting" in state and "terminated" in last:
            return container["name"], True
    unready = next((c for c in seen if not c.get("ready") and "running" in c.get("state", {})), None)
    return (unready or seen[-1])["name"] if seen else pod["spec"]["containers"][0]["name"], False
