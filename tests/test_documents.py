"""YAML as kubectl reads it, and what of it is no object."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devenv.errors import UsageError
from devenv.kube.documents import Fault, plain, read
from devenv.project import manifests, render

# What sigs.k8s.io/yaml 1.6.0 made of each.
SCALARS: dict[str, Any] = {
    "22:30": "22:30", "2026-01-01": "2026-01-01", "2026-01-01T10:00:00Z": "2026-01-01T10:00:00Z", "=": "=",
    "1:2:3": "1:2:3", "yes": True, "No": False, "on": True, "OFF": False, "y": True, "tRUE": "tRUE", "true": True,
    "null": None, "~": None, "nULL": "nULL", "0o17": 15, "017": 15, "0x1F": 31, "0b11": 3, "1_000": 1000, "089": 89.0,
    "-12": -12, "+7": 7, "1e3": 1000.0, ".5": 0.5, "5.": 5.0, "1.2.3": "1.2.3", "1.10": 1.1, "v1": "v1",
    "18446744073709551615": 18446744073709551615, "100m": "100m", "1Gi": "1Gi", "a: b"[:1]: "a",
}  # fmt: skip


@pytest.mark.parametrize("text", SCALARS)
def test_a_plain_scalar_is_what_kubectl_makes_of_it(text: str) -> None:
    found = plain(text)
    assert (type(found), found) == (type(SCALARS[text]), SCALARS[text])


def test_a_key_is_a_text_as_json_has_it() -> None:
    ((_, found),) = read("8080: a\n22:30: b\n2026-01-01: c\n=: d\nyes: e\n")
    assert found == {"8080": "a", "22:30": "b", "2026-01-01": "c", "=": "d", "true": "e"}


BMP = st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"])  # of the rest, JSON writes halves


def values() -> st.SearchStrategy[Any]:
    leaves = st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(BMP)
    return st.recursive(
        leaves, lambda inner: st.lists(inner) | st.dictionaries(st.text("abc", min_size=1), inner), max_leaves=6
    )


def without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_nulls(inner) for key, inner in value.items() if inner is not None}
    return [without_nulls(inner) for inner in value] if isinstance(value, list) else value


@settings(deadline=None, max_examples=50)
@given(st.dictionaries(st.text("xyz", min_size=1), values(), min_size=1))
def test_json_comes_back_without_nulls(value: dict[str, Any]) -> None:
    ((line, found),) = read(json.dumps(value))
    assert line == 1
    assert found == without_nulls(value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb: 2\na: 3\n", "line 3: the key a is there twice, first in line 1"),
        ('true: 1\n"true": 2\n', "line 2: the key true is there twice"),
        ("x:\n  - {b: 1, b: 2}\n", "line 2: the key b is there twice"),
        ("? [a]\n: 1\n", "line 1: a key that is neither text nor a number"),
        ("a: 1\n  b: 2\n", "line 2: mapping values are not allowed"),
        ("a: !python/name:os.system x\n", "line 1: could not determine a constructor"),
        ("a: \x01\n", "line 1: "),
    ],
)
def test_a_fault_has_its_line(text: str, said: str) -> None:
    with pytest.raises(Fault) as told:
        list(read(text))
    assert said in str(told.value)


def test_merged_keys_yield_to_a_mapping_s_own() -> None:
    ((_, found),) = read("a: &a {p: 1, q: 2}\nb: {<<: *a, q: 3}\n")
    assert found["b"] == {"p": 1, "q": 3}


def config_map(name: str) -> str:
    return f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\n"


HEAD = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"{config_map('a')}---\n{config_map('a')}", "f: line 5: configmap/a is there twice, first in f: line 1"),
        (
            "apiVersion: v1\nkind: Pod\nmetadata: {generateName: p-}\n",
            "metadata.generateName: an object that is applied",
        ),
        (
            "kind: Pod\nmetadata: {name: p}\n",
            "without apiVersion, kind or metadata.name: Pod with the keys kind, metadata",
        ),
        ("[1]\n", "without apiVersion, kind or metadata.name: a list"),
        (config_map("5"), "configmap/5: metadata.name is no text; put it in quotes"),
        (config_map("x, namespace: 7"), "metadata.namespace is no text"),
        (config_map("x, labels: {version: 1.10}"), "metadata.labels is no mapping of texts"),
        (config_map("x, annotations: [a]"), "metadata.annotations is no mapping of texts"),
        (HEAD, "deployment/d: has no pod template with containers"),
        (HEAD + "spec: {template: {spec: {containers: []}}, replicas: 1}\n", ""),
        (HEAD + "spec: {template: {spec: {containers: [{name: c, image: 5}]}}}\n", "deployment/d: an image is no text"),
        (HEAD + "spec: {template: {spec: {containers: [{name: c}]}}}\n", ""),
        (config_map("x, labels: , annotations: null"), ""),
    ],
)
def test_what_cannot_be_applied_is_told_with_its_place(text: str, said: str) -> None:
    if said:
        with pytest.raises(UsageError) as told:
            manifests.parsed({"f": text}, "home")
        assert said in str(told.value)
    else:
        (found,) = manifests.parsed({"f": text}, "home")
        assert found.claimed("e").meta["labels"]


def test_the_objects_of_a_list_are_taken_each_for_itself() -> None:
    items = "".join(f"- {{apiVersion: v1, kind: ConfigMap, metadata: {{name: {name}}}}}\n" for name in "ab")
    for kind in ("List", "ConfigMapList"):
        found = manifests.parsed({"f": f"apiVersion: v1\nkind: {kind}\nitems:\n{items}"}, "home")
        assert [o.id.name for o in found] == ["a", "b"]


def test_the_same_object_in_two_files_is_told_with_both_places() -> None:
    with pytest.raises(UsageError, match="b: line 2: configmap/x is there twice, first in a: line 1"):
        manifests.parsed({"a": config_map("x"), "b": f"\n{config_map('x')}"}, "home")


def test_a_file_that_is_no_text_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"a: \xff\n")
    with pytest.raises(UsageError, match=r"a\.yaml: not UTF-8 at byte 3"):
        render.text_of(tmp_path / "a.yaml")
