"""What `down` takes from a cluster that others share, and what it leaves: asked of a server that keeps objects."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from devenv.certificates import acme, rules, secret
from devenv.commands.down import down
from devenv.errors import DevenvError
from devenv.kube import kubeconfig
from devenv.kube.objects import Object, owner
from devenv.project import settings
from devenv.project.schema import Tls
from devenv.reconcile import environment
from devenv.reconcile.environment import Environment
from devenv.system.state import Folder
from tests import api_store
from tests.api_store import Store
from tests.test_config import WHOLE, write

TABLE = Tls(host="a.example", ingress="web", secret="web-tls")  # noqa: S106  its name
CRD = "apiextensions.k8s.io/v1"


def document(version: str, kind: str, name: str, **more: Any) -> dict[str, Any]:
    meta: dict[str, Any] = {"name": name}
    meta |= {key: more.pop(key) for key in ("namespace", "labels", "annotations") if key in more}
    return {"apiVersion": version, "kind": kind, "metadata": meta, **more}


def ours(version: str, kind: str, name: str, **more: Any) -> dict[str, Any]:
    return document(version, kind, name, labels=owner("shop", "shop"), **more)


@pytest.fixture
def store() -> Iterator[Store]:
    with api_store.serving() as store:
        yield store


@pytest.fixture
def env(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Environment:
    kubeconfig.kubeconfig.cache_clear()
    monkeypatch.setenv("KUBECONFIG", str(api_store.kubeconfig(tmp_path, store.url)))
    file = write(tmp_path, WHOLE)
    (tmp_path / "k8s/all.json").write_text('{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}}')
    return environment.of(settings.load(file, {}, {"context": "c"}), Folder(tmp_path / "state"))


def removed(env: Environment, store: Store) -> set[str]:
    before = {*store.names()}
    down(env, print)
    return before - {*store.names()}


SCOPED = [
    ("rbac.authorization.k8s.io/v1", "ClusterRole"),
    ("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy"),
    ("cert-manager.io/v1", "ClusterIssuer"),
    ("x.example/v1", "Whole"),
]


def test_down_takes_what_is_of_no_namespace_whatever_its_kind(env: Environment, store: Store) -> None:
    """The server says which kinds are in namespaces: no list of ours has them all."""
    store.put(ours("v1", "Namespace", "shop"))  # what lies in it would go with it
    store.put(*(ours(version, kind, "mine") for version, kind in SCOPED))
    store.put(*(document(version, kind, "theirs") for version, kind in SCOPED), manager="kubectl")
    assert removed(env, store) == {"namespace/shop", *(f"{kind.lower()}/mine" for _, kind in SCOPED)}
    assert {f"{kind.lower()}/theirs" for _, kind in SCOPED} <= {*store.names()}


def test_down_leaves_definitions_with_everybody_s_objects_of_them(env: Environment, store: Store) -> None:
    spaces = (document("v1", "Namespace", name) for name in ("shop", "team-b"))
    things = [document("x.example/v1", "Thing", "theirs", namespace="team-b", spec={})]
    store.put(*spaces, ours(CRD, "CustomResourceDefinition", "things.x.example"), *things)
    store.put(ours("x.example/v1", "Thing", "mine"))
    assert removed(env, store) == {"thing/mine"}


def test_down_takes_a_namespace_that_devenv_made_and_of_another_only_what_it_applied(
    env: Environment, store: Store
) -> None:
    for made in (ours, document):
        store.objects.clear()
        store.put(made("v1", "Namespace", "shop"), document("v1", "Namespace", "other"))
        store.put(ours("v1", "ConfigMap", "m"), ours("v1", "PersistentVolumeClaim", "data"))
        store.put(ours("v1", "ConfigMap", "copied"), manager="controller")  # that gave our labels to its own
        store.put(document("v1", "Secret", "theirs"), document("v1", "ConfigMap", "far", namespace="other"))
        gone = removed(env, store)
        whole = {"namespace/shop", "persistentvolumeclaim/data", "configmap/copied", "secret/theirs"}
        assert gone == {"configmap/m"} | (whole if made is ours else set())


@pytest.mark.parametrize("namespace", ["", "shop", "other"])
@pytest.mark.parametrize(("version", "kind"), SCOPED)
def test_what_is_of_no_namespace_is_the_same_object_whatever_its_manifest_says(
    env: Environment, store: Store, version: str, kind: str, namespace: str
) -> None:
    """As kustomize writes its namespace into what it does not know. It was a stray, and deleted by each `up`."""
    written = ours(version, kind, "one", **({"namespace": namespace} if namespace else {}))
    store.put(ours(version, kind, "one"), ours(version, kind, "stray"))
    wanted = Object.parse(written, "shop")
    there = env.api.get(wanted)
    assert there
    assert there.id == wanted.id
    assert {wanted.id} == {id_ for id_ in env.api.ours("shop", [wanted], ["shop"]) if id_.name == "one"}
    assert env.api.key(wanted) in {env.api.key(o) for o in env.api.ours("shop", (), ["shop"]).values()}
    (stray,) = (id_ for id_ in env.api.ours("shop", [wanted], ["shop"]) if id_ != wanted.id)
    assert stray.name == "stray"


def certificate(labels: dict[str, str]) -> dict[str, Any]:
    return document("cert-manager.io/v1", "Certificate", TABLE.secret, labels=labels, spec={"issuerRef": {"name": "x"}})


@pytest.mark.parametrize("labels", [{}, {"app.kubernetes.io/managed-by": "Helm"}, owner("", "")])
def test_a_request_for_a_certificate_that_somebody_else_made_is_not_touched(
    env: Environment, store: Store, labels: dict[str, str]
) -> None:
    """That of an Ingress has the name of its Secret too: cert-manager's ingress-shim makes it."""
    mine = labels == owner("", "")
    there = document(CRD, "CustomResourceDefinition", acme.DEFINITION.id.name)
    store.put(document("v1", "Namespace", "shop"), there, certificate(labels))
    drop = env.api.delete
    if mine:
        assert secret.remove(env.api, env.folder, TABLE, drop) == ["certificate web-tls"]
    else:
        assert secret.remove(env.api, env.folder, TABLE, drop) == []
        with pytest.raises(DevenvError, match="certificate/web-tls exists and is not managed by devenv"):
            secret.issue(env.api, env.folder, TABLE, "shop", drop)
    assert ("certificate/web-tls" in store.names()) is not mine
    assert "secret/web-tls" not in store.names()


def test_a_secret_is_removed_only_with_a_mark_of_ours(env: Environment, store: Store) -> None:
    store.put(document("v1", "Namespace", "shop"))
    for annotations, goes in (({}, False), ({rules.ISSUER: "local"}, True), ({acme.ISSUED_BY: "team-issuer"}, False)):
        store.put(document("v1", "Secret", TABLE.secret, annotations=annotations, type=secret.TYPE))
        gone = secret.remove(env.api, env.folder, TABLE, env.api.delete)
        assert (gone == ["secret web-tls"]) is goes
        assert ("secret/web-tls" in store.names()) is not goes
