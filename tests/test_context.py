"""An existing cluster: what of a kubeconfig is used, which one is on this machine, whom the guard lets pass."""

from base64 import b64decode
from itertools import product
from pathlib import Path

import pytest
import yaml

from devenv.cli import options
from devenv.errors import UsageError
from devenv.kube import access
from devenv.kube import kubeconfig as context
from devenv.kube.address import is_local
from devenv.project import settings
from devenv.reconcile import environment
from devenv.system import state
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
    assert is_local(address)


@pytest.mark.parametrize(
    "address",
    [THERE, "https://172.18.0.2:6443", "https://api.example.com", "https://localhost.example.com:6443",
     "https://localhost@example.com", "https://notlocalhost", "https://128.0.0.1", "https://[2001:db8::1]:6443", ""],
)  # fmt: skip
def test_any_other_address_is_not(address: str) -> None:
    assert not is_local(address)


def test_the_guard_lets_pass_what_is_local_named_or_confirmed_and_nothing_else() -> None:
    for address, named, said in product((HERE, THERE), ((), ("prod",), ("other",)), (None, "prod", "other", "")):
        passes = said in (None, "prod") and (address == HERE or named == ("prod",) or said == "prod")
        if passes:
            context.guard("prod", address, named, said)
        else:
            with pytest.raises(UsageError, match="prod"):
                context.guard("prod", address, named, said)


def releasing(folder: Path, **contexts: str) -> Path:
    """Write a project whose environments have these contexts."""
    table = "\n".join(
        f'[tool.devenv.environments.{name}]\nnamespace = "{name}"\nimages = ["api"]\nrender = ["x"]\n'
        f'context = "{context}"'
        for name, context in contexts.items()
    )
    return write(folder, f"{WHOLE}\n{table}\n")


def test_the_context_of_an_environment_is_open_for_its_own_promotion_alone(tmp_path: Path) -> None:
    project = settings.load(releasing(tmp_path, staging="c-staging", prod="c-prod"), {}, {}).project
    assert {name: project.opened(name) for name in ("staging", "prod", None)} == {
        "staging": ("c-staging",), "prod": ("c-prod",), None: (),
    }  # fmt: skip


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


def test_a_context_without_a_user_is_taken_and_one_without_a_server_is_refused(kubeconfig: Path) -> None:
    config = yaml.safe_load(kubeconfig.read_text())
    del config["contexts"][0]["context"]["user"]
    del config["clusters"][1]["cluster"]["server"]
    kubeconfig.write_text(yaml.safe_dump(config))
    text = context.kubeconfig("one", "shop")
    assert context.server(text) == THERE
    assert access.entry(access.parse(text), "user") == {}
    with pytest.raises(UsageError, match="its cluster has no server"):
        context.server(context.kubeconfig("two", "shop"))


def test_a_local_address_behind_a_proxy_is_where_the_proxy_is(tmp_path: Path) -> None:
    def leads_to(server: str, proxy: str) -> str:
        return context.server(person(tmp_path, **{"server": server, "proxy-url": proxy}).read_text())

    assert leads_to(HERE, "http://me:hunter2@10.9.9.9:1080") == "http://10.9.9.9:1080"
    assert leads_to(THERE, "http://me:hunter2@127.0.0.1:1080") == THERE


def test_flags_beat_the_environment_for_the_context_and_its_registry(tmp_path: Path) -> None:
    keys = 'context = "file"\nregistry = "file.example"\nremote-contexts = ["file"]\n'
    file = write(tmp_path, WHOLE.replace('manifests = "k8s"\n', f'manifests = "k8s"\n{keys}'))
    environ = {"DEVENV_CONTEXT": "environ", "DEVENV_REGISTRY": "environ.example:5000/team"}
    project = settings.load(file, {}, {}).project
    assert (project.context, project.registry, project.remote_contexts) == ("file", "file.example", ("file",))
    project = settings.load(file, environ, {}).project
    assert (project.context, project.registry) == ("environ", "environ.example:5000/team")
    project = settings.load(file, environ, {"context": "flag", "registry": "127.0.0.1:5000"}).project
    assert (project.context, project.registry) == ("flag", "127.0.0.1:5000")


@pytest.mark.parametrize("registry", ["https://registry.example", "registry.example/", "r:port", "r/a:1", "R.example"])
def test_a_registry_is_a_host_and_a_path(tmp_path: Path, registry: str) -> None:
    with pytest.raises(UsageError, match="registry"):
        settings.load(write(tmp_path, WHOLE), {}, {"registry": registry})


def test_one_who_only_looks_leaves_no_folder_of_an_environment_that_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    here = settings.load(write(tmp_path, WHOLE), {}, {})
    with environment.opened(here, looks=True) as env:
        state.write(env.folder.kubeconfig, "")
        with state.locked(env.folder, "plan", print):
            passed = env.folder.path
    assert not passed.parent.exists()
    assert not (tmp_path / "state").exists()
    with environment.opened(here) as env:
        env.folder.make()
    with environment.opened(here, looks=True) as looking:
        assert looking.folder == env.folder


