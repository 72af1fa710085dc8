"""Images in a registry, against a real one on loopback: the same source is the same digest, and a release stays."""

import json
import os
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from tests.cluster.conftest import STACK
from tests.cluster.environment import CHECKOUT, FIRST_UP_S, MARK, Environment, copied, docker

NAME, FOLDER = "somabrain", "k8s/images/somabrain"
SOURCE = "https://example.com/owner/project"
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
RELEASE = ("--tag", "stable-20260101")


def git(root: Path, *args: str) -> str:
    who = ("-c", "user.name=a", "-c", "user.email=a@example.com")
    return subprocess.run(["git", *who, *args], cwd=root, check=True, capture_output=True, text=True).stdout.strip()


def committed(env: Environment) -> str:
    git(env.root, "add", "--all")
    git(env.root, "commit", "--quiet", "--message", "change")
    return git(env.root, "rev-parse", "HEAD")


def repository(root: Path, name: str) -> Environment:
    git(root, "init", "--quiet")
    git(root, "remote", "add", "origin", f"{SOURCE.replace('//', '//user:secret@')}.git")
    env = Environment(f"t{MARK}-{name}", root, {})
    committed(env)
    return env


@pytest.fixture
def project(tmp_path: Path) -> Environment:
    """The stack in a repository of its own. No cluster is made of it."""
    return repository(copied(CHECKOUT, tmp_path / "project", STACK), "push")


@pytest.fixture
def kept() -> Iterator[None]:
    """What is built anew takes the name of what was there; that goes, unless something is built on it."""
    before = set(docker("images", "--quiet", "--no-trunc", "--filter", "reference=devenv.local/*").split())
    yield
    nameless = set(docker("images", "--quiet", "--no-trunc", "--filter", "dangling=true").split())
    subprocess.run(["docker", "rmi", *(before & nameless)], capture_output=True, check=False)


def pushed(env: Environment, registry: str, *args: str) -> dict[str, Any]:
    done = env.fine("images", "push", NAME, "--registry", registry, "-o", "json", *args, within_s=FIRST_UP_S)
    (image,) = json.loads(done)
    return dict(image)


def served(registry: str, path: str) -> httpx.Response:
    """Return what the registry has: `NAME/manifests/TAG` or `NAME/blobs/DIGEST`."""
    host, _, folder = registry.partition("/")
    return httpx.get(f"http://{host}/v2/{folder}/{path}", headers={"Accept": MANIFEST})


@pytest.mark.usefixtures("kept")
def test_a_source_has_one_digest_whenever_it_is_built(project: Environment, registry: str) -> None:
    to = f"{registry}/owner/project"
    images = []
    # The one of the host, whenever it was built, and one that is built now from nothing.
    for where, again, variables in ((f"{registry}/again", (), {}), (to, ("--no-cache",), other_spelling())):
        project.extra = variables
        project.fine("images", "build", *again, NAME, within_s=FIRST_UP_S)
        images.append(pushed(project, where))
    assert images[0]["digest"] == images[1]["digest"]

    image, revision = images[1], git(project.root, "rev-parse", "HEAD")
    assert image["ref"] == f"{to}/{NAME}@{image['digest']}"
    assert image["revision"] == revision
    manifest = served(to, f"{NAME}/manifests/{image['tag']}")
    assert manifest.headers["Docker-Content-Digest"] == image["digest"]
    config = served(to, f"{NAME}/blobs/{manifest.json()['config']['digest']}").json()
    label = "org.opencontainers.image"
    assert config["config"]["Labels"] == {f"{label}.revision": revision, f"{label}.source": SOURCE}
    assert config["created"] == git(project.root, "log", "-1", "--date=format-local:%Y-%m-%dT%H:%M:%SZ", "--format=%cd")
    assert "history" not in config
    bill_is_true(project.root / image["sbom"], image)
    # The host has the image no more under that name, and another commit leaves the digest as it is.
    assert docker("images", "--quiet", f"{to}/{NAME}") == ""
    (project.root / "README.md").write_text("new")
    committed(project)
    assert pushed(project, to) == image
    it_runs_on_the_byte_code_it_has(image["ref"])


