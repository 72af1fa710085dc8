"""The Kubernetes API of our cluster: the only module that imports the kubernetes client."""

import threading
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from devenv import manifest
from devenv.errors import DevenvError, Forbidden
from devenv.manifest import MANAGER, Document
from devenv.state import Folder

REQUEST_WITHIN_S, REACHED_WITHIN_S = 15.0, 5.0
LOG_LINES = 30
FORBIDDEN = 403
# What is pruned when the manifests drop it: never a namespace, a volume or a claim, which hold data.
PRUNED = (
    ("v1", "ConfigMap"), ("v1", "Secret"), ("v1", "Service"), ("v1", "ServiceAccount"), ("apps/v1", "Deployment"),
    ("apps/v1", "StatefulSet"), ("apps/v1", "DaemonSet"), ("batch/v1", "Job"), ("batch/v1", "CronJob"),
    ("networking.k8s.io/v1", "Ingress"), ("networking.k8s.io/v1", "NetworkPolicy"),
    ("rbac.authorization.k8s.io/v1", "Role"), ("rbac.authorization.k8s.io/v1", "RoleBinding"),
    ("policy/v1", "PodDisruptionBudget"), ("autoscaling/v2", "HorizontalPodAutoscaler"),
)  # fmt: skip
NAMESPACED = {kind: version for version, kind in PRUNED} | {"PersistentVolumeClaim": "v1", "Pod": "v1"}


def client(where: Folder) -> Any:
    """Return a client by the environment's own kubeconfig."""
    from kubernetes import config

    try:
        return config.new_client_from_config(str(where.kubeconfig))
    except config.ConfigException as error:
        raise DevenvError(f"{where.kubeconfig}: {error}; run `devenv up`") from error


def reach(where: Folder) -> None:
    """See that the API server answers and lets us in. Raise DevenvError with why not."""
    from kubernetes.client import VersionApi

    with explained("reach the cluster"):
        VersionApi(client(where)).get_code(_request_timeout=REACHED_WITHIN_S)


