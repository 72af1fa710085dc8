"""A promotion that fails on its way: whatever the cause is, what was changed is what it was, and is said to be."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from devenv.commands import promote
from devenv.commands.promote import Promotion
from devenv.errors import DevenvError, Interrupted
from devenv.kube import client, kubeconfig
from devenv.kube.objects import Object
from devenv.project import settings
from devenv.reconcile import environment
from devenv.reconcile.environment import Environment
from devenv.reconcile.execute import Event
from devenv.system.state import Folder
from tests import api_store
from tests.api_store import Store
from tests.test_config import WHOLE, write

PLACE = "/api/v1/namespaces/shop/configmaps"
LATER = "apply configmap/b@elsewhere"


def config_map(name: str, value: str, namespace: str = "shop") -> Object:
    meta = {"name": name, "namespace": namespace}
    return Object.parse({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"of": value}}, "shop")


@pytest.fixture
def store() -> Iterator[Store]:
    with api_store.serving() as store:
        spaces = ({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": n}} for n in ("shop", "elsewhere"))
        store.put(*spaces, config_map("a", "old").raw, config_map("b", "old", "elsewhere").raw)
        yield store


@pytest.fixture
def env(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Environment:
    kubeconfig.kubeconfig.cache_clear()
    monkeypatch.setattr(client, "PAUSE_S", 0.001)
    monkeypatch.setenv("KUBECONFIG", str(api_store.kubeconfig(tmp_path, store.url)))
    return environment.of(settings.load(write(tmp_path, WHOLE), {}, {"context": "c"}), Folder(tmp_path / "state"))


def release(env: Environment) -> Promotion:
    """Return a promotion that changes one object, and then one in another namespace."""
    wanted = [config_map("a", "new"), config_map("b", "new", "elsewhere")]
    return Promotion("staging", tuple(promote.change(env.api, obj) for obj in wanted), (), ())


def heard(_: Event) -> None:
    pass


def test_an_object_whose_namespace_is_gone_undoes_what_came_before_it(env: Environment, store: Store) -> None:
    found = release(env)
    store.delete("/api/v1/namespaces/elsewhere")
    with pytest.raises(DevenvError) as told:
        promote.carry_out(env, found, 30, heard)
    assert str(told.value).splitlines()[0].startswith("apply configmap/b@elsewhere: ")
    # Its own undo has no place either, and hinders no other.
    assert "undoing it failed too: apply configmap/b@elsewhere" in str(told.value)
    assert store.objects[f"{PLACE}/a"]["data"] == {"of": "old"}


def test_an_object_whose_namespace_never_was_there_comes_before_anything_is_changed(
    env: Environment, store: Store
) -> None:
    store.delete("/api/v1/namespaces/elsewhere")
    with pytest.raises(DevenvError, match="nothing that ran was changed; new, and left: configmap/b@elsewhere"):
        promote.carry_out(env, release(env), 30, heard)
    assert store.changes == ["DELETE /api/v1/namespaces/elsewhere"][1:]


@pytest.mark.parametrize("error", [ValueError("of our own"), KeyboardInterrupt()])
def test_an_error_of_any_kind_undoes_what_was_changed_and_says_so(
    env: Environment, store: Store, error: BaseException
) -> None:
    def on_event(event: Event) -> None:
        if (event.state, event.step.name) == ("started", LATER):
            raise error

    with pytest.raises((ValueError, Interrupted)) as told:
        promote.carry_out(env, release(env), 30, on_event)
    said = "\n".join([str(told.value), *getattr(told.value, "__notes__", ())])
    assert "undone: configmap/b@elsewhere, configmap/a" in said
    assert store.objects[f"{PLACE}/a"]["data"] == {"of": "old"}


@pytest.mark.parametrize("error", [None, KeyboardInterrupt()])
def test_an_undo_that_fails_itself_is_told_after_an_interrupt_too(
    env: Environment, store: Store, error: BaseException | None
) -> None:
    def on_event(event: Event) -> None:
        if (event.state, event.step.name) == ("started", LATER):
            store.refused[f"PATCH {PLACE}/a"] = 403
            if error:
                raise error

    found = release(env)
    store.refused["PATCH /api/v1/namespaces/elsewhere/configmaps/b"] = 403
    with pytest.raises(DevenvError, match="undoing it failed too: ") as told:
        promote.carry_out(env, found, 30, on_event)
    assert isinstance(told.value, Interrupted) is (error is not None)
    assert {line.partition(": ")[0] for line in str(told.value).rpartition("failed too: ")[2].splitlines()} == {
        "apply configmap/a",
        "apply configmap/b@elsewhere",
    }
