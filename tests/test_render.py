"""What manifests may be: kustomize folders, files, Helm charts, commands, several of them."""

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from devenv.errors import CommandFailed, DevenvError, UsageError
from devenv.kube.objects import Object, find
from devenv.project import manifests, settings, sources
from devenv.project.stack import Stack
from devenv.reconcile.observed import Observed
from devenv.reconcile.plan import make_plan
from tests.test_plan import named
from tests.test_sources import CONFIG_MAP

PROJECTS = Path(__file__).parent / "projects"
HEAD = '[tool.devenv]\nname = "shop"\nmanifests = '
CHART = 'apiVersion: v2\nname: c\nversion: "1"\n'


def loaded(folder: Path) -> Stack:
    return sources.load(settings.load(folder / "pyproject.toml", {}, {}))


def needs(stack: Stack, step: str) -> set[str]:
    """Return the steps that one comes after where nothing is there yet, as far as they are about objects."""
    steps = {s.name: s for s in make_plan(stack, Observed())}
    return {n for n in steps[step].needs if n.split()[0] in ("apply", "run", "ready")}


def written(folder: Path, value: str, **files: str) -> list[Object]:
    """Return the objects of a project whose `manifests` are these."""
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_yaml", ".yaml")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (folder / "pyproject.toml").write_text(HEAD + value)
    return manifests.objects(settings.load(folder / "pyproject.toml", {}, {}))


def test_a_chart_is_rendered_with_its_values_and_release() -> None:
    stack = loaded(PROJECTS / "chart")
    web = named(stack, "deployment/web")
    assert web.raw["spec"]["replicas"] == 2
    assert find(stack.objects, "service/web")
    container: Any = named(stack, "job/migrate").raw["spec"]["template"]["spec"]["containers"][0]
    assert container["command"][-1] == "hello"
    assert stack.wanted_images == ("server",)


def test_the_hooks_of_a_chart_come_before_and_after_the_rest_of_it() -> None:
    stack = loaded(PROJECTS / "chart")
    assert needs(stack, "run job/check") == set()
    assert needs(stack, "run job/migrate") == {"ready job/check"}
    assert needs(stack, "apply deployment/web") == {"ready job/check", "ready job/migrate"}
    assert needs(stack, "run job/greet") == {"ready job/check", "ready job/migrate", "apply deployment/web"}
    assert all(find(stack.objects, gone) is None for gone in ("pod/probe", "job/farewell"))


def test_what_is_of_no_chart_waits_for_none_of_its_hooks(tmp_path: Path) -> None:
    project = tmp_path / "chart"
    shutil.copytree(PROJECTS / "chart", project)
    pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: NAME}\nspec: {containers: [{name: c, image: db}]}\n"
    hook = "other, annotations: {helm.sh/hook: pre-install}"
    (project / "db.yaml").write_text("---\n".join([pod.replace("NAME", "db"), pod.replace("NAME", hook)]))
    table = project / "pyproject.toml"
    table.write_text(table.read_text().replace("{ chart", '["db.yaml", { chart', 1).replace('"web" }', '"web" }]', 1))
    stack = loaded(project)
    assert needs(stack, "run pod/db") == set()
    assert needs(stack, "apply deployment/web") == {"ready job/check", "ready job/migrate"}


def test_a_folder_with_a_chart_is_a_chart(tmp_path: Path) -> None:
    template = CONFIG_MAP.format(name="{{ .Release.Name }}")
    (found,) = written(tmp_path, '"c"', c__Chart_yaml=CHART, c__templates__a_yaml=template)
    assert str(found.id) == "configmap/shop"


