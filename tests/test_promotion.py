"""A promotion, decided: images by digest, what changes and when, and how an object becomes what it was."""

import re
from itertools import combinations
from pathlib import Path

import pytest
import yaml

from devenv.commands import promote
from devenv.errors import UsageError
from devenv.kube.objects import Document, Object
from devenv.project import settings as config
from devenv.project.schema import Environment
from devenv.reconcile import changes, promotion
from devenv.reconcile.actions import ApplyObjects, Step
from devenv.reconcile.changes import Change, Kind
from tests.rendering import CHECKOUT, IMAGES, reference
from tests.test_config import WHOLE, write

NAMES = ("somabrain", "postgres", "redis", "opa")


def test_an_environment_takes_its_images_and_spares_the_rest_of_a_release() -> None:
    release = [reference(name) for name in NAMES]
    for count in range(1, len(NAMES) + 1):
        for takes in combinations(NAMES, count):
            taken, ignored = changes.select_images(release, takes, NAMES)
            assert {changes.short_name(r) for r in taken} == set(takes)
            assert sorted(taken + ignored) == sorted(release)


@pytest.mark.parametrize(
    ("references", "said"),
    [
        ([], "no image given for: api, db"),
        ([reference("api")], "no image given for: db"),
        (
            [reference("api"), reference("db"), reference("dbx")],
            "no image here is named dbx; there are: api, db",
        ),
        ([reference("api"), reference("db"), reference("db")], "db was given already"),
        (["r.example/api:stable", reference("db")], "r.example/api:stable: an image is given as NAME@sha256:DIGEST"),
        ([reference("api")[:-1], reference("db")], "with 64 hexadecimal digits"),
        ([reference("api") + "0", reference("db")], "with 64 hexadecimal digits"),
        ([reference("api").replace("sha256", "md5"), reference("db")], "with 64 hexadecimal digits"),
    ],
)
def test_images_that_are_wrong_or_missing_are_all_told(references: list[str], said: str) -> None:
    with pytest.raises(UsageError, match=re.escape(said)):
        changes.select_images(references, ("api", "db"), ("api", "db", "spare"))


def deployment(
    image: str, replicas: int | None = 1, annotations: dict[str, str] | None = None, name: str = "api"
) -> Object:
    spec: Document = {"template": {"spec": {"containers": [{"name": "main", "image": image}]}}}
    if replicas is not None:
        spec["replicas"] = replicas
    meta = {"name": name, "annotations": annotations} if annotations else {"name": name}
    return Object.parse({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": spec}, "home")


def served(obj: Object) -> Object:
    """Return an object as an API server returns it."""
    meta = {**obj.meta, "uid": "1", "resourceVersion": "7", "generation": 3, "managedFields": [{"manager": "x"}]}
    annotations = {**meta.get("annotations", {}), "deployment.kubernetes.io/revision": "4"}
    raw = {**obj.raw, "metadata": {**meta, "annotations": annotations}, "status": {"readyReplicas": 1}}
    return Object(obj.id, raw)


def change(obj: Object, kind: Kind = Kind.changed, before: Object | None = None) -> Change:
    return Change(kind, obj, before, obj)


def test_what_the_server_writes_is_no_difference() -> None:
    here = deployment("a")
    seen = changes.compared(here, served(here), here)
    assert seen.kind is Kind.same
    assert changes.difference(seen) == ""
    assert changes.compared(here, served(here), here.claimed()).kind is Kind.changed  # labelled as ours
    claimed = here.claimed()
    del claimed.raw["metadata"]["labels"]
    assert changes.compared(here, served(here), claimed).kind is Kind.same


def test_a_difference_is_told_line_by_line() -> None:
    seen = changes.compared(deployment("b"), served(deployment("a")), deployment("b"))
    assert seen.kind is Kind.changed
    lines = changes.difference(seen).splitlines()
    assert lines[:2] == ["--- deployment/api (in the cluster)", "+++ deployment/api (promoted)"]
    assert [line for line in lines[2:] if line[0] in "+-"] == ["-      - image: a", "+      - image: b"]
    assert changes.difference(changes.compared(deployment("b"), None, deployment("b"))).startswith("--- /dev/null")


def secret(**data: str) -> Object:
    raw = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": data}
    return Object.parse(raw, "home")


def test_a_difference_of_secrets_tells_which_values_changed_and_none_of_them() -> None:
    old, new = (
        secret(kept="a2VwdA==", old="b2xk", turned="Zmlyc3Q="),
        secret(kept="a2VwdA==", new="bmV3", turned="c2Vjb25k"),
    )
    told = changes.difference(changes.compared(new, served(old), new))
    assert [line for line in told.splitlines()[2:] if line[0] in "+-"] == [
        "-  old: '***'", "-  turned: '*** (before)'", "+  new: '***'", "+  turned: '*** (after)'",
    ]  # fmt: skip
    whole = told + changes.difference(changes.compared(new, None, new))
    assert not any(value in whole for value in ("a2VwdA", "b2xk", "bmV3", "Zmlyc3Q", "c2Vjb25k"))


def test_secrets_that_are_optional_or_come_with_the_release_are_not_demanded() -> None:
    reads = [
        {"name": "needed"}, {"name": "brought"}, {"name": "spare", "optional": True},
    ]  # fmt: skip
    spec = {"containers": [{"name": "c", "image": "x", "envFrom": [{"secretRef": r} for r in reads]}]}
    raw = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "d"},
        "spec": {"template": {"spec": spec}},
    }
    brought = Object.parse({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "brought"}}, "home")
    assert [id_.name for id_ in changes.secrets([Object.parse(raw, "home"), brought])] == ["needed"]
    # Those of other namespaces are asked for there.
    elsewhere = Object.parse({**raw, "metadata": {"name": "d", "namespace": "other"}}, "home")
    found = {(id_.namespace, id_.name) for id_ in changes.secrets([elsewhere, brought])}
    assert found == {("other", "needed"), ("other", "brought")}


