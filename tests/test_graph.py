"""Images by content: equal inputs give equal names, and a change runs up the graph."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devenv.errors import UsageError
from devenv.images.dockerfile import bases, decoded, encoded, with_bases
from devenv.images.graph import Context, File, Source, closure, content_tag, resolve
from devenv.system.digest import chain_ids, digest


def folder(dockerfile: str, **files: bytes) -> Source:
    return Source(files=(File("Dockerfile", dockerfile.encode()), *(File(n, d) for n, d in files.items())))


TREE = {
    "base": folder("FROM scratch\nADD rootfs.tar /\n"),
    "tool": folder("FROM base AS build\nRUN make\nFROM base\nCOPY --from=build /x /x\n"),
    "node": folder("FROM tool AS tool\nFROM docker.io/library/debian:bookworm\n"),
    "apart": folder("FROM scratch\n"),
}


def test_from_lines_are_the_edges() -> None:
    assert {name: image.bases for name, image in resolve(TREE).items()} == {
        "base": (),
        "tool": ("base",),
        "node": ("tool",),
        "apart": (),
    }
    assert closure(resolve(TREE), "node") == ["base", "tool", "node"]


OWN_TREE = {f"devenv.{name}": replace(source, own=True) for name, source in TREE.items()}


def test_of_the_tool_s_own_images_a_project_s_dockerfile_knows_base_alone_by_a_name_of_its_own() -> None:
    sources = {**OWN_TREE, "web": folder("FROM node:latest\nFROM devenv.local/base\n"), "site": folder("FROM web\n")}
    images = resolve({**sources, "stages": folder("FROM node:20 AS base\nRUN x\nFROM base\nFROM tool\n")})
    assert {name: images[name].bases for name in ("devenv.node", "web", "site", "stages")} == {
        "devenv.node": ("devenv.tool",),
        "web": ("devenv.base",),
        "site": ("web",),
        "stages": (),
    }


@pytest.mark.parametrize("name", TREE)
def test_an_image_of_a_project_may_have_any_name_of_the_tool_s_own(name: str) -> None:
    alone, both = resolve(OWN_TREE), resolve({**OWN_TREE, name: folder("FROM base\n")})
    assert all(both[own] == alone[own] for own in OWN_TREE)
    assert both[name].bases == ()
    assert both[name].ref not in {image.ref for image in alone.values()}


def test_a_change_renames_an_image_and_all_that_is_built_on_it() -> None:
    before = resolve(TREE)
    after = resolve({**TREE, "base": folder("FROM scratch\nADD rootfs.tar /\n", note=b"new")})
    changed = {name for name in TREE if before[name].ref != after[name].ref}
    assert changed == {"base", "tool", "node"}


@pytest.mark.parametrize(
    "other",
    [
        Source(files=(File("Dockerfile", b"FROM scratch\n", executable=True),)),
        Source(files=(File("Dockerfile2", b"FROM scratch\n"),)),
        Source(files=(File("Dockerfile", b"FROM scratch"),)),
        Source(files=(File("Dockerfile", b"FROM scratch\n"),), args=(("A", "1"),)),
        Source(files=(File("Dockerfile", b"FROM scratch\n"),), pull="docker.io/library/x:1"),
        Source(files=(File("Dockerfile", b"FROM scratch\n"),), platform="linux/arm64"),
        Source(files=(File("Dockerfile", b"FROM scratch\n"),), target="dev"),
        Source(files=(File("Dockerfile", b"FROM scratch\n"),), builder="classic"),
        Source(files=(File("Dockerfile", b"FROM scratch\n"),), file="Dockerfile.dev"),
        Source(files=(File("Dockerfile", b"FROM scratch\n"),), outside=(File("../Dockerfile", b""),)),
        Source(files=(File("Dockerfile", b"FROM scratch\n"),), contexts=(Context("lib", Path("lib"), (File("a"),)),)),
        Source(files=(File("Dockerfile", b"FROM scratch\n"),), contexts=(Context("dev", Path("lib"), (File("a"),)),)),
    ],
)
def test_every_input_is_in_the_name(other: Source) -> None:
    one = Source(files=(File("Dockerfile", b"FROM scratch\n"),))
    assert resolve({"x": one})["x"].ref != resolve({"x": other})["x"].ref


def test_build_arguments_never_pass_for_files() -> None:
    files = (File("args", b"1", executable=True), File("b", b"c", executable=True))
    assert content_tag(Source(files=files), []) != content_tag(Source(args=(("b", "x"), ("c", "args"), ("x", "1"))), [])
    words = [("x", "1"), ("b", "x"), ("c", "args")]
    assert content_tag(Source(files=files), []) != content_tag(Source(args=tuple(words)), [])


TEXTS = st.sampled_from(["args", "x", "-", "1 args", "platform", "linux/arm64", ""])
FILES = st.builds(File, path=TEXTS, data=TEXTS.map(str.encode), executable=st.booleans())
SOURCES = st.builds(
    Source,
    files=st.lists(FILES, max_size=3, unique_by=lambda f: f.path).map(tuple),
    args=st.dictionaries(TEXTS, TEXTS, max_size=3).map(lambda d: tuple(sorted(d.items()))),
    platform=st.sampled_from(["linux/amd64", "linux/arm64"]),
    file=st.sampled_from(["Dockerfile", "target", "context"]),
    target=st.sampled_from([None, "builder", "context", "1"]),
    builder=st.sampled_from([None, "classic", "buildkit"]),
    outside=st.lists(FILES, max_size=1).map(tuple),
    contexts=st.lists(
        st.builds(Context, TEXTS.filter(bool), st.just(Path("x")), st.lists(FILES, max_size=1).map(tuple)), max_size=2
    ).map(tuple),
)


@given(SOURCES, SOURCES)
def test_two_sources_have_one_tag_only_if_they_are_one(one: Source, other: Source) -> None:
    def sort(source: Source) -> Source:
        return replace(source, files=tuple(sorted(source.files, key=lambda f: f.path)))

    assert (content_tag(one, []) == content_tag(other, [])) == (sort(one) == sort(other))


def test_the_tag_of_a_plain_folder_stays_as_it_is() -> None:
    source = Source(files=(File("Dockerfile", b"FROM scratch\n"), File("run", b"#!/bin/sh\n", executable=True)))
    assert content_tag(source, []) == "e487eb3a373715a8"  # another one rebuilds every image of every project


def test_the_order_of_files_is_not_in_the_name() -> None:
    one = folder("FROM scratch\n", a=b"1", b=b"2")
    assert resolve({"x": one}) == resolve({"x": one})
    turned = Source(files=tuple(reversed(one.files)))
    assert resolve({"x": one})["x"].ref == resolve({"x": turned})["x"].ref


def test_a_circle_is_refused_with_its_members() -> None:
    with pytest.raises(UsageError, match=r"a ← b ← a|b ← a ← b"):
        resolve({"a": folder("FROM b\n"), "b": folder("FROM a\n")})


def test_from_lines_are_rewritten_and_nothing_else() -> None:
    text = "# FROM base\nFROM --platform=linux/amd64 base AS build\nRUN echo FROM base\nfrom base\n"
    assert with_bases(text, {"base": "r:1"}) == (
        "# FROM base\nFROM --platform=linux/amd64 r:1 AS build\nRUN echo FROM base\nfrom r:1\n"
    )
    assert bases(text, ["base"]) == ("base",)


@pytest.mark.parametrize(
    "marked",
    [
        "FROM golang AS api\nFROM api\n",
        "FROM «api» AS api\nFROM API\n",
        "FROM x\nCOPY --from=«api» /a /a\n",
        "FROM x AS api\nCOPY --chown=1 --from=api /a /a\n",
        "FROM x\nRUN --mount=type=bind,from=«api»,target=/a ls\n",
        "FROM x\nRUN ls --from=api\n",
        "ARG B=api\nFROM «$B»\n",
        'ARG A="ap"\nARG B=${A}i C=1\nFROM «${B:-x}»\n',
        "ARG B\nFROM «${B:-api}» AS a\nFROM ${B:+api}\n",
        "ARG GIVEN=x\nFROM «$GIVEN»\n",
        "FROM $GIVEN\n",
        "  FROM\t«api:latest»\n",
        "FROM api:1\n",
        "FROM --platform=linux/amd64 \\\n# why\n\n  «api» AS a\n",
        "# syntax=x\n# escape=`\nFROM `\n «api»\n",
        "FROM x\nRUN select \\\nFROM api\n",
        "FROM x\nRUN <<EOF\nFROM api\nEOF\nFROM «api»\n",
        "FROM x\nRUN echo $((1 <<n))\nFROM «api»",
        "FROM x\r\nFROM «api»\r\n",
    ],
)
def test_images_are_told_from_stages_wherever_a_dockerfile_names_them(marked: str) -> None:
    text, given = re.sub("[«»]", "", marked), {"GIVEN": "api"}
    assert bases(text, ["api"], given) == (("api",) if "«" in marked else ())
    assert with_bases(text, {"api": "r/api"}, given) == re.sub("«.*?»", "r/api", marked)


@pytest.mark.parametrize(
    "text", ["\ufeffFROM base\n", "FROM x\nCOPY --from=base / /\n", "ARG B=base\nFROM $B\n", " FROM base:latest\n"]
)
def test_a_changed_base_renames_the_image_however_it_is_named(text: str) -> None:
    before = resolve({"app": folder(text), "base": folder("FROM scratch\n")})
    after = resolve({"app": folder(text), "base": folder("FROM scratch\n# new\n")})
    assert before["app"].ref != after["app"].ref


def test_a_dockerfile_that_is_no_utf_8_keeps_its_bytes() -> None:
    data = "FROM base # für\n".encode("latin-1")
    assert encoded(with_bases(decoded(data), {"base": "r"})) == data.replace(b"base", b"r")


@given(st.lists(st.binary(max_size=4), max_size=4), st.lists(st.binary(max_size=4), max_size=4))
def test_the_fields_of_a_digest_stay_apart(one: list[bytes], two: list[bytes]) -> None:
    assert (digest(one) == digest(two)) == (one == two)


def test_chain_ids_are_those_of_the_specification() -> None:
    # Worked by hand with sha256sum: printf 'sha256:a sha256:b' | sha256sum, and so on.
    chain = chain_ids(["sha256:a", "sha256:b"])
    assert chain[0] == "sha256:a"
    assert chain[1] == "sha256:970a948bffa8de94d6e22d747ba8c95030e6e546909f98f54e99a13005e173a8"
    assert len(chain_ids(["sha256:a", "sha256:b", "sha256:c"])) == 3
