"""The environment and the files of a container, for a process in no pod: as the kubelet makes them."""

from base64 import b64encode
from itertools import product
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from devenv.errors import DevenvError
from devenv.kube import pod_env
from devenv.kube.objects import Object
from devenv.kube.pod_env import Place, expanded
from devenv.kube.pod_files import File, mounted

Document = dict[str, Any]


def config(name: str, data: dict[str, str], binary: dict[str, bytes] | None = None) -> Object:
    raw: Document = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}
    raw["binaryData"] = {key: b64encode(value).decode() for key, value in (binary or {}).items()}
    return Object.parse(raw, "shop")


def secret(name: str, data: dict[str, bytes]) -> Object:
    coded = {key: b64encode(value).decode() for key, value in data.items()}
    return Object.parse({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": coded}, "shop")


THERE = (config("c", {"A": "config", "B": "of config"}, {"bin": b"\xff"}), secret("s", {"A": b"secret", "C": b"x\n"}))


def place(container: Document, volumes: list[Document] | None = None, there: tuple[Object, ...] = THERE) -> Place:
    meta = {"name": "api-attached", "labels": {"app": "api", "tier": 'a"b'}, "annotations": {"note": "yes"}}
    spec = {"containers": [container], "volumes": volumes or []}
    pod = Object.parse({"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}, "shop")
    found = {(obj.kind, obj.id.name): obj for obj in there}
    return Place(pod, container, found, "172.18.0.1", {"DB_SERVICE_HOST": "127.0.0.1"})


def variables(**container: Any) -> dict[str, str]:
    made = pod_env.variables(place(container)).variables
    return {name: value for name, value in made.items() if name != "DB_SERVICE_HOST"}


def by_go(text: str, known: dict[str, str]) -> str:
    """Expand as k8s.io/kubernetes does, third_party/forked/golang/expansion/expand.go, line by line."""
    out, checkpoint, cursor = "", 0, 0
    while cursor < len(text):
        if text[cursor] == "$" and cursor + 1 < len(text):
            out += text[checkpoint:cursor]
            rest = text[cursor + 1 :]
            if rest[0] == "$":
                out, advance = f"{out}$", 1
            elif rest[0] == "(" and (end := rest.find(")")) != -1:
                out, advance = out + known.get(rest[1:end], f"$({rest[1:end]})"), end + 1
            else:
                out, advance = f"{out}${rest[0]}", 1
            cursor += advance
            checkpoint = cursor + 1
        cursor += 1
    return out + text[checkpoint:]


@given(st.text("$()AB\n", max_size=12))
@example("$$(A) $(A) $(X) $() $(A $")
def test_a_reference_is_expanded_as_kubernetes_does(text: str) -> None:
    known = {"A": "1", "AB": "$(A)", "": "empty"}
    assert expanded(text, known) == by_go(text, known)


def test_all_short_texts_expand_as_kubernetes_does() -> None:
    for length in range(6):
        for letters in product("$()A", repeat=length):
            text = "".join(letters)
            assert expanded(text, {"A": "1"}) == by_go(text, {"A": "1"})


def test_of_what_is_set_twice_the_last_counts_and_env_after_env_from() -> None:
    both = [{"configMapRef": {"name": "c"}}, {"secretRef": {"name": "s"}}]
    assert variables(envFrom=both) == {"A": "secret", "B": "of config", "C": "x\n"}
    assert variables(envFrom=both[::-1])["A"] == "config"
    assert variables(envFrom=both, env=[{"name": "A", "value": "own"}])["A"] == "own"
    assert variables(env=[{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]) == {"A": "2"}
    assert variables(envFrom=[{"prefix": "P_", "configMapRef": {"name": "c"}}]) == {"P_A": "config", "P_B": "of config"}


def test_a_value_refers_to_what_comes_before_it_alone() -> None:
    env = [{"name": "X", "value": "$(Y)$(A)$(DB_SERVICE_HOST)"}, {"name": "Y", "value": "$(X)"}]
    found = variables(envFrom=[{"secretRef": {"name": "s"}}], env=env)
    assert found["X"] == "$(Y)secret127.0.0.1"
    assert found["Y"] == found["X"]
    kept = [{"name": "K", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "A"}}}]
    assert variables(env=[*kept, {"name": "L", "value": "<$(K)>"}]) == {"K": "config", "L": "<config>"}


@pytest.mark.parametrize("kind", ["configMapKeyRef", "secretKeyRef"])
@pytest.mark.parametrize("name", ["c", "s", "gone"])
@pytest.mark.parametrize("key", ["A", "gone"])
@pytest.mark.parametrize("optional", [True, False, None])
def test_a_key_that_is_not_there_leaves_what_was_set_if_it_is_optional(
    kind: str, name: str, key: str, optional: bool | None
) -> None:
    ref = {"name": name, "key": key, **({} if optional is None else {"optional": optional})}
    env = [{"name": "X", "value": "before"}, {"name": "X", "valueFrom": {kind: ref}}]
    there = key == "A" and name == {"configMapKeyRef": "c", "secretKeyRef": "s"}[kind]
    if there:
        assert variables(env=env) == {"X": {"c": "config", "s": "secret"}[name]}
    elif optional:
        assert variables(env=env) == {"X": "before"}
    else:
        with pytest.raises(DevenvError, match="is not in the cluster, and no pod starts without it"):
            variables(env=env)


@pytest.mark.parametrize("key", ["configMapRef", "secretRef"])
def test_a_whole_that_is_not_there_is_an_error_unless_it_is_optional(key: str) -> None:
    assert variables(envFrom=[{key: {"name": "gone", "optional": True}}]) == {}
    with pytest.raises(DevenvError, match=f"{key.removesuffix('Ref').lower()}/gone is not in the cluster"):
        variables(envFrom=[{key: {"name": "gone"}}])


FIELDS = {
    "metadata.name": "api-attached", "metadata.namespace": "shop", "metadata.labels['app']": "api",
    "metadata.labels['gone']": "", "metadata.annotations['note']": "yes", "spec.serviceAccountName": "default",
    "status.podIP": "172.18.0.1", "status.hostIP": "172.18.0.1",
    "metadata.uid": None, "spec.nodeName": None,
}  # fmt: skip


@pytest.mark.parametrize("path", FIELDS)
def test_a_field_of_the_pod_is_had_where_it_means_something_and_told_where_not(path: str) -> None:
    made = pod_env.variables(place({"env": [{"name": "X", "valueFrom": {"fieldRef": {"fieldPath": path}}}]}))
    assert made.variables.get("X") == FIELDS[path]
    assert made.lacks == (() if FIELDS[path] is not None else (f"X is not set: only a pod has its {path}",))


def test_what_only_a_container_has_and_what_no_process_can_have_is_told() -> None:
    limit = {"name": "M", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory"}}}
    made = pod_env.variables(place({"env": [limit, {"name": "N", "value": "a\0b"}, {"name": "E"}]}))
    assert made.variables == {"DB_SERVICE_HOST": "127.0.0.1", "E": ""}
    assert made.lacks == ("M is not set: only a pod has its limits.memory", "N is not set: no process can have it")


def test_services_are_told_by_the_ports_of_their_forwards() -> None:
    assert pod_env.links([("sb-db", 55432), ("sb-db", 1)]) == {
        "SB_DB_SERVICE_HOST": "127.0.0.1", "SB_DB_SERVICE_PORT": "55432",
    }  # fmt: skip


def files(volume: Document, **mount: Any) -> dict[str, bytes]:
    container = {"name": "api", "volumeMounts": [{"name": "v", "mountPath": "/etc/v/", **mount}]}
    seen = mounted(place(container, [{"name": "v", **volume}]), {"WHICH": "A"})
    return {path: file.data for path, file in seen.files.items()}


def test_mounted_are_all_keys_or_those_asked_for_by_their_paths() -> None:
    whole: Document = {"configMap": {"name": "c"}}
    assert files(whole) == {"/etc/v/A": b"config", "/etc/v/B": b"of config", "/etc/v/bin": b"\xff"}
    assert files({"secret": {"secretName": "s"}}) == {"/etc/v/A": b"secret", "/etc/v/C": b"x\n"}
    some = {"configMap": {"name": "c", "items": [{"key": "A", "path": "deep/a"}]}}
    assert files(some) == {"/etc/v/deep/a": b"config"}
    assert files(some, subPath="deep") == {"/etc/v/a": b"config"}
    assert files(some, subPath="deep/a") == {"/etc/v": b"config"}
    assert files(whole, subPathExpr="$(WHICH)") == {"/etc/v": b"config"}


def test_of_a_projected_volume_the_last_source_counts() -> None:
    sources: list[Document] = [
        {"configMap": {"name": "c", "items": [{"key": "A", "path": "a"}]}},
        {"secret": {"name": "s", "items": [{"key": "A", "path": "a"}]}},
        {"downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
    ]
    labels = b'app="api"\ntier="a\\"b"'
    assert files({"projected": {"sources": sources}}) == {"/etc/v/a": b"secret", "/etc/v/labels": labels}


@pytest.mark.parametrize("optional", [True, False])
@pytest.mark.parametrize("ref", [{"name": "gone"}, {"name": "c", "items": [{"key": "gone", "path": "x"}]}])
def test_files_that_are_not_there_are_an_error_unless_optional(ref: Document, optional: bool) -> None:
    volume = {"configMap": {**ref, "optional": optional}}
    if optional:
        assert files(volume) == {}
    else:
        with pytest.raises(DevenvError, match=r"gone.* is not in the cluster"):
            files(volume)


def test_what_only_a_pod_has_of_files_is_told_and_a_script_can_be_run() -> None:
    token = {"projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}
    script = {"configMap": {"name": "c", "defaultMode": 0o755, "items": [{"key": "A", "path": "a"}]}}
    mounts = [{"name": n, "mountPath": f"/{n}"} for n in ("t", "s", "data", "claimed")]
    mounts.append({"name": "s", "mountPath": "/none", "subPath": "none"})
    volumes = [{"name": "t", **token}, {"name": "s", **script}, {"name": "data", "emptyDir": {}}]
    seen = mounted(place({"volumeMounts": mounts}, volumes), {})
    assert seen.mounts == ("/t", "/s")
    assert seen.files == {"/s/a": File(b"config", executable=True)}
    assert seen.elsewhere == {"/data": "volume data (emptyDir)", "/claimed": "volume claimed (volumeClaimTemplates)"}
    assert seen.lacks == (
        "file token of volume t is not there: only a pod has it (serviceAccountToken)",
        "/none is not there: volume s has no none",
    )
