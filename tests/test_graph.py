"""Images by content: equal inputs give equal names, and a change runs up the graph."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devenv.digest import chain_ids, digest
from devenv.errors import UsageError
from devenv.graph import File, Source, bases, closure, resolve, with_bases


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
    ],
)
def test_every_input_is_in_the_name(other: Source) -> None:
    one = Source(files=(File("Dockerfile", b"FROM scratch\n"),))
    assert resolve({"x": one})["x"].ref != resolve({"x": other})["x"].ref


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


@given(st.lists(st.binary(max_size=4), max_size=4), st.lists(st.binary(max_size=4), max_size=4))
def test_the_fields_of_a_digest_stay_apart(one: list[bytes], two: list[bytes]) -> None:
    assert (digest(one) == digest(two)) == (one == two)


def test_chain_ids_are_those_of_the_specification() -> None:
    # Worked by hand with sha256sum: printf 'sha256:a sha256:b' | sha256sum, and so on.
    chain = chain_ids(["sha256:a", "sha256:b"])
    assert chain[0] == "sha256:a"
    assert chain[1] == "sha256:970a948bffa8de94d6e22d747ba8c95030e6e546909f98f54e99a13005e173a8"
    assert len(chain_ids(["sha256:a", "sha256:b", "sha256:c"])) == 3
