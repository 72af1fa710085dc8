"""A workload brought back to a former revision: which are kept, what changes, and the way forward if that fails."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from devenv.errors import UsageError
from devenv.kube import revisions
from devenv.kube.objects import Document, Object
from devenv.kube.revisions import Revision
from tests import looking
from tests.looking import DEPLOYMENTS, SETS, Machine, owner, workload

MARK = "deployment.kubernetes.io/revision"


def template(image: str) -> Document:
    return {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "web", "image": image}]}}


def replica_set(number: int, image: str, by: str = "web") -> Document:
    """Return a ReplicaSet as a Deployment's controller keeps one."""
    raw = template(image)
    raw["metadata"]["labels"]["pod-template-hash"] = f"h{number}"
    meta: Document = {"name": f"web-h{number}", "namespace": "shop", "uid": f"uid-web-h{number}"}
    meta |= {"ownerReferences": [owner("Deployment", by)]}
    meta |= {"annotations": {MARK: str(number), "kubernetes.io/change-cause": f"change {number}"}}
    return {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": meta, "spec": {"template": raw}}


def controller_revision(number: int, image: str) -> Document:
    meta = {"name": f"db-{number}", "namespace": "shop", "ownerReferences": [owner("StatefulSet", "db")]}
    data = {"spec": {"template": {**template(image), "$patch": "replace"}}}
    return {"apiVersion": "apps/v1", "kind": "ControllerRevision", "metadata": meta, "revision": number, "data": data}


def living(kind: str, name: str, image: str = "web:2") -> Document:
    made = workload(kind, name)
    made["metadata"] |= {"uid": f"uid-{name}", "generation": 1}
    made["spec"] |= {"replicas": 0, "template": template(image)}
    made["status"] = {"observedGeneration": 1}
    return made


def parsed(*documents: Document) -> list[Object]:
    return [Object.parse(document, "shop") for document in documents]


def test_revisions_are_a_workload_s_own_in_their_order_as_they_were_applied() -> None:
    (web,) = parsed(living("Deployment", "web"))
    kept = [replica_set(10, "web:10"), replica_set(9, "web:9"), replica_set(11, "x", by="other")]
    kept += [{**replica_set(3, "x"), "spec": {}}]
    found = revisions.of(web, parsed(*kept))
    assert [(r.number, r.images, r.cause) for r in found] == [
        (9, ["web:9"], "change 9"), (10, ["web:10"], "change 10"),
    ]  # fmt: skip
    assert found[0].template == template("web:9")
    (db,) = parsed(living("StatefulSet", "db"))
    (one, two) = revisions.of(db, parsed(controller_revision(2, "db:2"), controller_revision(1, "db:1")))
    assert (one.number, one.template, two.images) == (1, template("db:1"), ["db:2"])


def test_the_revision_before_is_meant_where_none_is_named() -> None:
    (web,) = parsed(living("Deployment", "web"))
    three = [Revision(n, template(f"web:{n}"), "", "") for n in (2, 4, 5)]
    assert revisions.chosen(web, three, None).number == 4
    assert revisions.chosen(web, three, 2).number == 2
    for there, number in ((three, 5), (three, 3), ([], None), (three[:1], None), ([], 1)):
        with pytest.raises(UsageError, match=r"deployment/web has no revision .*; kept are: (2, 4|none)"):
            revisions.chosen(web, there, number)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    with looking.machine(tmp_path) as made:
        made.cluster.objects = {p: o for p, o in made.cluster.objects.items() if not p.startswith(SETS)}
        made.cluster.put(f"{DEPLOYMENTS}/web", living("Deployment", "web"))
        for number in (1, 2):
            made.cluster.put(f"{SETS}/web-h{number}", replica_set(number, f"web:{number}"))
        yield made


def bodies(machine: Machine) -> list[Any]:
    return [body["spec"]["template"] for _, body in machine.cluster.bodies]


def test_the_former_template_takes_the_place_of_the_one_that_runs(machine: Machine) -> None:
    done = machine.run("rollback", "web")
    assert done.returncode == 0, done.stderr
    assert {"-      - image: web:2", "+      - image: web:1"} <= set(done.stdout.splitlines())
    assert bodies(machine) == [{**template("web:1"), "$patch": "replace"}]
    assert "deployment/web runs revision 1 again; `devenv up` brings it to what the files say" in done.stderr


def test_what_does_not_become_ready_is_brought_forward_again(machine: Machine) -> None:
    ahead = living("Deployment", "web")
    ahead["metadata"]["generation"] = 2  # its controller never sees it
    machine.cluster.made = lambda _: machine.cluster.put(f"{DEPLOYMENTS}/web", ahead)
    failed = machine.run("rollback", "web", "1")
    assert failed.returncode == 3
    assert "deployment/web is not ready after 3 s" in failed.stderr
    assert "bringing back what ran before failed too" in failed.stderr
    assert [t["spec"]["containers"][0]["image"] for t in bodies(machine)] == ["web:1", "web:2"]


def test_a_look_changes_nothing(machine: Machine) -> None:
    listed = machine.fine("rollback", "web", "--list")
    assert [line.split()[0] for line in listed] == ["REVISION", "1", "2"]
    found = json.loads("\n".join(machine.fine("rollback", "web", "--list", "-o", "json")))
    assert [(r["revision"], r["images"], r["cause"], r["runs"]) for r in found] == [
        (1, ["web:1"], "change 1", False), (2, ["web:2"], "change 2", True),
    ]  # fmt: skip
    shown = json.loads("\n".join(machine.fine("rollback", "web", "--dry-run", "-o", "json")))
    assert (shown["object"], shown["revision"]) == ("deployment/web", 1)
    assert "+++ deployment/web (revision 1)" in shown["diff"]
    assert machine.cluster.bodies == []


@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        (("move",), 2, "job/move: only one Deployment, StatefulSet, DaemonSet can be rolled back"),
        (("nothing",), 2, "nothing here is named nothing"),
        (("db",), 1, "statefulset/db is not in the cluster\nhint: devenv up"),
        (("web", "7"), 2, "deployment/web has no revision 7 to go back to; kept are: 1"),
        (("web", "0"), 2, "greater than or equal to 1"),
    ],
)
def test_what_cannot_be_meant_is_refused(machine: Machine, words: tuple[str, ...], code: int, why: str) -> None:
    done = machine.run("rollback", *words)
    assert (done.returncode, done.stdout) == (code, "")
    assert why in done.stderr
    assert machine.cluster.bodies == []
