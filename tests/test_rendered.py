"""What kustomize rendered, kept for the next command: it is never another than kustomize would render now."""

import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from devenv.project import render, rendered, settings, sources
from devenv.system import process

CONFIG = "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {}}}\ndata: {{a: one}}\n"
PATCH = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {b: two}\n"
FILES = {
    "base/kustomization.yaml": "resources: [a.yaml, linked.yaml]\nreplacements: [{path: replace.yaml}]\n",
    "base/a.yaml": CONFIG.format("a").replace("one", "one, z: last"),
    "base/replace.yaml": "- source: {kind: ConfigMap, name: linked, fieldPath: data.a}\n"
    "  targets: [{select: {kind: ConfigMap, name: a}, fieldPaths: [data.a]}]\n",
    "elsewhere/linked.yaml": CONFIG.format("linked"),
    "part/kustomization.yml": "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n"
    "commonLabels: {part: x}\n",
    "above.yaml": CONFIG.format("above"),
    "dev/kustomization.yaml": """
namespace: dev
namePrefix: my-
resources: [../base, ../above.yaml, ../linked]
components: [../part]
patches:
  - path: patch.yaml
  - {target: {kind: ConfigMap, name: a}, patch: '[{"op": "add", "path": "/data/c", "value": "three"}]'}
patchesStrategicMerge: [merged.yaml, "{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, data: {e: five}}"]
configMapGenerator:
  - {name: made, files: [plain.txt, key=keyed.txt], literals: [x=y], options: {disableNameSuffixHash: true}}
""",
    "dev/patch.yaml": PATCH,
    "dev/merged.yaml": PATCH.replace("b: two", "d: four"),
    "dev/plain.txt": "plain\n",
    "dev/keyed.txt": "keyed\n",
    "real/kustomization.yaml": "namePrefix: r-\nresources: [r.yaml]\n",
    "real/r.yaml": CONFIG.format("r"),
}


@dataclass
class Project:
    """A kustomize folder in a project, and how often kustomize was run for it."""

    root: Path
    runs: list[Path] = field(default_factory=list)

    def write(self, name: str, text: str) -> None:
        (self.root / name).parent.mkdir(parents=True, exist_ok=True)
        (self.root / name).write_text(text)

    @property
    def file(self) -> Path:
        return self.root / "state/rendered.json"

    def text(self, name: str = "dev", program: str = "") -> str:
        folder = self.root / name
        argv = [program or process.find("kubectl"), "kustomize", "--load-restrictor", "LoadRestrictionsNone"]
        argv += [*render.NO_CLUSTER, str(folder)]

        def run() -> str:
            self.runs.append(folder)
            return process.run(argv)

        return rendered.kept(self.file, folder, argv, run)

    def count(self, name: str = "dev", program: str = "") -> int:
        """Return how often kustomize runs for two commands in a row."""
        before = len(self.runs)
        assert self.text(name, program) == self.text(name, program)
        return len(self.runs) - before


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = Project(tmp_path)
    for name, text in FILES.items():
        made.write(name, text)
    (tmp_path / "base/linked.yaml").symlink_to("../elsewhere/linked.yaml")
    (tmp_path / "linked").symlink_to("real")
    (tmp_path / "state").mkdir()
    return made


def fresh(folder: Path) -> str:
    argv = ["kubectl", "kustomize", "--load-restrictor", "LoadRestrictionsNone", *render.NO_CLUSTER, str(folder)]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


def test_a_second_command_runs_no_kustomize(project: Project) -> None:
    assert project.count() == 1
    assert project.text() == fresh(project.root / "dev")
    assert project.file.stat().st_mode & 0o077 == 0


# A change of each, which leaves its size as it was.
CHANGED = {
    "base/kustomization.yaml": ("a.yaml, linked.yaml", "linked.yaml, a.yaml"),
    "base/a.yaml": ("last", "LAST"),
    "base/replace.yaml": ("fieldPath: data.a", "fieldPath: kind  "),
    "elsewhere/linked.yaml": ("one", "ONE"),
    "part/kustomization.yml": ("part: x", "part: z"),
    "above.yaml": ("one", "ONE"),
    "dev/kustomization.yaml": ("my-", "mz-"),
    "dev/patch.yaml": ("two", "TWO"),
    "dev/merged.yaml": ("four", "FOUR"),
    "dev/plain.txt": ("plain", "PLAIN"),
    "dev/keyed.txt": ("keyed", "KEYED"),
    "real/kustomization.yaml": ("namePrefix: r-", "namePrefix: q-"),
    "real/r.yaml": ("one", "ONE"),
}


