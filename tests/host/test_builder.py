"""The layouts of Dockerfiles that people have, built."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from devenv.images import builder, daemon, obtain
from devenv.images.graph import resolve
from devenv.project import settings, sources

TABLE = """[tool.devenv]
name = "shop"
manifests = "k8s.yaml"
[tool.devenv.images.app]
build = "app"
dockerfile = "../docker/Dockerfile.dev"
target = "dev"
"""
FILES = {
    "k8s.yaml": "",
    "docker/Dockerfile.dev": 'FROM scratch AS dev\nCOPY . /sent/\nCMD ["x"]\nFROM scratch\nCOPY nowhere /\n',
    "docker/Dockerfile.dev.dockerignore": "b\n",
    "app/.dockerignore": "a\n",
    "app/a": "1",
    "app/b": "2",
}


@pytest.fixture
def built() -> Iterator[list[str]]:
    """References of images that go after the test."""
    refs: list[str] = []
    yield refs
    for ref in refs:
        daemon.client().api.remove_image(ref, force=True)


def obtained(root: Path, table: str, refs: list[str]) -> tuple[str, set[str]]:
    """Build image app of a project of FILES. Return how, and what was sent for it."""
    for name, text in FILES.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(text)
    (root / "pyproject.toml").write_text(TABLE + table)
    images = resolve(sources.image_sources(settings.load(root / "pyproject.toml", {}, {})))
    said = obtain.obtain(images, "app", False, root / "log")
    refs.append(images["app"].ref)
    return said, set(daemon.files(images["app"].ref, "/sent"))


@pytest.mark.parametrize("who", ["classic", "buildkit"])
def test_a_stage_of_a_dockerfile_elsewhere_is_built_without_what_its_own_list_leaves_out(
    tmp_path: Path, built: list[str], who: str
) -> None:
    if who == "buildkit":
        assert builder.buildkit_program(), builder.LACKING
    said, sent = obtained(tmp_path, f'builder = "{who}"\n', built)
    assert said == f"built from {tmp_path / 'app'}" + (" by BuildKit" if who == "buildkit" else "")
    assert "a" in sent
    assert "b" not in sent