@pytest.mark.parametrize(
    ("kind", "name", "spec", "namespace", "demanded"),
    [
        ("Cluster", "postgres", {}, "home", False),  # CloudNativePG
        ("Cluster", "postgres", {}, "other", True),
        ("Cluster", "postgre", {}, "home", True),
        ("ExternalSecret", "postgres-app", {}, "home", False),
        ("ExternalSecret", "x", {"target": {"name": "postgres-app"}}, "home", False),
        ("Certificate", "x", {"secretName": "postgres-app"}, "home", False),
        ("Certificate", "x", {"names": [{"of": ["postgres"]}]}, "home", True),
    ],
)
def test_a_secret_that_an_operator_makes_of_the_release_is_not_demanded(
    kind: str, name: str, spec: Document, namespace: str, demanded: bool
) -> None:
    reader = deployment("a")
    (container,) = reader.raw["spec"]["template"]["spec"]["containers"]
    container["envFrom"] = [{"secretRef": {"name": "postgres-app"}}]
    meta = {"name": name, "namespace": namespace}
    custom = Object.parse({"apiVersion": "x.example/v1", "kind": kind, "metadata": meta, "spec": spec}, "home")
    assert bool(changes.secrets([reader, custom])) is demanded
    builtin = Object.parse({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "postgres"}}, "home")
    assert changes.secrets([reader, builtin])


def test_an_object_goes_back_to_what_it_was_and_keeps_what_an_autoscaler_said() -> None:
    old = served(deployment("a", 5, {"kept": "yes"}))
    named = promotion.former(Change(Kind.changed, deployment("b", replicas=1), old))
    assert named.raw["spec"] == old.raw["spec"]
    assert named.meta == {"name": "api", "annotations": {"kept": "yes"}}
    assert "status" not in named.raw
    scaled = promotion.former(Change(Kind.changed, deployment("b", replicas=None), old))
    assert scaled.raw["spec"] == {"template": old.raw["spec"]["template"]}
    assert old.raw["spec"]["replicas"] == 5


def test_replicas_that_the_former_release_named_come_back_though_the_new_one_leaves_them_to_another() -> None:
    """Given up by the release they are one, by the API server's default."""
    old, wanted = served(deployment("a", 5)), deployment("b", replicas=None)
    spec: Document = {"f:spec": {"f:replicas": {}, "f:template": {}}}
    for manager, operation, subresource, kept in (
        ("devenv", "Apply", "", True),
        ("devenv", "Update", "", False),
        ("kube-controller-manager", "Update", "scale", False),
    ):
        entry = {"manager": manager, "operation": operation, "subresource": subresource, "fieldsV1": spec}
        ours = {"manager": "devenv", "operation": "Apply", "fieldsV1": {"f:spec": {"f:template": {}}}}
        before = Object(old.id, {**old.raw, "metadata": {**old.meta, "managedFields": [ours, entry]}})
        back = promotion.former(Change(Kind.changed, wanted, before)).raw["spec"]
        assert back == (old.raw["spec"] if kept else {"template": old.raw["spec"]["template"]}), manager


def job(name: str = "migrate") -> Object:
    spec = {"containers": [{"name": "m", "image": "api", "envFrom": [{"configMapRef": {"name": "read"}}]}]}
    raw = {"kind": "Job", "metadata": {"name": name}, "spec": {"template": {"spec": spec}}}
    return Object.parse(raw, "home")


def config_map(name: str) -> Object:
    return Object.parse({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}, "home")


PARTS = [deployment("api"), deployment("db", name="db"), config_map("read"), config_map("unread")]


