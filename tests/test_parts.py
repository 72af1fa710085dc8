"""The parts of an environment: which one is meant by a name, which one a pod is of, what is told by a name alone."""

from typing import Any

import pytest

from devenv.errors import UsageError
from devenv.kube import parts
from devenv.kube.objects import Id, Object

WEB = Id("apps", "Deployment", "shop", "web", "shop")
DB = Id("apps", "StatefulSet", "shop", "db", "shop")
EDGE = Id("apps", "Deployment", "edge", "web", "shop")
NIGHTLY = Id("batch", "CronJob", "shop", "nightly", "shop")
CACHE = Id("x.example", "Cache", "shop", "cache", "shop")
ALL = (WEB, DB, EDGE, NIGHTLY, CACHE)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("deployment/web", (WEB,)),
        ("deploy/web", (WEB,)),
        ("web", (WEB, EDGE)),
        ("web@edge", (EDGE,)),
        ("deployment/web@edge", (EDGE,)),
        ("web@shop", (WEB,)),
        ("sts/db", (DB,)),
        ("cache", (CACHE,)),
    ],
)
def test_a_part_is_meant_by_its_name_with_or_without_kind_and_namespace(name: str, meant: tuple[Id, ...]) -> None:
    found = parts.chosen([name], ALL)
    assert set(found) == {*meant, *((EDGE,) if name in ("deployment/web", "deploy/web") else ())}
    assert parts.chosen([], ALL) == ALL


@pytest.mark.parametrize("name", ["we", "pod/web", "web@", "web@nowhere", "deployment/db", "", "/", "WEB"])
def test_a_name_that_no_part_has_is_an_error_that_lists_them(name: str) -> None:
    with pytest.raises(UsageError, match=r"there are: deployment/web, .*deployment/web@edge") as told:
        parts.chosen(["web", name], ALL)
    assert f"nothing here is named {name};" in str(told.value)


def made(kind: str, name: str, *owner: str, namespace: str = "shop") -> Object:
    groups = {"Pod": "v1", "Job": "batch/v1", "CronJob": "batch/v1", "Cache": "x.example/v1"}
    meta: dict[str, Any] = {"name": name, "namespace": namespace}
    if owner:
        version = groups.get(owner[0], "apps/v1")
        meta["ownerReferences"] = [{"apiVersion": version, "kind": owner[0], "name": owner[1], "controller": True}]
    raw = {"apiVersion": groups.get(kind, "apps/v1"), "kind": kind, "metadata": meta}
    return Object.parse(raw, "shop")


THERE = {
    "web-1": made("ReplicaSet", "web-1", "Deployment", "web"),
    "nightly-1": made("Job", "nightly-1", "CronJob", "nightly"),
    "cache-a": made("StatefulSet", "cache-a", "Cache", "cache"),
    "loop": made("ReplicaSet", "loop", "ReplicaSet", "loop"),
}


@pytest.mark.parametrize(
    ("pod", "part"),
    [
        (made("Pod", "p", "ReplicaSet", "web-1"), WEB),
        (made("Pod", "p", "ReplicaSet", "web-1", namespace="edge"), None),  # its owner is another's of the same name
        (made("Pod", "p", "StatefulSet", "db"), DB),
        (made("Pod", "p", "Job", "nightly-1"), NIGHTLY),
        (made("Pod", "p", "StatefulSet", "cache-a"), CACHE),
        (made("Pod", "p", "ReplicaSet", "gone"), None),
        (made("Pod", "p", "ReplicaSet", "loop"), None),
        (made("Pod", "p"), None),
    ],
)
def test_a_pod_is_of_the_part_that_owns_it_whatever_is_between(pod: Object, part: Id | None) -> None:
    def there(owner: dict[str, Any], namespace: str) -> Object | None:
        return THERE.get(str(owner["name"])) if namespace == "shop" else None

    assert parts.part_of(pod, ALL, there) == part


@pytest.mark.parametrize(
    ("part", "kind", "name", "is_its"),
    [
        (WEB, "Deployment", "web", True),
        (WEB, "ReplicaSet", "web-6c9f7d5b8", True),
        (WEB, "Pod", "web-6c9f7d5b8-x2x7p", True),
        (WEB, "Pod", "web-extra-6c9f7d5b8-x2x7p", False),  # of the Deployment web-extra
        (WEB, "ReplicaSet", "web-extra", False),
        (WEB, "Pod", "web-0", False),
        (DB, "Pod", "db-10", True),
        (DB, "Pod", "db-x2x7p", False),
        (DB, "PersistentVolumeClaim", "data-db-0", True),
        (DB, "PersistentVolumeClaim", "data-mydb-0", False),
        (NIGHTLY, "Job", "nightly-29384756", True),
        (NIGHTLY, "Pod", "nightly-29384756-x2x7p", True),
    ],
)
def test_the_name_of_what_was_made_for_a_part_tells_that(part: Id, kind: str, name: str, is_its: bool) -> None:
    group = {"Pod": "", "PersistentVolumeClaim": "", "Job": "batch"}.get(kind, "apps")
    assert parts.made_by(part, Id(group, kind, "shop", name)) is is_its
    assert not parts.made_by(part, Id(group, kind, "elsewhere", name))
