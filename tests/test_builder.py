"""Who builds an image, and the layouts of Dockerfiles that people have."""

from itertools import product
from pathlib import Path

import pytest

from devenv.errors import DevenvError, UsageError
from devenv.images import builder
from devenv.images import folder as folders
from devenv.images.dockerfile import needs_buildkit
from devenv.images.graph import File, Source, resolve
from devenv.project import settings, sources

PLAIN = (
    "# syntax=docker/dockerfile:1\nFROM debian AS base\nRUN echo --mount <<< x\nCOPY --chown=1:1 --from=base /a /b\n"
)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (PLAIN, ""),
        ("FROM a\nRUN echo \\\n --mount=x\n", ""),
        ("FROM a\nRUN --mount=type=cache,target=/c make\n", "line 2: --mount"),
        ("FROM a\n\nRUN \\\n  --network=none make\n", "line 3: --network"),
        ("FROM a\nRUN <<EOF\necho\nEOF\n", "line 2: a heredoc"),
        ("FROM a\nCOPY <<EOF /x\nEOF\n", "line 2: a heredoc"),
        ("FROM a\nCOPY --link --from=b / /\n", "line 2: --link"),
        ("FROM a\nadd --checksum=sha256:1 http://x /\n", "line 2: --checksum"),
        ("FROM --platform=$BUILDPLATFORM a\n", "line 1: BUILDPLATFORM"),
        ("FROM a\nARG TARGETARCH\n", "line 2: TARGETARCH"),
        ("FROM a\nARG MYTARGETARCH\n", ""),
    ],
)
def test_what_only_buildkit_understands_is_seen_with_its_line(text: str, why: str) -> None:
    assert needs_buildkit(text, {}) == why


def test_an_argument_that_is_given_needs_no_buildkit() -> None:
    assert needs_buildkit("FROM a\nARG TARGETARCH\n", {"TARGETARCH": "amd64"}) == ""


def made(text: str, wanted: str | None = None, own: bool = False) -> Source:
    return Source(folder=Path("app"), files=(File("Dockerfile", text.encode()),), builder=wanted, own=own)


def test_the_builder_is_the_one_that_is_asked_for_or_needed_else_the_one_that_docker_build_takes() -> None:
    texts = ("FROM a\n", "FROM a\nRUN --mount=type=tmpfs,target=/x y\n")
    for wanted, text, there, preferred in product((None, "buildkit", "classic"), texts, (False, True), (False, True)):
        needed = wanted != "classic" and (wanted == "buildkit" or "--mount" in text)
        if needed and not there:
            with pytest.raises(DevenvError, match=r"needs BuildKit, and no docker program.*\nhint: install buildx"):
                builder.chosen(made(text, wanted), there, preferred)
            continue
        expected = "buildkit" if needed or (there and preferred and wanted is None) else "classic"
        assert builder.chosen(made(text, wanted), there, preferred) == expected
    assert builder.chosen(made("FROM a\n", own=True), True, True) == "classic"


def program(folder: Path, version: str, buildx: int) -> str:
    folder.mkdir()
    script = folder / "docker"
    said = f"Docker version {version}, build x"
    script.write_text(f'#!/bin/sh\n[ "$1" = --version ] && echo "{said}" && exit\nexit {buildx}\n')
    script.chmod(0o755)
    return str(script)


@pytest.mark.parametrize(
    ("version", "buildx", "speaks"), [("20.10.24+dfsg1", 1, True), ("28.2.2", 1, False), ("28.2.2", 0, True)]
)
def test_a_docker_program_speaks_to_buildkit_by_itself_before_23_and_by_buildx_since(
    tmp_path: Path, version: str, buildx: int, speaks: bool
) -> None:
    assert builder.speaks_buildkit(program(tmp_path / "bin", version, buildx)) is speaks


TABLE = '[tool.devenv]\nname = "shop"\nmanifests = "k8s.yaml"\n[tool.devenv.images.app]\nbuild = "."\n'


def project(root: Path, table: str = "", **files: str) -> Source:
    """Return the source of image app of a project with these files."""
    for name, text in {"k8s.yaml": "", "pyproject.toml": TABLE + table, **files}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    read = settings.load(root / "pyproject.toml", {}, {})
    return sources.image_sources(read)["app"]


def test_the_folder_of_the_project_itself_may_be_built_without_its_history(tmp_path: Path) -> None:
    source = project(tmp_path, **{"Dockerfile": "FROM scratch\n", ".git/HEAD": "x", "a/.git": "x"})
    assert {f.path for f in source.files} == {"Dockerfile", "k8s.yaml", "pyproject.toml", "a/.git"}
    (tmp_path / ".dockerignore").write_text("*\n!.git\n")
    assert {f.path for f in folders.read_folder(tmp_path)} == {"Dockerfile", ".dockerignore", ".git/HEAD"}


def test_a_dockerfile_s_own_list_goes_before_that_of_the_folder(tmp_path: Path) -> None:
    files = {"Dockerfile.dev": "FROM scratch\n", ".dockerignore": "a\n", "a": "", "b": ""}
    before = project(tmp_path, 'dockerfile = "Dockerfile.dev"\n', **files)
    assert {"Dockerfile.dev", "b"} <= {f.path for f in before.files}
    assert "a" not in {f.path for f in before.files}
    (tmp_path / "Dockerfile.dev.dockerignore").write_text("b\nDockerfile*\n")
    after = {f.path for f in folders.read_folder(tmp_path, "Dockerfile.dev")}
    assert {"a", "Dockerfile.dev", "Dockerfile.dev.dockerignore"} <= after
    assert "b" not in after


def test_what_a_table_names_and_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"images.app.build: Dockerfile.dev: no such file"):
        project(tmp_path, 'dockerfile = "Dockerfile.dev"\n', Dockerfile="FROM scratch\n")
    with pytest.raises(UsageError, match=r"images.app.contexts: lib: no such folder"):
        project(tmp_path, 'contexts = { lib = "lib" }\n', Dockerfile="FROM scratch\n")


def test_a_context_s_name_is_no_image_of_the_table(tmp_path: Path) -> None:
    table = 'contexts = { lib = "lib" }\n[tool.devenv.images.lib]\npull = "lib:1"\n'
    source = project(tmp_path, table, **{"Dockerfile": "FROM scratch\nCOPY --from=lib a /\n", "lib/a": "1"})
    images = resolve({"app": source, "lib": Source(pull="lib:1")})
    assert images["app"].bases == ()
    (tmp_path / "lib/a").write_text("2")
    assert resolve({"app": project(tmp_path, table, **{"lib/b": ""})})["app"].ref != images["app"].ref


def test_a_folder_that_is_too_large_to_be_meant_is_told_before_it_is_read(tmp_path: Path) -> None:
    with (tmp_path / "data").open("wb") as sparse:
        sparse.truncate(2 << 30)
    with pytest.raises(UsageError, match=r"2.1 GB would be sent.*\nhint: name in .*\.dockerignore"):
        folders.read_folder(tmp_path)