def test_before_a_migration_only_comes_what_it_needs() -> None:
    def before(kind: Kind) -> list[str]:
        seen = [change(o, kind, None if kind is Kind.new else o) for o in PARTS]
        return [c.name for c in promotion.before_jobs(seen, [job()])]

    assert before(Kind.changed) == ["configmap/read"]
    assert before(Kind.new) == ["deployment/db", "configmap/read", "configmap/unread"]
    assert before(Kind.same) == []


def test_what_a_release_drops_is_left_and_named_or_goes_at_the_end() -> None:
    same = [*(change(o, Kind.same, o) for o in PARTS), change(job("check"), Kind.runs)]
    for kind, last, said in (
        (Kind.dropped, "complete job/check", "deployment/gone: no longer rendered, and left; --prune removes it"),
        (Kind.pruned, "delete deployment/gone", "deployment/gone: no longer rendered, and removed"),
    ):
        gone = deployment("old", name="gone")
        whole = changes.jobs_due([*same, change(gone, kind, gone)], ["job/check"])
        assert promotion.make_plan(whole, ["job/check"], 60)[-1].name == last
        assert said in changes.summary(whole).splitlines()
        assert changes.does(whole, ["job/check"]) is (kind is Kind.pruned)
        assert not changes.turns(whole, ["job/check"])


def planned(kind: Kind) -> list[Step]:
    jobs = [change(job(name), Kind.runs) for name in ("migrate", "check")]
    seen = [change(o, kind, None if kind is Kind.new else o) for o in PARTS]
    return [*promotion.make_plan([*seen, *jobs], ["job/check"], 60)]


def test_a_promotion_migrates_rolls_out_and_checks_one_step_after_the_other() -> None:
    steps = planned(Kind.changed)
    assert [s.name for s in steps] == [
        "apply configmap/read", "run job/migrate", "ready job/migrate",
        "apply deployment/api", "apply deployment/db", "apply configmap/unread",
        "ready deployment/api", "ready deployment/db", "check job/check", "ready job/check",
        "complete job/migrate", "complete job/check",
    ]  # fmt: skip
    assert [s.needs for s in steps] == [(), *((s.name,) for s in steps[:-1])]
    jobs = [change(job("check"), Kind.runs), change(job("migrate"), Kind.same)]
    again = promotion.make_plan([*(change(o, Kind.same, o) for o in PARTS), *jobs], ["job/check"], 60)
    assert [s.name for s in again] == [
        "ready deployment/api", "ready deployment/db", "check job/check", "ready job/check", "complete job/check",
    ]  # fmt: skip


def test_a_check_may_be_a_job_of_another_namespace_and_is_not_run_before_the_rollout() -> None:
    elsewhere = Object.parse({**job("check").raw, "metadata": {"name": "check", "namespace": "other"}}, "home")
    seen = [change(deployment("api"), Kind.changed, deployment("api")), change(elsewhere, Kind.runs)]
    checks = ["job/check@other"]
    assert [s.name for s in promotion.make_plan(changes.jobs_due(seen, checks), checks, 60)] == [
        "apply deployment/api", "ready deployment/api", "check job/check@other", "ready job/check@other",
        "complete job/check@other",
    ]  # fmt: skip
    table = Environment(render=["x"], images=("api",), namespace="home", checks=("job/check@other",))
    assert table.checks == (str(elsewhere.id),)


def ran(obj: Object, *conditions: str) -> Object:
    """Return a Job as the API server has it after a run."""
    status = {"conditions": [{"type": c, "status": "True"} for c in conditions]}
    return Object(obj.id, {**obj.raw, "metadata": {**obj.meta, "uid": "1"}, "status": status})


def test_a_job_runs_unless_it_has_run_to_its_end_just_as_it_is_wanted() -> None:
    wanted = job().claimed()
    other = Object(wanted.id, {**job().raw, "spec": {}}).claimed()
    for before, kind in {
        None: Kind.runs,
        ran(wanted): Kind.runs,  # cut off, or under way
        ran(wanted, "Failed"): Kind.runs,
        ran(other, "Complete"): Kind.runs,
        ran(wanted, "Complete"): Kind.same,
    }.items():
        assert changes.job(wanted, before).kind is kind


def test_a_job_that_runs_still_comes_to_its_end_before_anything_is_changed() -> None:
    wanted, read = job().claimed(), change(config_map("read"), Kind.changed, config_map("read"))
    for before, waits in {
        None: False,
        ran(wanted): True,
        ran(wanted, "Failed"): False,
        ran(wanted, "Complete"): False,
    }.items():
        steps = promotion.make_plan([read, change(wanted, Kind.runs, before)], (), 60)
        assert (steps[0].name == "end job/migrate") is waits
        assert [s.name for s in steps if s.name.startswith("end ")] == (["end job/migrate"] if waits else [])