def test_each_context_and_namespace_has_its_own_folder_beside_that_of_the_kind_cluster() -> None:
    kind = {state.folder("shop", None, namespace).path for namespace in ("a", "b")}
    assert len(kind) == 1
    folders = kind | {state.folder("shop", c, namespace).path for c in ("one", "two") for namespace in ("a", "b")}
    assert len(folders) == 5
    assert max(len(f.name) for f in folders) == len("shop-12345678")


def test_our_own_copy_of_a_kubeconfig_is_never_taken_for_the_user_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    ours, theirs = tmp_path / "devenv/shop/kubeconfig", tmp_path / "theirs"
    for told, left in (("", []), (f"{ours}", []), (f"{ours}:{theirs}", [theirs]), (f"{theirs}", [theirs])):
        assert context.user_files({"KUBECONFIG": told}) == ":".join(map(str, left))
    assert context.user_files({}) == ""


def test_a_shell_with_our_settings_leads_to_the_user_s_own_contexts(
    kubeconfig: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`eval "$(devenv env)"` puts our copy there: it has one context, and credentials that may be old."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    ours, home = tmp_path / "state/devenv/shop/kubeconfig", tmp_path / "home/.kube"
    for folder in (ours.parent, home):
        folder.mkdir(parents=True)
    ours.write_text(kubeconfig.read_text().replace("token-of-", "old-token-of-").replace("name: two", "name: gone"))
    (home / "config").write_text(kubeconfig.read_text())
    monkeypatch.setenv("HOME", str(home.parent))
    for told in (f"{ours}:{kubeconfig}", str(ours)):
        monkeypatch.setenv("KUBECONFIG", told)
        for name in ("one", "two"):
            context.kubeconfig.cache_clear()
            (user,) = yaml.safe_load(context.kubeconfig(name, "shop"))["users"]
            assert user["user"] == {"token": f"token-of-{name}"}


def test_paths_of_a_kubeconfig_are_found_from_wherever_its_copy_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "theirs"
    folder.mkdir()
    files = {"ca.crt": "authority", "me.crt": "certificate", "me.key": "key", "token": "secret"}
    for name, text in files.items():
        (folder / name).write_text(text)
    user = {"client-certificate": "me.crt", "client-key": "me.key", "tokenFile": "token"}
    person(folder, **{"certificate-authority": "ca.crt"})
    config = yaml.safe_load((folder / "person").read_text())
    run = {"apiVersion": "client.authentication.k8s.io/v1", "command": "./login", "interactiveMode": "Never"}
    config["users"] = [{"name": "one", "user": user}, {"name": "two", "user": {"exec": run}}]
    (folder / "person").write_text(yaml.safe_dump(config))
    monkeypatch.setenv("KUBECONFIG", "theirs/person")
    monkeypatch.chdir(tmp_path)
    context.kubeconfig.cache_clear()
    found = access.parse(context.kubeconfig("one", "shop"))
    (one,) = found["users"]
    (cluster,) = found["clusters"]
    assert b64decode(cluster["cluster"]["certificate-authority-data"]) == b"authority"
    assert b64decode(one["user"]["client-certificate-data"]) == b"certificate"
    assert b64decode(one["user"]["client-key-data"]) == b"key"
    assert one["user"]["tokenFile"] == str(folder / "token")
    (two,) = access.parse(context.kubeconfig("two", "shop"))["users"]
    assert two["user"]["exec"]["command"] == str(folder / "login")


@pytest.mark.usefixtures("kubeconfig")
def test_a_context_of_an_environment_is_refused_to_every_verb_but_its_own_promotion(tmp_path: Path) -> None:
    file = releasing(tmp_path, staging="one", prod="two")
    assert options.settings(file, context="two", promoted="prod").project.context == "two"
    for promoted in (None, "staging"):
        with pytest.raises(UsageError, match="context two is at ") as told:
            options.settings(file, context="two", promoted=promoted)
        assert "pass --yes-remote two" in str(told.value)
    assert options.settings(file, context="two", yes_remote="two").project.context == "two"


def test_the_scheme_of_a_server_may_be_in_capitals() -> None:
    cluster = {"name": "c", "cluster": {"server": "HTTPS://Host.example/Path/"}}
    config = {"current-context": "c", "contexts": [{"name": "c", "context": {"cluster": "c"}}], "clusters": [cluster]}
    assert access.cluster_of(config).url == "https://Host.example/Path"


def test_a_name_of_another_machine_in_the_certificate_makes_a_tunnel_remote() -> None:
    def config(**cluster: str) -> str:
        return yaml.safe_dump({
            "current-context": "c", "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:6443", **cluster}}], "users": [],
        })  # fmt: skip

    assert context.server(config()) == "https://127.0.0.1:6443"
    assert context.server(config(**{"tls-server-name": "localhost"})) == "https://127.0.0.1:6443"
    assert context.server(config(**{"tls-server-name": "api.prod.example.com"})) == "api.prod.example.com"
