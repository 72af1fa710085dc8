"""Files of an application replaced for a while: by which keys, by whom, and taken back where the application fails."""

import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from devenv.errors import UsageError
from devenv.kube import overrides
from devenv.kube.objects import Document, Object
from devenv.kube.overrides import Note, Override
from tests import looking
from tests.looking import DEPLOYMENTS, NAMESPACE, Machine
from tests.test_rollback import living

PLACE = f"/api/v1/namespaces/{NAMESPACE}/configmaps/files"
TABLE = """
[tool.devenv.overrides]
config-map = "files"
workload = "deployment/web"
source = "app"
"""
NOTE = Note("me@here", "2026-01-01T10:00:00Z", "a fix", "2026-01-31")


def config_map(notes: str = "", **data: str) -> Document:
    meta: Document = {"name": "files", "namespace": NAMESPACE, "uid": "uid-files"}
    meta |= {"annotations": {overrides.NOTES: notes}} if notes else {}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}


def parsed(document: Document) -> Object:
    return Object.parse(document, NAMESPACE)


def merged(document: Document, patch: Document) -> Document:
    """Return a document changed by a JSON merge patch (RFC 7396)."""
    found = {**document}
    for key, value in patch.items():
        if value is None:
            found.pop(key, None)
        else:
            found[key] = merged(found.get(key) or {}, value) if isinstance(value, dict) else value
    return found


def test_a_key_leads_to_its_file_and_what_would_lead_to_another_is_refused() -> None:
    paths = ("a.py", "shop/a.py", "shop/deep/a_b-c.json", "Makefile")
    assert [overrides.path_of(overrides.key_of(path)) for path in paths] == [*paths]
    assert overrides.key_of("somabrain/routes/context.py") == "somabrain.routes.context.py"
    for path in ("shop/a.b.py", "shop.v2/a.py", "../a.py", "/a.py", "shop/ä.py", "shop/Makefile", "", "a b.py"):
        with pytest.raises(UsageError, match="a ConfigMap has no key for it"):
            overrides.key_of(path)


@given(st.dictionaries(st.sampled_from("abcd"), st.none() | st.text(max_size=3)), st.booleans())
def test_what_is_brought_back_is_what_was(texts: dict[str, str | None], noted: bool) -> None:
    before = config_map(json.dumps({"a": {"why": "x"}}) if noted else "", a="1", b="2")
    changed = merged(before, overrides.patch(parsed(before), texts, NOTE))
    assert {k: v for k, v in changed["data"].items() if k in texts} == {k: v for k, v in texts.items() if v is not None}
    back = merged(changed, overrides.back(parsed(before), texts))
    assert back["data"] == before["data"]
    assert back["metadata"].get("annotations", {}) == before["metadata"].get("annotations", {})
    known = {one.key: one.note for one in overrides.in_force(parsed(changed), None)}
    assert all(known[key] == NOTE for key, text in texts.items() if text is not None)


def test_what_the_manifest_has_is_no_override_and_a_spoilt_note_is_none() -> None:
    own, there = parsed(config_map(a="1")), parsed(config_map("{spoilt", a="1", **{"shop.b.py": "x"}))
    assert overrides.in_force(there, own) == [Override("shop.b.py", "shop/b.py", "x", Note())]
    assert overrides.in_force(None, own) == []
    late, open_ = Override("k", "p", "x", NOTE), Override("k", "p", "x", Note(why="a fix"))
    assert late.said(date(2026, 1, 31)) == open_.said(date(2026, 2, 1)) == "p (a fix)"
    assert late.said(date(2026, 2, 1)) == "p (a fix, which was to end on 2026-01-31)"


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    with looking.machine(tmp_path) as made:
        (made.root / "pyproject.toml").write_text((made.root / "pyproject.toml").read_text() + TABLE)
        (made.root / "k8s/files.yaml").write_text(yaml.safe_dump(config_map()))
        (made.root / "app/shop").mkdir(parents=True)
        (made.root / "app/shop/a.py").write_text("x = 1\n")
        made.cluster.put(f"{DEPLOYMENTS}/web", living("Deployment", "web"))
        made.cluster.put(PLACE, config_map())
        yield made


