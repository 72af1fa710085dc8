"""An existing cluster: what of a kubeconfig is used, which one is on this machine, whom the guard lets pass."""

from itertools import product
from pathlib import Path

import pytest
import yaml

from devenv import config, context, state
from devenv.errors import UsageError
from tests.test_config import WHOLE, write

HERE = "https://127.0.0.1:6443"
THERE = "https://10.1.2.3:6443"


@pytest.mark.parametrize(
    "address",
    [HERE, "https://127.8.9.1", "https://[::1]:6443", "https://localhost:6443", "https://LOCALHOST.:6443",
     "https://a.b.localhost", "https://kubernetes.docker.internal:6443", "https://host.docker.internal:6443",
     "https://0.0.0.0:6443", "127.0.0.1:6443"],
)  # fmt: skip
def test_an_address_of_this_machine_is_local(address: str) -> None:
    assert context.is_local(address)


@pytest.mark.parametrize(
    "address",
    [THERE, "https://172.18.0.2:6443", "https://api.example.com", "https://localhost.example.com:6443",
     "https://localhost@example.com", "https://notlocalhost", "https://128.0.0.1", "https://[2001:db8::1]:6443", ""],
)  # fmt: skip
def test_any_other_address_is_not(address: str) -> None:
    assert not context.is_local(address)


def test_the_guard_lets_pass_what_is_local_named_or_confirmed_and_nothing_else() -> None:
    for address, named, said in product((HERE, THERE), ((), ("prod",), ("other",)), (None, "prod", "other", "")):
        passes = said in (None, "prod") and (address == HERE or named == ("prod",) or said == "prod")
        if passes:
            context.guard("prod", address, named, said)
        else:
            with pytest.raises(UsageError, match="prod"):
                context.guard("prod", address, named, said)


def person(folder: Path, **cluster: str) -> Path:
    """Return a person's kubeconfig with two contexts."""
    file = folder / "person"
    contexts = [{"name": n, "context": {"cluster": n, "user": n, "namespace": "theirs"}} for n in ("one", "two")]
    clusters = [{"name": n, "cluster": {"server": THERE, **cluster}} for n in ("one", "two")]
    users = [{"name": n, "user": {"token": f"token-of-{n}"}} for n in ("one", "two")]
    whole = {"apiVersion": "v1", "kind": "Config", "current-context": "one"}
    file.write_text(yaml.safe_dump({**whole, "contexts": contexts, "clusters": clusters, "users": users}))
    return file


@pytest.fixture
def kubeconfig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    context.kubeconfig.cache_clear()
    monkeypatch.setenv("KUBECONFIG", str(person(tmp_path)))
    return tmp_path / "person"


def test_a_context_is_taken_alone_with_our_namespace_and_its_kubeconfig_is_not_changed(kubeconfig: Path) -> None:
    before = kubeconfig.read_bytes()
    text = context.kubeconfig("two", "shop")
    found = yaml.safe_load(text)
    assert found["current-context"] == "two"
    assert found["contexts"] == [{"name": "two", "context": {"cluster": "two", "user": "two", "namespace": "shop"}}]
    assert found["users"] == [{"name": "two", "user": {"token": "token-of-two"}}]
    assert context.server(text) == THERE
    assert kubeconfig.read_bytes() == before


def test_an_unknown_context_is_refused_with_those_that_there_are(kubeconfig: Path) -> None:
    with pytest.raises(UsageError, match="no context three; there are: one, two"):
        context.kubeconfig("three", "shop")
    kubeconfig.unlink()
    with pytest.raises(UsageError, match="no context two; there are: none"):
        context.kubeconfig("two", "shop")


def test_a_local_address_behind_a_proxy_is_where_the_proxy_is(tmp_path: Path) -> None:
    def leads_to(server: str, proxy: str) -> str:
        return context.server(person(tmp_path, **{"server": server, "proxy-url": proxy}).read_text())

    assert leads_to(HERE, "socks5://10.9.9.9:1080") == "socks5://10.9.9.9:1080"
    assert leads_to(THERE, "socks5://127.0.0.1:1080") == THERE


def test_flags_beat_the_environment_for_the_context_and_its_registry(tmp_path: Path) -> None:
    keys = 'context = "file"\nregistry = "file.example"\nremote-contexts = ["file"]\n'
    file = write(tmp_path, WHOLE.replace('manifests = "k8s"\n', f'manifests = "k8s"\n{keys}'))
    environ = {"DEVENV_CONTEXT": "environ", "DEVENV_REGISTRY": "environ.example:5000/team"}
    project = config.load(file, {}, {}).project
    assert (project.context, project.registry, project.remote_contexts) == ("file", "file.example", ("file",))
    project = config.load(file, environ, {}).project
    assert (project.context, project.registry) == ("environ", "environ.example:5000/team")
    project = config.load(file, environ, {"context": "flag", "registry": "127.0.0.1:5000"}).project
    assert (project.context, project.registry) == ("flag", "127.0.0.1:5000")


@pytest.mark.parametrize("registry", ["https://registry.example", "registry.example/", "r:port", "r/a:1", "R.example"])
def test_a_registry_is_a_host_and_a_path(tmp_path: Path, registry: str) -> None:
    with pytest.raises(UsageError, match="registry"):
        config.load(write(tmp_path, WHOLE), {}, {"registry": registry})


def test_each_context_has_its_own_folder_beside_that_of_the_kind_cluster() -> None:
    folders = {state.folder("shop", c).path for c in (None, "one", "two")}
    assert len(folders) == 3
    assert max(len(f.name) for f in folders) == len("shop-12345678")