@pytest.mark.parametrize("migrate", [Kind.runs, Kind.same])
@pytest.mark.parametrize("api", [Kind.new, Kind.changed, Kind.same])
def test_all_jobs_run_where_anything_is_applied_or_runs_and_the_checks_always(api: Kind, migrate: Kind) -> None:
    seen = [
        change(deployment("api"), api),
        *(change(job(name), kind) for name, kind in (("migrate", migrate), ("seed", Kind.same), ("check", Kind.same))),
    ]
    due = {c.name: c.kind for c in changes.jobs_due(seen, ["job/check"])}
    turns = Kind.same if api is Kind.same and migrate is Kind.same else Kind.runs
    assert due == {"deployment/api": api, "job/migrate": turns, "job/seed": turns, "job/check": Kind.runs}
    assert changes.does(changes.jobs_due(seen, ["job/check"]), ["job/check"]) is (turns is Kind.runs)


def test_a_step_that_changes_an_object_has_what_brings_it_back_and_a_new_object_stays() -> None:
    back = {s.name: s.undo for s in planned(Kind.changed) if s.undo}
    assert back == {f"apply {o.id}": ApplyObjects((promotion.former(change(o, before=o)),)) for o in PARTS}
    assert not any(s.undo for s in planned(Kind.new))


def test_what_may_not_be_changed_must_be_as_it_was_applied() -> None:
    wanted = deployment("a").claimed()
    assert changes.is_as_applied(Change(Kind.left, wanted, served(wanted)))
    assert not changes.is_as_applied(Change(Kind.left, wanted, served(deployment("a"))))
    assert not changes.is_as_applied(Change(Kind.left, deployment("b").claimed(), served(wanted)))


@pytest.mark.parametrize("environment", ["staging", "prod"])
def test_the_project_s_environments_render_with_a_release(environment: str) -> None:
    here = config.load(CHECKOUT / "pyproject.toml", {}, {})
    objects, ignored = promote.render(here, environment, IMAGES["staging"])
    images = {image for obj in objects for image in obj.images}
    assert images == set(IMAGES[environment])
    assert sorted(ignored) == sorted(set(IMAGES["staging"]) - images)
    assert "somabrain-secrets" in {id_.name for id_ in changes.secrets(objects)}
    assert "job/somabrain-health-check" in {str(o.id) for o in objects}


def rendered_by(tmp_path: Path, script: str, table: str = "") -> tuple[list[Object], list[str]]:
    here = f'{WHOLE}\n[tool.devenv.environments.staging]\nnamespace = "staging"\nimages = ["api"]\n{table}\n'
    file = write(tmp_path, f'{here}render = ["bash", "-c", {yaml.safe_dump(script, default_style=chr(34))}]\n')
    return promote.render(config.load(file, {}, {}), "staging", [reference("api")])


@pytest.mark.parametrize(
    ("script", "table", "said"),
    [
        ("echo no way >&2; exit 2", "", "environment staging cannot be rendered: no way"),
        ("echo '{: '", "", "not valid YAML"),
        ("printf '%s' \"$POD\"", "", "images that are not named by a digest: api:1"),
        ("printf '%s' \"${POD/api:1/$0}\"", 'checks = ["job/check"]', "checks: job/check: no such object"),
        ("true", "", "has no objects"),
        ("printf '%s' \"${POD/api:1/${0/api@/db@}}\"", "", "does not run the images that it was given: "),
        ("printf '%s' \"${POD/api:1/x@sha256:1}\"", "", "images that are not named by a digest: x@sha256:1"),
        ("true", 'registry = "other.example/team"', "images of this environment come from other.example/team"),
        ("echo plain text", "", "an object without apiVersion, kind or metadata.name"),
    ],
)
def test_a_rendering_that_is_no_environment_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, table: str, said: str
) -> None:
    monkeypatch.setenv("POD", yaml.safe_dump(deployment("api:1").raw))
    with pytest.raises(UsageError, match=re.escape(said)):
        rendered_by(tmp_path, script, table)


def test_a_release_is_known_by_a_name_that_a_label_can_have_and_no_up_has() -> None:
    here = config.load(CHECKOUT / "pyproject.toml", {}, {})
    names = {name: promote.label(here, name) for name in ("staging", "x" * 40, "x" * 39 + "y")}
    assert names["staging"] == "somabrain.staging"
    long = config.load(CHECKOUT / "pyproject.toml", {"DEVENV_NAME": "n" * 40}, {})
    labels = {promote.label(long, name) for name in names}
    assert len(labels) == 3
    assert all(re.fullmatch(r"[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?", label) for label in labels)


def test_an_unknown_environment_is_refused_with_those_that_there_are() -> None:
    here = config.load(CHECKOUT / "pyproject.toml", {}, {})
    with pytest.raises(UsageError, match=r"no environment production in .*; there are: prod, staging"):
        here.environment("production")