def told(machine: Machine) -> list[tuple[str, Any]]:
    """Return what was sent: which object, and what of it."""
    return [
        (path.partition("?")[0].rpartition("/")[2], body.get("data", "anew")) for path, body in machine.cluster.bodies
    ]


def test_a_file_is_in_force_with_who_and_why_once_new_pods_serve(machine: Machine) -> None:
    done = machine.run("override", "set", "app/shop/a.py", "--why", "a fix", "--until", "2026-12-31")
    assert done.returncode == 0, done.stderr
    assert told(machine) == [("files", {"shop.a.py": "x = 1\n"}), ("web", "anew")]
    note = json.loads(machine.cluster.bodies[0][1]["metadata"]["annotations"][overrides.NOTES])["shop.a.py"]
    assert (note["why"], note["until"]) == ("a fix", "2026-12-31")
    assert "@" in note["who"]
    assert note["when"].endswith("Z")


def test_what_does_not_come_up_is_taken_back(machine: Machine) -> None:
    ahead = living("Deployment", "web")
    ahead["metadata"]["generation"] = 2  # its controller never sees it
    machine.cluster.put(f"{DEPLOYMENTS}/web", ahead)
    failed = machine.run("override", "set", "app/shop/a.py", "--why", "a fix")
    assert failed.returncode == 3
    assert "deployment/web is not ready after 3 s" in failed.stderr
    assert told(machine) == [
        ("files", {"shop.a.py": "x = 1\n"}), ("web", "anew"), ("files", {"shop.a.py": None}), ("web", "anew"),
    ]  # fmt: skip


def test_what_is_in_force_is_listed_compared_and_cleared(machine: Machine) -> None:
    machine.cluster.put(PLACE, config_map(json.dumps({"shop.a.py": vars(NOTE)}), **{"shop.a.py": "x = 2\n"}))
    assert machine.fine("override", "list")[1].split() == [
        "shop/a.py", "me@here", "2026-01-01T10:00:00Z", "a", "fix", "2026-01-31",
    ]  # fmt: skip
    (one,) = json.loads("\n".join(machine.fine("override", "list", "-o", "json")))
    assert one == {"path": "shop/a.py", **vars(NOTE), "over": True}
    assert {"-x = 1", "+x = 2"} <= set(machine.fine("override", "diff"))
    unknown = machine.run("override", "clear", "shop/b.py")
    assert (unknown.returncode, machine.cluster.bodies) == (2, [])
    assert "not in force: shop/b.py; there are: shop/a.py" in unknown.stderr
    machine.fine("override", "clear")
    assert told(machine) == [("files", {"shop.a.py": None}), ("web", "anew")]
    assert machine.cluster.bodies[0][1]["metadata"]["annotations"] == {overrides.NOTES: None}


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("app/shop/none.py",), "app/shop/none.py: no such file"),
        (("k8s/files.yaml",), "k8s/files.yaml: not in app\nhint: k8s/files.yaml=PATH"),
        (("broken.py=shop/a.py",), "broken.py: line 1: "),
        (("binary.py=shop/a.py",), "binary.py: "),
        (("app/shop/a.py=shop/a.b.py",), "shop/a.b.py: a ConfigMap has no key for it"),
        (("app/shop/a.py", "--until", "soon"), "soon: a day is written as 2026-12-31"),
    ],
)
def test_what_cannot_be_meant_changes_nothing(machine: Machine, words: tuple[str, ...], why: str) -> None:
    (machine.root / "broken.py").write_text("def (:\n")
    (machine.root / "binary.py").write_bytes(b"\xff\xfe\x00")
    done = machine.run("override", "set", *words, "--why", "x")
    assert (done.returncode, done.stdout, machine.cluster.bodies) == (2, "", [])
    assert why in done.stderr


def test_a_table_without_a_place_for_overrides_says_so(machine: Machine) -> None:
    file = machine.root / "pyproject.toml"
    file.write_text(file.read_text().replace(TABLE, ""))
    none = machine.run("override", "list")
    assert (none.returncode, none.stdout) == (2, "")
    assert "no [tool.devenv.overrides], which names the ConfigMap and its workload" in none.stderr
    file.write_text(file.read_text() + TABLE.replace('"files"', '"other"'))
    assert "overrides: configmap/other: no such object in the manifests" in machine.run("override", "list").stderr
