"""What Docker's library is told to talk to, and how its answers are read (the program: host/test_docker_program.py)."""

import hashlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from devenv.cluster.containerd import cached
from devenv.errors import DevenvError
from devenv.images import daemon, endpoint, registry
from devenv.images.daemon import ImageConfig
from devenv.images.layers import Cache
from devenv.project.schema import Project
from devenv.reconcile.environment import Existing, refuse_others
from devenv.system import state
from tests import docker_api
from tests.test_image_streams import archive, digest

ELSE = {"HOME": "/nowhere"}  # an environment that says nothing of Docker


def configured(home: Path, current: str, **contexts: str) -> Path:
    """Write a configuration of Docker with contexts, as `docker context create` and `use` do."""
    for name, host in contexts.items():
        folder = home / "contexts/meta" / hashlib.sha256(name.encode()).hexdigest()
        folder.mkdir(parents=True)
        meta = {"Name": name, "Metadata": {}, "Endpoints": {"docker": {"Host": host, "SkipTLSVerify": False}}}
        (folder / "meta.json").write_text(json.dumps(meta))
    (home / "config.json").write_text(json.dumps({"currentContext": current} if current else {}))
    return home


def test_a_context_that_does_not_exist_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(configured(tmp_path, "gone")))
    with pytest.raises(DevenvError, match=r"Docker has no context gone.*\nhint: docker context ls"):
        endpoint.of(ELSE)


def test_a_configuration_that_cannot_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(configured(tmp_path, "odd", odd="tcp://127.0.0.1:1")))
    (meta,) = tmp_path.rglob("meta.json")
    for text in ("{", "[]", "5", ""):
        meta.write_text(text)
        with pytest.raises(DevenvError, match="Docker"):
            endpoint.of(ELSE)
    with pytest.raises(DevenvError, match="Docker's configuration cannot be read"):
        endpoint.of({**ELSE, "DOCKER_HOST": "tcp://h:1", "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": "/nowhere"})


def test_the_default_context_is_left_to_the_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(configured(tmp_path, "")))
    assert endpoint.of(ELSE) == endpoint.Endpoint({"DOCKER_CONTEXT": "default"}, {})


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[docker_api.Api]:
    """A daemon that this process talks to, for linux/amd64."""
    caches = (endpoint.current, daemon.client, daemon.platform)
    version = {"ApiVersion": docker_api.VERSION, "Version": "20", "Os": "linux", "Arch": "amd64"}
    with docker_api.serving({"/version": version}) as api:
        monkeypatch.setenv("DOCKER_HOST", api.host)
        for cached in caches:
            cached.cache_clear()
        yield api
    for cached in caches:
        cached.cache_clear()


def told(*platforms: str) -> dict[str, object]:
    """Return what a daemon tells of an image in a registry."""
    named = [dict(zip(("os", "architecture", "variant"), p.split("/"), strict=False)) for p in platforms]
    return {"Descriptor": {"digest": "sha256:1"}, "Platforms": named}


@pytest.mark.parametrize(
    ("answer", "taken"),
    [
        (told("linux/amd64"), True),
        (told("linux/arm64/v8", "linux/amd64", "unknown/unknown"), True),
        (told("linux/arm64/v8"), False),
        (told(), True),
        (404, False),
        (403, False),
    ],
)
def test_an_image_of_another_platform_than_the_daemon_s_is_not_taken(
    api: docker_api.Api, answer: object, taken: bool
) -> None:
    api.answers["/distribution/registry.example:5000/a:1/json"] = answer
    assert registry.offers("registry.example:5000/a:1") is registry.has("registry.example:5000/a:1") is taken


def test_a_registry_s_fault_is_no_image_for_a_plan_and_an_error_where_it_is_pushed_to(api: docker_api.Api) -> None:
    api.answers["/distribution/registry.example/a:1/json"] = 500
    assert not registry.offers("registry.example/a:1")
    with pytest.raises(DevenvError, match=r"ask for registry\.example/a:1"):
        registry.has("registry.example/a:1")


def test_a_daemon_whose_registry_keeps_silent_holds_up_no_plan(api: docker_api.Api) -> None:
    api.answers["/distribution/registry.example/a:1/json"] = docker_api.SILENT
    begin = time.monotonic()
    assert not registry.offers("registry.example/a:1")
    assert time.monotonic() - begin < registry.OFFERS_WITHIN_S + 20  # a client of Docker waits for a minute


def test_an_image_that_no_node_can_run_is_refused() -> None:
    refuse_others("a:1", "linux/arm64", {"linux/arm64", "linux/amd64"})
    refuse_others("a:1", "linux/arm64", ())
    with pytest.raises(DevenvError, match="a:1 is for linux/arm64, and the nodes are linux/amd64\nhint: "):
        refuse_others("a:1", "linux/arm64", {"linux/amd64"})


@pytest.mark.parametrize("seen", [True, False])
def test_the_platforms_of_a_shared_cluster_are_those_of_its_nodes(tmp_path: Path, seen: bool) -> None:
    info = {"operatingSystem": "linux", "architecture": "arm64"}
    nodes = [{"metadata": {"name": f"n{n}"}, "status": {"nodeInfo": info}} for n in range(2)]
    verbs = {"name": "nodes", "singularName": "node", "kind": "Node", "namespaced": False, "verbs": ["get", "list"]}
    answers = {
        "/version": {"major": "1", "minor": "30"},
        "/api": {"kind": "APIVersions", "versions": ["v1"]},
        "/apis": {"kind": "APIGroupList", "groups": []},
        "/api/v1": {"kind": "APIResourceList", "resources": [verbs]},
        "/api/v1/nodes": {"kind": "NodeList", "apiVersion": "v1", "items": nodes} if seen else 403,
    }
    with docker_api.serving(answers) as api:
        folder = state.Folder(tmp_path)
        cluster = {"name": "c", "cluster": {"server": api.host.replace("tcp", "http")}}
        config = {
            "clusters": [cluster],
            "contexts": [{"name": "c", "context": {"cluster": "c"}}],
            "current-context": "c",
        }
        folder.kubeconfig.write_text(json.dumps(config))
        project = Project.model_validate({"name": "shop", "manifests": "k8s"})
        assert Existing(project, folder, "c").platforms == (frozenset({"linux/arm64"}) if seen else frozenset())


def test_a_layer_that_was_cut_short_in_the_cache_is_asked_of_docker_again(tmp_path: Path, api: docker_api.Api) -> None:
    layer = os.urandom(3000)
    diff_id, config = digest(layer), json.dumps({"rootfs": {"diff_ids": [digest(layer)]}}).encode()
    api.answers["/images/a:1/get"] = archive({"x/layer.tar": layer, "c.json": config})
    image, cache = ImageConfig(digest(config), (diff_id,), 3000, "linux/amd64"), Cache(tmp_path / "layers")
    for _ in range(2):
        assert cached(cache, "a:1", image, [diff_id]) == digest(config)
    assert api.asked.count("/images/a:1/get") == 1
    cache.blob(diff_id).write_bytes(layer[:-1])
    assert cached(cache, "a:1", image, [diff_id]) == digest(config)
    assert cache.blob(diff_id).read_bytes() == layer
    with pytest.raises(DevenvError, match="wrote another image than sha256:other"):
        cached(cache, "a:1", ImageConfig("sha256:other", (diff_id,), 1, "linux/amd64"), [])
