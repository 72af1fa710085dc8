"""No input ends in a traceback: a project in which anything may stand anywhere is planned, or refused in words."""

import json
import re
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from devenv.errors import UsageError
from devenv.kube import access, kubeconfig
from devenv.project import envfile, manifests, stack
from devenv.project import settings as config
from devenv.project.envfile import Fault
from devenv.reconcile.observed import Observed
from devenv.reconcile.plan import make_plan
from tests.test_plan import DOCUMENTS, SOURCES, wanted

MARK = "hunter2-planted"
SCALARS = st.none() | st.booleans() | st.integers(-5, 70000) | st.floats(allow_nan=False) | st.text(max_size=8)
ODD = [
    "",
    ".",
    "/",
    "${",
    "${}",
    "${env.}",
    "a:b",
    "0:0",
    "job/x",
    "1.5",
    "null",
    "~",
    "2026-01-01",
    "é",
    "\u2028",
    "a\nb",
]
VALUES = st.recursive(
    SCALARS | st.sampled_from(ODD),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab.-_/ ", max_size=4), inner, max_size=3),
    max_leaves=6,
)
TABLE: dict[str, Any] = {
    "name": "shop",
    "namespace": "shop",
    "manifests": "k8s",
    "gates": ["job/migrate"],
    "ready-within-s": 5.0,
    "images": {"app": {"build": "app", "args": {"A": "1"}}, "db": {"pull": "docker.io/library/postgres:15"}},
    "forwards": {"api": {"service": "api", "ports": "8080:80", "probe": "tcp", "hold_s": 1.0}},
    "secrets": {"s": {"K": "v"}},
    "env": {"URL": "http://${forwards.api}"},
    "tests": {"all": {"run": ["true"], "env": {"A": "${run}"}}},
    "environments": {"prod": {"render": ["true"], "images": ["app"], "namespace": "p", "checks": ["job/x"]}},
    "tls": {"host": "a.example", "ingress": "i", "secret": "s"},
}
KUBECONFIG = {
    "current-context": "c",
    "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
    "clusters": [{"name": "c", "cluster": {"server": "https://k.example", "tls-server-name": "k"}}],
    "users": [{"name": "u", "user": {"token": "t", "as": "x", "as-groups": ["g"]}}],
}


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths of all that is within a value, itself included."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, inner in items for found in places(inner, (*path, key)))]


def refusal(read: Callable[[], object]) -> str:
    """Return the words in which an input was refused, or an empty string. Any other error is a fault."""
    try:
        read()
    except (UsageError, OSError, Fault) as error:
        return str(error) or "without a word"
    return ""


def replaced(whole: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    changed = deepcopy(whole)
    at = changed
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = new
    return changed


def broken(whole: Any) -> st.SearchStrategy[Any]:
    """Return the whole with anything in one or two of its places."""
    once = st.tuples(st.sampled_from(places(whole)), VALUES).map(lambda at: replaced(whole, *at))
    return once | once.flatmap(lambda b: st.tuples(st.sampled_from(places(b)), VALUES).map(lambda at: replaced(b, *at)))


def toml(value: Any) -> str:
    """Return a value as TOML writes it within a line. It has no null."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{toml(str(k))} = {toml(v)}" for k, v in value.items() if v is not None) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(toml(v) for v in value if v is not None) + "]"
    return re.sub("\x7f", r"\\u007f", json.dumps(value, ensure_ascii=True)) if value is not None else '""'


@settings(deadline=None, max_examples=100)
@given(broken(TABLE))
def test_a_table_in_which_anything_may_stand_is_read_or_refused_with_its_place(table: Any) -> None:
    with TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "k8s").mkdir()
        (root / "app").mkdir()
        (root / "app/Dockerfile").write_text("FROM scratch\n")
        file = root / "pyproject.toml"
        text = f"[tool]\ndevenv = {toml(table)}\n"
        file.write_text(text, encoding="utf-8", errors="surrogatepass")
        told = refusal(lambda: config.load(file, {}, {}))
        assert told == "" or str(file) in told


@settings(deadline=None, max_examples=100)
@given(st.integers(0, len(DOCUMENTS) - 1).flatmap(lambda n: st.tuples(st.just(n), broken(DOCUMENTS[n]))))
@example((0, {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "api"}, "spec": None}))
def test_manifests_in_which_anything_may_stand_are_planned_or_refused(case: tuple[int, Any]) -> None:
    number, document = case
    documents = [*DOCUMENTS[:number], document, *DOCUMENTS[number + 1 :]]
    here = wanted().settings
    try:
        objects = manifests.parsed({"all.yaml": yaml.safe_dump_all(documents)}, "shop")
        desired = stack.make(here, objects, SOURCES, {}, None)
    except UsageError:
        return
    for step in make_plan(desired, Observed()):
        assert step.cause


@settings(deadline=None, max_examples=100)
@given(broken(KUBECONFIG))
def test_a_kubeconfig_in_which_anything_may_stand_is_read_or_refused(document: Any) -> None:
    with TemporaryDirectory() as folder:
        file = Path(folder) / "kubeconfig"
        file.write_text(yaml.safe_dump(document))
        for read in (lambda: kubeconfig.server(file.read_text()), lambda: access.read(file)):
            assert refusal(read) != "without a word"


@settings(deadline=None, max_examples=100)
@given(st.lists(st.sampled_from(["A", "=", "'", '"', "\\", "\n", " ", "#", "$", "{", "}", "export ", "\r", MARK, "é"])))
def test_an_env_file_of_any_text_is_read_or_refused_and_not_shown(parts: list[str]) -> None:
    told = refusal(lambda: envfile.read("".join(parts)))
    assert MARK not in told
    assert told == "" or re.match(r"line \d+: ", told)