class Api:
    """A connection by the environment's own kubeconfig. Every request has a time limit."""

    def __init__(self, where: Folder, namespace: str) -> None:
        from kubernetes import dynamic

        self.namespace = namespace
        connection = client(where)
        # The discovery reads and writes a cache file: one thread at a time.
        self._discovery = threading.Lock()
        with explained("reach the Kubernetes API"):
            self._dynamic = dynamic.DynamicClient(connection, cache_file=str(where.path / "discovery.json"))

    def _resource(self, api_version: str, kind: str) -> Any:
        from kubernetes.dynamic.exceptions import ResourceNotFoundError

        with self._discovery:
            try:
                return self._dynamic.resources.get(api_version=api_version, kind=kind)
            except ResourceNotFoundError:
                raise DevenvError(f"{api_version} {kind}: this cluster has no such kind") from None

    def apply(self, obj: Document, dry_run: bool = False) -> Document:
        """Server-side apply as field manager devenv: what we name is ours, what others set beside it stays.

        Returns the object as the API server makes it; with `dry_run` nothing is stored.
        """
        with explained(f"apply {manifest.key(obj)}"):
            made = self._dynamic.server_side_apply(
                self._resource(obj["apiVersion"], obj["kind"]),
                body=obj,
                name=obj["metadata"]["name"],
                namespace=obj["metadata"].get("namespace", self.namespace),
                field_manager=MANAGER,
                force_conflicts=True,
                **({"dry_run": "All"} if dry_run else {}),
                _request_timeout=REQUEST_WITHIN_S,
            )
        return manifest.at_home(made.to_dict(), self.namespace)

    def preview(self, obj: Document) -> Document:
        """Return the object as `apply` would make it; in a namespace that is not there yet, as it was given."""
        from kubernetes.dynamic.exceptions import NotFoundError

        try:
            return self.apply(obj, dry_run=True)
        except NotFoundError:
            return obj

    def get(self, obj: Document) -> Document | None:
        """Return the living object of the same kind and name, or None."""
        from kubernetes.dynamic.exceptions import NotFoundError

        resource = self._resource(obj["apiVersion"], obj["kind"])
        meta = obj["metadata"]
        try:
            with explained(f"read {manifest.key(obj)}"):
                found = resource.get(
                    name=meta["name"],
                    namespace=meta.get("namespace", self.namespace),
                    _request_timeout=REQUEST_WITHIN_S,
                )
        except NotFoundError:
            return None
        return manifest.at_home(found.to_dict(), self.namespace)

    def objects(self, api_version: str, kind: str, namespaces: Iterable[str], selector: str = "") -> list[Document]:
        """Return the objects of a kind in some namespaces."""
        resource, items = self._resource(api_version, kind), list[Document]()
        for namespace in namespaces:
            with explained(f"list {kind}"):
                found = resource.get(namespace=namespace, label_selector=selector, _request_timeout=REQUEST_WITHIN_S)
            items += found.to_dict()["items"]
        return [manifest.at_home({**item, "apiVersion": api_version, "kind": kind}, self.namespace) for item in items]

    def everywhere(self, api_version: str, kind: str) -> list[Document]:
        """Return the objects of a kind, of all namespaces where it has one."""
        with explained(f"list {kind}"):
            found = self._resource(api_version, kind).get(_request_timeout=REQUEST_WITHIN_S)
        return [{**item, "apiVersion": api_version, "kind": kind} for item in found.to_dict()["items"]]

    def ours(self, name: str, wanted: Iterable[Document], namespaces: Iterable[str]) -> list[Document]:
        """Return what was applied for an environment: what of it is wanted, and whatever else may be removed again."""
        label, places = manifest.selector(name), tuple(namespaces)
        with ThreadPoolExecutor() as pool:
            lists = pool.map(lambda kind: self.objects(kind[0], kind[1], places, label), PRUNED)
            singles = pool.map(self.get, [o for o in wanted if (o["apiVersion"], o["kind"]) not in PRUNED])
            return [obj for found in lists for obj in found] + [
                obj for obj in singles if obj and manifest.is_ours(obj, name)
            ]

    def there(self, objects: Iterable[Document]) -> list[Document]:
        """Return those of some objects that the cluster has, as they live, whoever made them."""
        with ThreadPoolExecutor() as pool:
            return [found for found in pool.map(self.get, objects) if found]

    def delete(self, obj: Mapping[str, Any]) -> None:
        """Delete an object with what it owns, in the foreground. None there is no error."""
        from kubernetes.dynamic.exceptions import NotFoundError

        resource, meta = self._resource(obj["apiVersion"], obj["kind"]), obj["metadata"]
        try:
            with explained(f"delete {manifest.key(obj)}"):
                resource.delete(
                    name=meta["name"],
                    namespace=meta.get("namespace", self.namespace),
                    body={"propagationPolicy": "Foreground"},
                    _request_timeout=REQUEST_WITHIN_S,
                )
        except NotFoundError:
            return

    def log(self, pod: str) -> str:
        """Return the last lines of the container of a pod, `name` or `name@namespace`, that most likely tells why."""
        name, _, elsewhere = pod.partition("@")
        namespace = elsewhere or self.namespace
        try:
            seen = self.get({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace}})
            if seen is None:
                return "(no log: the pod is gone)"
            container, previous = culprit(seen)
            query = [("container", container), ("previous", str(previous).lower()), ("tailLines", LOG_LINES)]
            with explained(f"read the log of {pod}"):
                path = f"/api/v1/namespaces/{namespace}/pods/{name}/log"
                return str(self._dynamic.request("get", path, query_params=query, _request_timeout=REQUEST_WITHIN_S))
        except DevenvError as error:
            return f"(no log: {error})"

    def answers(self) -> bool:
        """Whether the API server says that it is ready."""
        try:
            with explained("ask the API server"):
                self._dynamic.request("get", "/readyz", _request_timeout=2.0)
        except DevenvError:
            return False
        return True


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


@contextmanager
def explained(doing: str) -> Iterator[None]:
    """Turn the client's errors into ours, except "not found", which callers ask for."""
    from kubernetes.client import ApiException
    from kubernetes.dynamic.exceptions import NotFoundError
    from urllib3.exceptions import HTTPError

    try:
        yield
    except NotFoundError:
        raise
    except ApiException as error:
        raise (Forbidden if error.status == FORBIDDEN else DevenvError)(f"{doing}: {reason(error)}") from error
    except HTTPError as error:
        raise DevenvError(f"{doing}: the API server does not answer: {error}") from error


def reason(error: Any) -> str:
    """Return the message of the Status that the API server answered with."""
    import json

    try:
        return str(json.loads(error.body)["message"])
    except (TypeError, ValueError, KeyError):
        return f"{error.status} {error.reason}"