def test_each_file_has_its_change() -> None:
    assert CHANGED.keys() == FILES.keys()


@pytest.mark.parametrize("name", CHANGED)
def test_a_change_of_any_file_that_it_reads_is_seen_though_its_time_and_size_stay(project: Project, name: str) -> None:
    before = project.text()
    path = project.root / name
    seen = path.stat()
    path.write_text(path.read_text().replace(*CHANGED[name], 1))
    os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    assert path.stat().st_size == seen.st_size
    assert project.text() == fresh(project.root / "dev")
    assert len(project.runs) == 2
    assert project.text() != before or name == "base/kustomization.yaml"  # their order says nothing


def link_elsewhere(root: Path) -> None:
    (root / "elsewhere/other.yaml").write_text(CONFIG.format("linked").replace("one", "other"))
    (root / "base/linked.yaml").unlink()
    (root / "base/linked.yaml").symlink_to("../elsewhere/other.yaml")


def link_another_folder(root: Path) -> None:
    (root / "new").mkdir()
    (root / "new/kustomization.yaml").write_text("resources: [n.yaml]\n")
    (root / "new/n.yaml").write_text(CONFIG.format("n"))
    (root / "linked").unlink()
    (root / "linked").symlink_to("new")


def rename_a_kustomization(root: Path) -> None:
    (root / "part/kustomization.yml").rename(root / "part/Kustomization")


@pytest.mark.parametrize("change", [link_elsewhere, link_another_folder, rename_a_kustomization])
def test_what_a_name_leads_to_is_looked_up_each_time(project: Project, change: Callable[[Path], None]) -> None:
    project.text()
    change(project.root)
    assert project.text() == fresh(project.root / "dev")
    assert len(project.runs) == 2


def test_a_file_that_comes_where_a_text_was_meant_is_seen(project: Project) -> None:
    """An inline patch whose text is the name of a file is that file's, once there is one."""
    before = rendered.made_of(project.root / "dev", [process.find("kubectl")])
    project.write("dev/x=y", "")
    assert rendered.made_of(project.root / "dev", [process.find("kubectl")]) != before


@pytest.mark.parametrize("name", ["dev/patch.yaml", "base/a.yaml", "real/kustomization.yaml", "dev/keyed.txt"])
def test_what_is_gone_is_an_error_and_not_what_it_was(project: Project, name: str) -> None:
    project.text()
    (project.root / name).unlink()
    with pytest.raises(Exception, match="exited with 1"):
        project.text()


UNKNOWN = {
    "a variable of the environment": "resources: [a.yaml]\nconfigMapGenerator: [{name: m, envs: [v.env]}]\n",
    "another's defaults": "resources: [a.yaml]\nconfigurations: [c.yaml]\n",
    "a plugin": "resources: [a.yaml]\ntransformers: [t.yaml]\n",
    "the history of the repository": "resources: [a.yaml, ../base]\nbuildMetadata: [originAnnotations]\n",
    "a secret": "resources: [a.yaml, s.yaml]\n",
    "a secret that is made": "resources: [a.yaml]\nsecretGenerator: [{name: s, literals: [a=b]}]\n",
    "an address": "resources: [a.yaml]\nconfigMapGenerator: [{name: m, literals: ['a=https://x/y']}]\n",
    "a name of a repository": "resources: [a.yaml, ./git/x]\n",
}


@pytest.mark.parametrize("what", UNKNOWN)
def test_what_may_be_made_of_more_than_is_known_is_rendered_each_time(project: Project, what: str) -> None:
    project.write("k/kustomization.yaml", UNKNOWN[what])
    project.write("k/a.yaml", CONFIG.format("k"))
    project.write("k/s.yaml", "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {a: hunter2}\n")
    project.write("k/v.env", "HOME\n")
    project.write("k/c.yaml", "namePrefix: []\n")
    plugin = "apiVersion: builtin\nkind: PrefixTransformer\nmetadata: {name: p}\nprefix: p-\n"
    project.write("k/t.yaml", f"{plugin}fieldSpecs: [{{path: metadata/name}}]\n")
    project.write("k/git/x/kustomization.yaml", "resources: [y.yaml]\n")
    project.write("k/git/x/y.yaml", CONFIG.format("y"))
    assert project.count("k") == 2
    assert not project.file.exists()


