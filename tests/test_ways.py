"""Which way a changed file takes, over all small cases; what ignore files and editors have to do with it."""

from dataclasses import replace
from functools import partial
from itertools import chain, combinations, product
from pathlib import Path, PurePath, PurePosixPath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devenv.project import gitignore
from devenv.project.schema import Then
from devenv.reconcile.ways import Folder, Kind, Synced, Watched, Way, merged, way_of

ROOT = PurePosixPath("/p")
SYNCED = (Synced(ROOT / "api/src", PurePosixPath("/code/src")),)
BASE, API = Folder("base", ROOT / "base", runs=False), Folder("api", ROOT / "api", SYNCED, bases=("base",))
IDLE = Folder("idle", ROOT / "idle", (Synced(ROOT / "idle/src", PurePosixPath("/x")),), runs=False)
MANIFESTS = frozenset({ROOT / "k8s/dev", ROOT / "k8s/base.yaml"})
PROJECT = Watched(
    *(ROOT / "pyproject.toml", ROOT / ".env", MANIFESTS, (BASE, API, IDLE)),
    tests=frozenset({ROOT / "tests", ROOT / "api/src/checks"}),
)

WAYS = {
    "pyproject.toml": Kind.TABLE, ".env": Kind.ENV, ".env.example": Kind.IGNORED, "README.md": Kind.IGNORED,
    "k8s/dev/kustomization.yaml": Kind.MANIFEST, "k8s/base.yaml": Kind.MANIFEST, "k8s/prod/a.yaml": Kind.IGNORED,
    "api/src/a.py": Kind.SYNC, "api/src/deep/b.html": Kind.SYNC, "api/src": Kind.SYNC, "api/srcs/a.py": Kind.BUILD,
    "api/requirements.lock": Kind.BUILD, "api/Dockerfile": Kind.BUILD, "api/prepare": Kind.BUILD,
    "api/src/Dockerfile": Kind.SYNC, "base/tool": Kind.BUILD, "idle/src/a.py": Kind.IGNORED,
    "tests/a.py": Kind.TEST, "tests": Kind.TEST, "tests/__pycache__/a.pyc": Kind.IGNORED, "tests/a.py~": Kind.IGNORED,
    "api/src/checks/a.py": Kind.SYNC, "testsuite/a.py": Kind.IGNORED,
}  # fmt: skip
TEMPORARY = (
    ".a.py.swp",
    ".a.py.swo",
    ".a.py.swpx",
    "4913",
    "a.py~",
    ".#a.py",
    "#a.py#",
    "a.py___jb_tmp___",
    ".goutputstream-ABC",
)
PLAIN = ("a.py", "swp", "a.swp.py", "x4913", "~a", ".hidden", "a#b")


@pytest.mark.parametrize(("path", "kind"), WAYS.items())
def test_each_file_takes_the_way_of_what_it_is(path: str, kind: Kind) -> None:
    assert way_of(ROOT / path, PROJECT).kind is kind
    assert way_of(ROOT / path, PROJECT).why


@pytest.mark.parametrize("folder", ["api/src", "api", "k8s/dev", "base", "."])
def test_no_temporary_file_of_an_editor_goes_anywhere(folder: str) -> None:
    for name in TEMPORARY:
        assert way_of(ROOT / folder / name, PROJECT).kind is Kind.IGNORED, name
    for name in PLAIN:
        assert (way_of(ROOT / folder / name, PROJECT).kind is Kind.IGNORED) is (folder == "."), name


def test_what_lies_beside_an_image_s_folder_and_is_built_into_it_is_built() -> None:
    beside = (ROOT / "docker/Dockerfile", ROOT / "lib")
    for runs, kind in ((True, Kind.BUILD), (False, Kind.IGNORED)):
        web = Folder("web", ROOT / "web", runs=runs, beside=beside)
        of = Watched(ROOT / "pyproject.toml", ROOT / ".env", folders=(web,))
        for path in ("docker/Dockerfile", "lib/a", "lib/deep/b"):
            assert way_of(ROOT / path, of).kind is kind
        assert way_of(ROOT / "docker/other", of).kind is Kind.IGNORED


def test_a_file_of_an_image_that_another_is_built_on_is_built() -> None:
    """Sending it would leave the other as it was; where nothing runs the other, it is sent."""
    for runs, kind in ((True, Kind.BUILD), (False, Kind.SYNC)):
        child = Folder("child", ROOT / "child", bases=("api",), runs=runs)
        way = way_of(ROOT / "api/src/a.py", Watched(PROJECT.table, PROJECT.env_file, frozenset(), (API, child)))
        assert way.kind is kind
        assert ("child" in way.why) is runs