def test_a_command_s_output_is_read_as_manifests_beside_files_and_kustomize_folders(tmp_path: Path) -> None:
    printing = f"{{ command = ['{sys.executable}', '-c', 'print(open(\"c.txt\").read())'] }}"
    found = written(
        tmp_path, f'["a.yaml", "b", {printing}]',
        a_yaml=CONFIG_MAP.format(name="a"), b__kustomization_yaml="resources: [b.yaml]\nnamePrefix: my-\n",
        b__b_yaml=CONFIG_MAP.format(name="b"), **{"c.txt": CONFIG_MAP.format(name="c")},
    )  # fmt: skip
    assert [str(o.id) for o in found] == ["configmap/a", "configmap/my-b", "configmap/c"]
    with pytest.raises(UsageError, match=r"b.yaml: line 1: configmap/a is there twice, first in .*a.yaml: line 1"):
        written(tmp_path, '["a.yaml", "b.yaml"]', b_yaml=CONFIG_MAP.format(name="a"))


def test_a_command_that_cannot_be_run_or_fails_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"manifests: \./nowhere: cannot be run: No such file"):
        written(tmp_path, '{ command = ["./nowhere"] }')
    with pytest.raises(CommandFailed, match="exited with 3"):
        written(tmp_path, "{ command = ['sh', '-c', 'exit 3'] }")


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ('{ chart = "c" }', "line 3: manifests: c/Chart.yaml: no such file"),
        ('["a.yaml", "b.yaml"]', "line 3: manifests: b.yaml: no such file"),
        ("[]", "line 3: manifests: "),
        ("{ command = [] }", "line 3: manifests.0.command.command: "),
        ('{ chart = "c", value = "x" }', "line 3: manifests.0.chart.value: unknown key"),
        ('{ chart = "a.yaml", release = "Not-One" }', "release"),
    ],
)
def test_manifests_that_are_none_of_these_are_told_with_their_line(tmp_path: Path, value: str, told: str) -> None:
    with pytest.raises(UsageError) as raised:
        written(tmp_path, value, a_yaml=CONFIG_MAP.format(name="a"))
    assert told in str(raised.value)


def test_a_chart_whose_dependencies_are_not_there_says_how_to_get_them(tmp_path: Path) -> None:
    lacking = CHART + 'dependencies: [{name: db, version: "1", repository: "https://charts.invalid"}]\n'
    with pytest.raises(UsageError, match="hint: helm dependency build c"):
        written(tmp_path, '{ chart = "c" }', c__Chart_yaml=lacking, c__templates__a_yaml=CONFIG_MAP.format(name="a"))


def test_without_helm_a_chart_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))  # beside which programs are looked for
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DevenvError, match=r"helm: not found on PATH.*\nhint: install it"):
        written(tmp_path, '"c"', c__Chart_yaml=CHART)


def test_a_chart_of_a_kustomization_says_which_helm_it_takes(tmp_path: Path) -> None:
    chart = "helmGlobals: {chartHome: .}\nhelmCharts: [{name: c, releaseName: x}]\n"
    with pytest.raises(DevenvError, match="helmCharts: this kubectl's kustomize needs Helm 3"):
        written(tmp_path, '"k"', k__kustomization_yaml=chart, k__c__Chart_yaml=CHART)


def test_a_chart_that_does_not_render_tells_what_helm_says(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match="nil pointer"):
        written(tmp_path, '"c"', c__Chart_yaml=CHART, c__templates__a_yaml="{{ .Values.a.b }}")


def test_the_loop_follows_what_each_of_them_is_read_from(tmp_path: Path) -> None:
    written(
        tmp_path, '["a.yaml", { chart = "c", values = ["v.yaml"] }, { command = ["cat", "d/b.yaml"], reads = ["d"] }]',
        a_yaml=CONFIG_MAP.format(name="a"), d__b_yaml=CONFIG_MAP.format(name="b"), v_yaml="",
        c__Chart_yaml=CHART, c__templates__c_yaml=CONFIG_MAP.format(name="c"),
    )  # fmt: skip
    followed = manifests.followed(settings.load(tmp_path / "pyproject.toml", {}, {}))
    assert followed == {tmp_path / name for name in ("a.yaml", "c", "v.yaml", "d")}
