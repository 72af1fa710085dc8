"""The objects of an environment, as scripts/render.sh prints them."""

import os
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

CHECKOUT = Path(__file__).parents[1]
ENVIRONMENTS = ("dev", "shared", "staging", "prod")
CHARTED = ("dev", "staging", "prod")  # a chart is for clusters that exist: what `shared` is, its values say
REGISTRY = "registry.example.com/somatechlat"
Document = dict[str, Any]


def reference(name: str) -> str:
    """Return a reference with a well-formed digest; rendering asks no registry."""
    return f"{REGISTRY}/{name}@sha256:{name.encode().hex():0>64}"


# What each environment runs.
IMAGES = {
    "dev": [],
    "shared": [],
    "staging": [reference(name) for name in ("somabrain", "postgres", "redis", "opa")],
    "prod": [reference(name) for name in ("somabrain", "redis", "opa")],
}


def render(*words: str, root: Path = CHECKOUT) -> "subprocess.CompletedProcess[str]":
    path = os.pathsep.join([str(CHECKOUT / ".venv/bin"), os.environ["PATH"]])
    argv = [str(root / "scripts/render.sh"), *words]
    return subprocess.run(argv, text=True, capture_output=True, env={**os.environ, "PATH": path}, check=False)


def objects(environment: str, images: list[str] | None = None, root: Path = CHECKOUT) -> list[Document]:
    return documents(text(environment, tuple(IMAGES[environment] if images is None else images), root))


@cache
def text(environment: str, images: tuple[str, ...], root: Path) -> str:
    """Return what is rendered, once for all tests: whoever renders a copy that it has changed has another root."""
    done = render(environment, *images, root=root)
    assert done.returncode == 0, done.stderr
    return done.stdout


def documents(rendered: str) -> list[Document]:
    """Return the objects of a text; libyaml reads it ten times as fast."""
    return list(yaml.load_all(rendered, Loader=yaml.CSafeLoader))


def name_of(obj: Document) -> str:
    """Return `Kind/name`."""
    return f"{obj['kind']}/{obj['metadata']['name']}"


def pods(documents: list[Document]) -> Iterator[tuple[str, Document]]:
    """Yield the pod templates, each with the name of what makes its pods."""
    for obj in documents:
        if obj["kind"] in ("Deployment", "StatefulSet", "DaemonSet", "Job"):
            yield name_of(obj), obj["spec"]["template"]


def containers(template: Document) -> list[Document]:
    spec = template["spec"]
    return [*spec.get("initContainers", ()), *spec["containers"]]