def said(answer: bool, _: PurePath) -> bool:
    return answer


def test_what_either_ignore_file_leaves_out_is_not_sent_and_docker_s_not_built() -> None:
    for git, docker in product((False, True), repeat=2):
        seen = Watched(
            *(PROJECT.table, PROJECT.env_file, frozenset(), (API,)),
            by_docker=partial(said, docker),
            by_git=partial(said, git),
        )
        assert (way_of(ROOT / "api/src/a.py", seen).kind is Kind.SYNC) is not (git or docker)
        assert (way_of(ROOT / "api/x", seen).kind is Kind.BUILD) is not docker
        tested = replace(seen, tests=frozenset({ROOT / "tests"}))
        assert way_of(ROOT / "tests/out.txt", tested).kind is (Kind.IGNORED if git else Kind.TEST)
        assert way_of(ROOT / "api/Dockerfile", seen).kind is Kind.BUILD


def test_what_decides_about_a_gate_is_built_for_the_gate_has_to_run_before_it_is_used() -> None:
    for inside, by_gate in product((True, False), repeat=2):
        path = ROOT / ("api/src/schema.py" if inside else "sql/1.sql")
        way = way_of(path, replace(PROJECT, by_gate=partial(said, by_gate)))
        assert way.kind is (Kind.BUILD if by_gate else Kind.SYNC if inside else Kind.IGNORED)
        assert ("gate" in way.why) is by_gate


def test_of_several_roles_the_strongest_decides() -> None:
    """A file may be sent, built and a manifest at once: over all sets of roles."""
    synced = Folder("sent", ROOT / "x", (Synced(ROOT / "x", PurePosixPath("/code")),))
    roles = {Kind.SYNC: synced, Kind.BUILD: Folder("built", ROOT / "x"), Kind.MANIFEST: None}
    for some in chain.from_iterable(combinations(roles, n) for n in range(4)):
        folders = tuple(folder for kind in some if (folder := roles[kind]))
        manifests = frozenset({ROOT / "x"}) if Kind.MANIFEST in some else frozenset()
        way = way_of(ROOT / "x/a", Watched(PROJECT.table, PROJECT.env_file, manifests, folders))
        assert way.kind is max(some, default=Kind.IGNORED)
        assert way.images == (frozenset({"sent"}) if some == (Kind.SYNC,) else frozenset())


PATHS = st.sampled_from([*WAYS, *(f"api/src/{name}" for name in TEMPORARY)])


@settings(deadline=None)
@given(st.lists(PATHS), st.lists(PATHS))
def test_several_changes_are_one_whatever_their_order(some: list[str], more: list[str]) -> None:
    """What one way brings in, a stronger one does too; so the merged way of all is that of the parts, merged."""

    def ways(paths: list[str]) -> list[Way]:
        return [way_of(ROOT / path, PROJECT) for path in paths]

    def found(*of: Way) -> tuple[Kind, frozenset[str]]:
        way = merged(of)
        return way.kind, way.images

    whole = found(*ways(some + more))
    assert whole == found(*reversed(ways(some + more))) == found(merged(ways(some)), merged(ways(more)))
    assert whole[0] is max((way_of(ROOT / p, PROJECT).kind for p in some + more), default=Kind.IGNORED)
    assert bool(whole[1]) is (whole[0] is Kind.SYNC)


def test_the_way_says_what_happens_in_the_container() -> None:
    for then, said in (
        (Then(), "restart"),
        (Then(kind="signal", words=("HUP",)), "SIGHUP"),
        (Then(kind="nothing"), "nothing restarts"),
        (Then(kind="command", words=("kill", "-HUP", "1")), "kill -HUP 1"),
    ):
        folder = Folder("api", ROOT / "api", SYNCED, then)
        why = way_of(ROOT / "api/src/a.py", Watched(PROJECT.table, PROJECT.env_file, folders=(folder,))).why
        assert "/code/src/a.py" in why
        assert said in why


def test_git_s_ignore_files_are_read_as_git_reads_them(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / ".gitignore").write_text("*.pyc\n/build/\n!keep.pyc\n")
    (tmp_path / "a/.gitignore").write_text("*.log\n!x.pyc\n")
    ignored = {
        "m.pyc": True, "a/b/m.pyc": True, "keep.pyc": False, "build/x": True, "a/build/x": False, "a/b/c.log": True,
        "c.log": False, "a/x.pyc": False, "a/b/gone.py": False,
    }  # fmt: skip
    assert {path: gitignore.ignores(tmp_path / path) for path in ignored} == ignored
    (tmp_path / ".gitignore").write_text("")
    assert not gitignore.ignores(tmp_path / "m.pyc")