def other_spelling() -> dict[str, str]:
    """The mirror that is Debian's here, by another address: what is built by it says nothing of that when pushed."""
    mirror = urlsplit(os.environ.get("DEBIAN_MIRROR", "http://deb.debian.org"))
    return {"DEBIAN_MIRROR": mirror._replace(netloc=mirror.netloc.swapcase()).geturl()}


def bill_is_true(file: Path, image: dict[str, Any]) -> None:
    text = file.read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    bill = json.loads(text)
    assert bill["metadata"]["component"]["version"] == image["digest"]
    urls = [component["purl"] for component in bill["components"]]
    assert any(url.startswith("pkg:pypi/fastapi@") for url in urls)
    assert any(url.startswith("pkg:deb/debian/python3.11@") for url in urls)


def it_runs_on_the_byte_code_it_has(ref: str) -> None:
    """By its digest alone. Python says where it compiled a source anew, as it must when byte code seems stale."""
    argv = ["docker", "run", "--rm", "--network", "none", "--entrypoint", "python3", ref, "-v", "-c"]
    done = subprocess.run([*argv, "import somabrain.app"], capture_output=True, text=True, check=False)
    accounts = docker("run", "--rm", "--user", "0", "--entrypoint", "cat", ref, "/etc/shadow").splitlines()
    docker("rmi", ref)
    # Built twice on one day, a day would be the same: it must not be there at all.
    assert str(int(time.time() // 86400)) not in {line.split(":")[2] for line in accounts}
    assert done.returncode == 0, done.stderr
    assert "# code object from '/app/somabrain/__pycache__" in done.stderr
    assert re.findall(r"^# (?:bytecode is stale|code object from /).*$", done.stderr, re.MULTILINE) == []


def test_a_release_is_never_moved(project: Environment, registry: str) -> None:
    to = f"{registry}/owner"
    first = pushed(project, to, *RELEASE)
    assert pushed(project, to, *RELEASE) == first

    (project.root / FOLDER / "somabrain/new.py").write_text("NEW = 1\n")
    refused = project.run("images", "push", NAME, "--registry", to, *RELEASE)
    assert refused.returncode == 1
    assert f"{FOLDER}/somabrain/new.py" in refused.stderr
    assert "hint: git commit" in refused.stderr

    committed(project)
    refused = project.run("images", "push", NAME, "--registry", to, *RELEASE, within_s=FIRST_UP_S)
    assert refused.returncode == 1
    assert f"{to}/{NAME}:stable-20260101 is {first['digest']}" in refused.stderr
    assert refused.stdout == ""
    assert served(to, f"{NAME}/tags/list").json()["tags"] == ["stable-20260101"]
    assert served(to, f"{NAME}/manifests/stable-20260101").headers["Docker-Content-Digest"] == first["digest"]

    second = pushed(project, to, "--tag", "stable-20260102")
    assert second["digest"] != first["digest"]
    printed = project.fine("images", "push", NAME, "--registry", to, "--tag", "stable-20260102")
    assert printed == f"{second['ref']}\n"


def test_what_others_released_is_pushed_as_it_is(tmp_path: Path, registry: str) -> None:
    root = copied(CHECKOUT / "tests/projects/hello", tmp_path / "hello", ("pyproject.toml", "app", "k8s"))
    env = repository(root, "push-hello")
    env.fine("images", "build", "hello", within_s=FIRST_UP_S)
    rows = json.loads(env.fine("images", "list", "-o", "json"))
    released = f"{registry}/released/hello:1"
    docker("tag", next(row["ref"] for row in rows if row["name"] == "hello"), released)
    docker("push", released)
    docker("rmi", released)

    env.edit("pyproject.toml", 'build = "app"', f'pull = "{released}"\nimage = "hello"')
    (image,) = json.loads(env.fine("images", "push", "--registry", f"{registry}/own", "-o", "json"))
    theirs = served(f"{registry}/released", "hello/manifests/1")
    assert (image["digest"], image["revision"]) == (theirs.headers["Docker-Content-Digest"], None)
    docker("rmi", next(r["ref"] for r in json.loads(env.fine("images", "list", "-o", "json")) if r["name"] == "hello"))
    docker("rmi", released)
