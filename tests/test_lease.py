"""A Lease, taken in turns by several holders from one server that keeps objects."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest

from devenv.errors import Conflict
from devenv.kube.api import Api
from devenv.kube.lease import Lease, held, waited_for
from devenv.system.state import Folder
from tests import api_store
from tests.api_store import Store

PATH = "/apis/coordination.k8s.io/v1/namespaces/shop/leases/turn"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with api_store.serving() as found:
        found.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})
        folder = Folder(tmp_path)
        config = json.loads(api_store.kubeconfig(tmp_path, found.url).read_text())
        folder.kubeconfig.write_text(json.dumps({**config, "current-context": "c"}))
        yield found


@pytest.fixture
def api(store: Store, tmp_path: Path) -> Api:
    assert store.url
    return Api(Folder(tmp_path), "shop")


def test_one_holder_keeps_it_and_another_is_told_who_it_is(store: Store, api: Api) -> None:
    first, second = Lease(api, "turn", "first"), Lease(api, "turn", "second")
    assert first.take() == ""
    assert second.take() == "first"
    assert first.take() == ""
    assert second.take() == "first"
    first.release()
    assert PATH not in store.objects
    assert second.take() == ""
    assert first.take() == "second"


def test_a_holder_that_has_gone_is_waited_for_as_long_as_it_said(store: Store, api: Api) -> None:
    Lease(api, "turn", "gone").take()
    store.objects[PATH]["spec"]["leaseDurationSeconds"] = 1
    heir, began = Lease(api, "turn", "heir"), time.monotonic()
    told: list[str] = []
    waited_for(heir, told.append)
    assert time.monotonic() - began >= 1
    assert told == ["waiting for gone to end"]
    assert store.objects[PATH]["spec"]["holderIdentity"] == "heir"


def test_a_holder_that_says_it_is_there_keeps_it_beyond_its_duration(store: Store, api: Api) -> None:
    first, second = Lease(api, "turn", "first"), Lease(api, "turn", "second")
    first.take()
    for _ in range(4):
        store.objects[PATH]["spec"]["leaseDurationSeconds"] = 1
        assert second.take() == "first"
        time.sleep(0.4)
        first.take()
    assert second.take() == "first"


def test_of_two_that_find_it_free_one_gets_it(store: Store, api: Api) -> None:
    Lease(api, "turn", "gone").take()
    found = json.loads(json.dumps(store.objects[PATH]))
    store.objects[PATH]["spec"]["holderIdentity"] = ""
    first, second = Lease(api, "turn", "first"), Lease(api, "turn", "second")
    assert first.take() == ""
    with pytest.raises(Conflict):
        second.write(api.replace, found["metadata"]["resourceVersion"])
    assert store.objects[PATH]["spec"]["holderIdentity"] == "first"


def test_who_waits_goes_on_when_the_other_has_ended(api: Api) -> None:
    holds, ends, order = Event(), Event(), list[str]()

    def first() -> None:
        with held(api, "turn", "the first", lambda _: None):
            holds.set()
            ends.wait(10)
            order.append("first")

    def second() -> None:
        assert holds.wait(10)
        with held(api, "turn", "the second", lambda _: ends.set()):  # once it says for whom it waits
            order.append("second")

    with ThreadPoolExecutor(2) as pool:
        for one in [pool.submit(first), pool.submit(second)]:
            one.result(30)
    assert order == ["first", "second"]


def test_a_namespace_that_is_not_there_has_no_other_user(store: Store, api: Api) -> None:
    store.objects.clear()
    with held(api, "turn", "the first", pytest.fail):
        assert PATH not in store.objects
