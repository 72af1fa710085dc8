"""The kinds of an API server, asked for over HTTP: once, again where one is missing, and never another cluster's."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar

import pytest

from devenv.errors import DevenvError, Forbidden, NoSuchKind, NoSuchNamespace, Unreachable
from devenv.kube import client
from devenv.kube.api import Api
from devenv.kube.objects import CLUSTER_SCOPED, KEPT, Object, reference
from devenv.system.state import Folder
from tests.test_credentials import kubeconfig
from tests.test_kinds import VERBS, aggregated, resource

CORE = aggregated(("", {"v1": [resource("pods", "Pod"), resource("configmaps", "ConfigMap")]}))
THINGS = ("x.example", {"v1": [resource("things", "Thing")]})
ROWS = [{"name": "pods", "kind": "Pod", "namespaced": True, "verbs": [*VERBS]}]
PLAIN = {
    "/api": {"kind": "APIVersions", "versions": ["v1"]},
    "/apis": {"groups": [{"name": g, "versions": [{"version": "v1"}]} for g in ("x.example", "y.example")]},
    "/api/v1": {"resources": ROWS},
    "/apis/x.example/v1": {"resources": [{**ROWS[0], "name": "things", "kind": "Thing"}]},
    "/apis/y.example/v1": {"resources": [{**ROWS[0], "name": "others", "kind": "Other"}]},
}


class Server(BaseHTTPRequestHandler):
    """Answers with a document by path, with its ETag, or with a status where it is a number; keeps what was asked."""

    protocol_version = "HTTP/1.1"
    answers: ClassVar[dict[str, Any]] = {}
    asked: ClassVar[list[str]] = []
    bodies: ClassVar[list[tuple[str, dict[str, str], Any]]] = []

    def answer(self) -> None:
        path = self.path.partition("?")[0]
        found = self.answers.get(path, 404)
        status, told = (found, {"message": f"{path} is {found}"}) if isinstance(found, int) else (200, found)
        body = json.dumps(told).encode()
        etag = f'"{hashlib.sha256(body).hexdigest()}"'
        if status == 200 and self.headers.get("If-None-Match") == etag:
            status, body = 304, b""
        self.asked.append(f"{status} {self.command} {self.path}")
        if length := int(self.headers.get("Content-Length") or 0):
            self.bodies.append((self.path, {**self.headers}, json.loads(self.rfile.read(length))))
        self.send_response(status)
        self.send_header("ETag", etag)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_PATCH = do_POST = do_PUT = do_DELETE = answer

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving(folder: Path, answers: dict[str, Any]) -> Iterator[Folder]:
    """Serve these answers; yield a folder whose kubeconfig leads there."""
    Server.answers, Server.asked, Server.bodies = answers, [], []
    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        kubeconfig(folder, f"http://127.0.0.1:{server.server_port}", {"token": "t"})
        yield Folder(folder)
        server.shutdown()


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "PAUSE_S", 0.001)


def asked() -> list[str]:
    """Return what was asked since the last look, in the order of its text."""
    found, Server.asked[:] = sorted(Server.asked), []
    return found


def thing(name: str = "t", kind: str = "Thing", group: str = "x.example/v1") -> Object:
    return reference(group, kind, name, "shop")


def test_the_kinds_are_asked_for_once_by_two_requests(tmp_path: Path) -> None:
    with serving(tmp_path, {"/api": CORE, "/apis": aggregated(THINGS)}) as folder:
        api = Api(folder, "shop")
        assert asked() == []
        assert [k.name for k in api.kinds] == ["ConfigMap", "Pod", "Thing"]
        assert api.serves(thing())
        assert api.is_namespaced(thing())
    assert asked() == ["200 GET /api", "200 GET /apis"]


def test_the_next_command_is_told_only_that_nothing_has_changed(tmp_path: Path) -> None:
    with serving(tmp_path, {"/api": CORE, "/apis": aggregated(THINGS)}) as folder:
        before = Api(folder, "shop").kinds
        asked()
        assert Api(folder, "shop").kinds == before
        assert asked() == ["304 GET /api", "304 GET /apis"]
        assert (folder.path / "discovery.json").stat().st_mode & 0o077 == 0


def test_what_is_kept_is_never_that_of_another_cluster(tmp_path: Path) -> None:
    with serving(tmp_path, {"/api": CORE, "/apis": aggregated(THINGS)}) as folder:
        assert Api(folder, "shop").serves(thing())
        Server.answers = {"/api": CORE, "/apis": aggregated(("y.example", {"v1": [resource("others", "Other")]}))}
        asked()
        assert [k.name for k in Api(folder, "shop").kinds] == ["ConfigMap", "Pod", "Other"]
        assert asked() == ["200 GET /apis", "304 GET /api"]


@pytest.mark.parametrize(
    "kept",
    ["", "{", "[]", '{"/apis": 7}', '{"library_version": "31", "primary": "x"}', b"\xff",
     '{"/apis": {"etag": 1, "document": {}}}', '{"/apis": {"etag": "\\"e\\"", "document": []}}'],
)  # fmt: skip
def test_a_file_that_is_not_ours_is_written_again(tmp_path: Path, kept: str | bytes) -> None:
    file = tmp_path / "discovery.json"
    file.write_bytes(kept.encode() if isinstance(kept, str) else kept)
    with serving(tmp_path, {"/api": CORE, "/apis": aggregated(THINGS)}) as folder:
        assert Api(folder, "shop").serves(thing())
        assert asked() == ["200 GET /api", "200 GET /apis"]
        assert Api(folder, "shop").serves(thing())
        assert asked() == ["304 GET /api", "304 GET /apis"]


def test_a_folder_that_cannot_be_written_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "discovery.json").mkdir()  # nothing can be put in its place
    with serving(tmp_path, {"/api": CORE, "/apis": aggregated(THINGS)}) as folder:
        assert Api(folder, "shop").serves(thing())


def test_a_kind_that_is_missing_is_asked_for_again_each_time_it_is_looked_up(tmp_path: Path) -> None:
    with serving(tmp_path, {"/api": CORE, "/apis": aggregated()}) as folder:
        api = Api(folder, "shop")
        assert not api.serves(thing())
        assert asked() == ["200 GET /api", "200 GET /apis"]  # just asked for: not again
        assert not api.serves(thing())
        assert asked() == ["304 GET /api", "304 GET /apis"]
        Server.answers["/apis"] = aggregated(THINGS)
        assert api.serves(thing())
        with pytest.raises(NoSuchKind, match=r"x\.example/v2 Thing: this cluster has no such kind"):
            api.listed("x.example/v2", "Thing")


def test_a_kind_whose_definition_is_gone_is_forgotten(tmp_path: Path) -> None:
    with serving(tmp_path, {"/api": CORE, "/apis": aggregated(THINGS)}) as folder:
        api = Api(folder, "shop")
        assert api.serves(thing())
        Server.answers["/apis"] = aggregated()
        with pytest.raises(NoSuchKind, match=r"x\.example/v1 Thing: this cluster has no such kind any more"):
            api.listed("x.example/v1", "Thing")
        assert not api.serves(thing())
        assert [k.name for k in api.kinds] == ["ConfigMap", "Pod"]


def test_a_server_without_the_one_document_is_asked_for_each_group(tmp_path: Path) -> None:
    with serving(tmp_path, PLAIN) as folder:
        assert [(k.api_version, k.name) for k in Api(folder, "shop").kinds] == [
            ("v1", "Pod"), ("x.example/v1", "Thing"), ("y.example/v1", "Other"),
        ]  # fmt: skip
        assert asked() == sorted(f"200 GET {path}" for path in PLAIN)
        assert not (tmp_path / "discovery.json").exists()


@pytest.mark.parametrize("status", [404, 503])
def test_a_group_whose_own_server_is_away_does_not_hide_the_others(tmp_path: Path, status: int) -> None:
    with serving(tmp_path, {**PLAIN, "/apis/x.example/v1": status}) as folder:
        api = Api(folder, "shop")
        assert [k.name for k in api.kinds] == ["Pod", "Other"]
        with pytest.raises(NoSuchKind):
            api.apply(thing())
    stale = aggregated(THINGS, ("y.example", {"v2": [resource("others", "Other")]}), stale=("v1",))
    with serving(tmp_path, {"/api": CORE, "/apis": stale}) as folder:
        assert [k.name for k in Api(folder, "shop").kinds] == ["ConfigMap", "Pod", "Other"]


@pytest.mark.parametrize("path", ["/api", "/apis", "/api/v1"])
@pytest.mark.parametrize(("status", "kind"), [(403, Forbidden), (503, Unreachable)])
def test_without_its_own_kinds_nothing_is_known_of_a_server(
    tmp_path: Path, path: str, status: int, kind: type[DevenvError]
) -> None:
    with serving(tmp_path, {**PLAIN, path: status}) as folder, pytest.raises(kind, match=f"{path} is {status}"):
        Api(folder, "shop").serves(thing())


def test_what_answers_in_the_place_of_an_api_server_is_shown(tmp_path: Path) -> None:
    shown = pytest.raises(DevenvError, match=r'this is no answer of an API server: \["please')
    with serving(tmp_path, {"/api": ["please", "log in"], "/apis": {}}) as folder, shown:
        Api(folder, "shop").serves(thing())


KINDS = {
    "/api": aggregated(("", {"v1": [
        resource("configmaps", "ConfigMap"), resource("persistentvolumeclaims", "PersistentVolumeClaim"),
        resource("namespaces", "Namespace", "Cluster"),
    ]})),
    "/apis": aggregated(("rbac.authorization.k8s.io", {"v1": [resource("clusterroles", "ClusterRole", "Cluster")]})),
}  # fmt: skip
LISTS = {
    "ConfigMap": "/api/v1/configmaps", "PersistentVolumeClaim": "/api/v1/persistentvolumeclaims",
    "Namespace": "/api/v1/namespaces", "ClusterRole": "/apis/rbac.authorization.k8s.io/v1/clusterroles",
}  # fmt: skip
APPLIED = [{"manager": "devenv", "operation": "Apply"}]


def living(kind: str, name: str, applied: bool = True, environment: str = "shop") -> dict[str, Any]:
    """Return an object with the labels of an environment, as the API server tells of it."""
    labels = {"app.kubernetes.io/managed-by": "devenv", "devenv/name": environment, "devenv/namespace": "shop"}
    place = {} if kind in CLUSTER_SCOPED else {"namespace": "shop"}
    managed = APPLIED if applied else []
    version = LISTS[kind].partition("/apis/")[2].rpartition("/")[0] or "v1"
    return {
        "apiVersion": version, "kind": kind,
        "metadata": {"name": name, "labels": labels, "managedFields": managed, **place},
    }  # fmt: skip


def wanted(kind: str, name: str) -> Object:
    return Object.parse(living(kind, name), "shop")


def labelled(*found: dict[str, Any]) -> dict[str, Any]:
    """Return the answers to the lists of each kind."""
    return {**KINDS, **{path: {"items": [o for o in found if o["kind"] == kind]} for kind, path in LISTS.items()}}


def names(folder: Folder, *of: Object) -> list[str]:
    return sorted(str(id_) for id_ in Api(folder, "shop").ours("shop", of, ["shop"]))


def test_each_kind_is_asked_for_once_and_one_that_is_never_pruned_only_where_it_is_wanted(tmp_path: Path) -> None:
    with serving(tmp_path, labelled()) as folder:
        assert names(folder, wanted("Namespace", "a"), wanted("Namespace", "b"), wanted("ConfigMap", "m")) == []
    lists = [line.partition("?")[0] for line in Server.asked if "labelSelector" in line]
    assert sorted(lists) == sorted(f"200 GET {LISTS[kind]}" for kind in ("ConfigMap", "Namespace", "ClusterRole"))
    assert len(Server.asked) == len(lists) + 2  # and the kinds


@pytest.mark.parametrize("kind", LISTS)
def test_what_is_ours_by_its_labels_is_what_we_applied_or_what_is_known_by_name_alone(
    tmp_path: Path, kind: str
) -> None:
    """All cases of: who made it, and whether it is wanted, of each sort of kind."""
    mine, copied = living(kind, "mine"), living(kind, "copied", applied=False)
    kept, by_name = kind in KEPT, kind != "ConfigMap"
    with serving(tmp_path, labelled(mine, copied)) as folder:
        kind_ = kind.lower()
        assert names(folder) == ([] if kept else [f"{kind_}/mine"])
        both = [f"{kind_}/copied", f"{kind_}/mine"]
        assert names(folder, wanted(kind, "mine"), wanted(kind, "copied")) == (both if by_name else both[1:])


def test_what_may_not_be_listed_is_read_by_its_name(tmp_path: Path) -> None:
    own, other = living("ClusterRole", "own"), living("ClusterRole", "other", environment="other")
    roles = LISTS["ClusterRole"]
    claims = "/api/v1/namespaces/shop/persistentvolumeclaims"
    answers = {
        **labelled(living("ConfigMap", "m")), roles: 403, f"{roles}/own": own, f"{roles}/other": other,
        LISTS["PersistentVolumeClaim"]: 403, f"{claims}/c": living("PersistentVolumeClaim", "c"),
    }  # fmt: skip
    mine = [wanted("ClusterRole", name) for name in ("own", "other", "absent")]
    with serving(tmp_path, answers) as folder:
        found = names(folder, *mine, wanted("PersistentVolumeClaim", "c"))
    assert found == ["clusterrole/own", "configmap/m", "persistentvolumeclaim/c"]


def test_what_may_not_be_listed_everywhere_is_listed_where_it_is_wanted(tmp_path: Path) -> None:
    here = "/api/v1/namespaces/shop/configmaps"
    answers = {**labelled(), LISTS["ConfigMap"]: 403, here: {"items": [living("ConfigMap", "m")]}}
    with serving(tmp_path, answers) as folder:
        assert names(folder) == names(folder, wanted("ConfigMap", "m")) == ["configmap/m"]
        Server.answers[here] = 403
        assert names(folder) == []
        with pytest.raises(Forbidden):
            names(folder, wanted("ConfigMap", "m"))


MAP = Object.parse({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}, "data": {"a": "b"}}, "shop")
PLACE = "/api/v1/namespaces/shop/configmaps"
THERE = {**MAP.raw, "metadata": {"name": "m", "namespace": "shop", "uid": "u", "resourceVersion": "7"}}


def test_what_is_written_goes_where_it_belongs_in_the_way_that_is_meant(tmp_path: Path) -> None:
    answers = {"/api": CORE, "/apis": aggregated(), PLACE: THERE, f"{PLACE}/m": THERE}
    with serving(tmp_path, answers) as folder:
        api = Api(folder, "shop")
        assert api.apply(MAP).raw == api.preview(MAP).raw == api.create(MAP).raw == api.replace(MAP).raw == THERE
        api.delete(Object.parse(THERE, "shop"), exactly=True)
        api.delete(MAP, orphans=True)
    paths = [path for path, _, _ in Server.bodies]
    assert paths == [
        f"{PLACE}/m?fieldManager=devenv&force=true", f"{PLACE}/m?fieldManager=devenv&force=true&dryRun=All",
        f"{PLACE}?fieldManager=devenv", f"{PLACE}/m?fieldManager=devenv", f"{PLACE}/m", f"{PLACE}/m",
    ]  # fmt: skip
    media = [headers["Content-Type"] for _, headers, _ in Server.bodies]
    assert media == ["application/apply-patch+yaml"] * 2 + ["application/json"] * 4
    assert [body for _, _, body in Server.bodies[:4]] == [MAP.raw] * 4
    assert [body for _, _, body in Server.bodies[4:]] == [
        {"propagationPolicy": "Foreground", "preconditions": {"uid": "u", "resourceVersion": "7"}},
        {"propagationPolicy": "Orphan", "preconditions": {}},
    ]


def test_a_namespace_that_nobody_declares_is_told_with_the_way_out_and_hinders_no_plan(tmp_path: Path) -> None:
    with serving(tmp_path, {"/api": CORE, "/apis": aggregated()}) as folder:  # which finds nothing to change
        api = Api(folder, "shop")
        for change in (api.apply, api.create):
            with pytest.raises(NoSuchNamespace, match=r"configmap/m: .* is 404\nhint: .* a Namespace named shop"):
                change(MAP)
        assert api.preview(MAP) == MAP


def test_what_is_not_there_is_none_to_read_and_none_to_delete(tmp_path: Path) -> None:
    with serving(tmp_path, {"/api": CORE, "/apis": aggregated()}) as folder:
        api = Api(folder, "shop")
        for absent in (MAP, thing()):
            assert api.get(absent) is None
            api.delete(absent)


def test_the_objects_of_a_list_have_the_kind_that_only_the_list_has(tmp_path: Path) -> None:
    item = {key: THERE[key] for key in ("metadata", "data")}
    with serving(tmp_path, {"/api": CORE, "/apis": aggregated(), PLACE: {"items": [item]}}) as folder:
        (found,) = Api(folder, "shop").listed("v1", "ConfigMap", "shop", "a=b,c=d")
    assert (found.id, found.raw) == (MAP.id, THERE)
    assert Server.asked[-1] == f"200 GET {PLACE}?labelSelector=a%3Db%2Cc%3Dd"