@pytest.mark.parametrize(
    "resource", ["https://example.com/a.yaml", "github.com/o/r//k?ref=1", "git@example.com:o/r.git", "../none.yaml"]
)  # fmt: skip
def test_what_is_not_of_this_machine_is_not_known(project: Project, resource: str) -> None:
    project.write("k/kustomization.yaml", f"resources: ['{resource}']\n")
    with pytest.raises(rendered.UnknownInputs):
        rendered.made_of(project.root / "k", [process.find("kubectl")])


def test_a_script_that_stands_for_kubectl_is_run_each_time_and_another_kubectl_too(project: Project) -> None:
    script = project.root / "kubectl"
    script.write_text(f'#!/bin/sh\nexec {process.find("kubectl")} "$@"\n')
    script.chmod(0o755)
    assert project.count(program=str(script)) == 2
    own = project.root / "bin/kubectl"
    own.parent.mkdir()
    own.symlink_to(os.path.realpath(process.find("kubectl")))
    assert project.count() == 1
    assert project.count(program=str(own)) == 1


def test_a_kubectl_that_was_replaced_renders_again(tmp_path: Path) -> None:
    program = tmp_path / "kubectl"
    program.write_bytes(b"\x7fELF1")
    first = [*rendered.program(program)]
    program.write_bytes(b"\x7fELF2")
    second = [*rendered.program(program)]
    (tmp_path / "kubectl.1.30").write_bytes(b"\x7fELF")
    assert len({*map(tuple, (first, second, [*rendered.program(program)]))}) == 3


def test_defaults_for_flags_are_not_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "kubectl").write_bytes(b"\x7fELF")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert [*rendered.program(tmp_path / "kubectl")]
    (tmp_path / ".kube").mkdir()
    (tmp_path / ".kube/kuberc").write_text("")
    with pytest.raises(rendered.UnknownInputs):
        [*rendered.program(tmp_path / "kubectl")]


@pytest.mark.parametrize("text", ["", "[]", "{", '{"x": 1}'])
def test_a_file_that_cannot_be_read_is_written_anew(project: Project, text: str) -> None:
    project.file.write_text(text)
    assert project.count() == 1


def test_without_a_runtime_folder_nothing_is_kept(project: Project) -> None:
    project.file.parent.rmdir()
    assert project.count() == 2


def test_the_last_folders_are_kept(project: Project) -> None:
    for name in (*"abcde",):
        project.write(f"{name}/kustomization.yaml", "resources: [x.yaml]\n")
        project.write(f"{name}/x.yaml", CONFIG.format(name))
        assert project.count(name) == 1
    assert [Path(name).name for name in json.loads(project.file.read_text())] == ["b", "c", "d", "e"]


def test_rendering_asks_no_cluster_whatever_the_kubeconfig_names(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests import kube_server

    with kube_server.serving() as cluster:
        clusters = [{"name": "c", "cluster": {"server": cluster.url}}]
        config = {
            "clusters": clusters,
            "contexts": [{"name": "c", "context": {"cluster": "c"}}],
            "current-context": "c",
        }
        project.write("kubeconfig", json.dumps({"apiVersion": "v1", "kind": "Config", **config}))
        monkeypatch.setenv("KUBECONFIG", str(project.root / "kubeconfig"))
        assert render.kustomized(project.root / "dev", project.file)
        assert cluster.asked == []


def test_a_command_takes_what_an_earlier_one_has_kept(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(project.root / "state"))
    project.write("pyproject.toml", '[tool.devenv]\nname = "shop"\nmanifests = "dev"\n')
    here = settings.load(project.root / "pyproject.toml", {}, {})
    folder = render.runtime(here)
    folder.make()
    first = sources.load(here)
    kept = json.loads(folder.rendered.read_text())
    kept[str(project.root / "dev")]["text"] = CONFIG.format("marked")
    folder.rendered.write_text(json.dumps(kept))
    second = sources.load(here)
    assert "configmap/marked" not in {str(obj.id) for obj in first.objects}
    assert "configmap/marked" in {str(obj.id) for obj in second.objects}
