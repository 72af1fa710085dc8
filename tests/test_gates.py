"""When a gate runs again: the table's entries, and the plan over all that may have changed since it ran."""

import json
from collections.abc import Mapping
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from devenv.errors import UsageError
from devenv.images.graph import Source
from devenv.kube.objects import Document
from devenv.kube.readiness import Level, Readiness
from devenv.project import settings, sources
from devenv.project.schema import Gate
from devenv.project.stack import Stack
from devenv.reconcile import changes, watched
from devenv.reconcile.observed import Observed
from devenv.reconcile.plan import make_plan
from devenv.reconcile.ways import Kind, way_of
from tests.test_plan import SERVICE, SOURCES, done, folder, named, names, runs, wanted

OTHER_IMAGE: Mapping[str, Source] = {**SOURCES, "app": folder("app", "FROM base\nRUN other\n")}
RUN, READY = "run job/migrate", "ready job/migrate"


def config(value: str) -> Document:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": value}}


def shop(files: str = "1", other_image: bool = False, command: str = "x", value: str = "1", tag: str = "app") -> Stack:
    """Return a stack whose migration has inputs with this digest; an empty one is none."""
    reads = {"name": "c", "image": tag, "command": [command], "envFrom": [{"configMapRef": {"name": "c"}}]}
    job = runs("Job", "migrate", "app", backoffLimit=2)
    job["spec"]["template"]["spec"]["containers"] = [reads]
    documents = [SERVICE, config(value), runs("Deployment", "api", "app"), runs("StatefulSet", "db", "db"), job]
    gates = [{"job": "job/migrate", **({"inputs": ["sql/**"]} if files else {})}]
    inputs = {"job/migrate": files} if files else {}
    return wanted(documents, gates=gates, inputs=inputs, sources=OTHER_IMAGE if other_image else SOURCES)


def ran(want: Stack, level: Level | None = Level.READY) -> Observed:
    """Return what is there after an `up` of this stack, with what has become of the migration since."""
    have, job = done(want), named(want, "job/migrate").id
    living = {o.id: o for o in want.objects}
    if level is None:
        gone = {id_: o for id_, o in living.items() if id_ != job}
        sources = {id_: o.source for id_, o in gone.items()}
        readiness = {**have.readiness, job: Readiness(Level.ABSENT, "")}
        return replace(have, living=gone, sources=sources, readiness=readiness)
    return replace(have, living=living, readiness={**have.readiness, job: Readiness(level, "job/migrate", "why")})


def cause(want: Stack, have: Observed) -> str:
    return next((step.cause for step in make_plan(want, have) if step.name == RUN), "")


SAID = "its source changed"
DECIDES: Mapping[str, Any] = {"files": "2", "command": "y", "value": "2", "tag": "app:2"}


@pytest.mark.parametrize("key", DECIDES)
@pytest.mark.parametrize("level", Level)
def test_what_decides_has_a_gate_run_again_whatever_became_of_it(key: str, level: Level) -> None:
    for other_image in (True, False):
        want = shop(other_image=other_image, **{key: DECIDES[key]})
        assert cause(want, ran(shop(), level)) == ("its inputs changed" if key == "files" else SAID)


@pytest.mark.parametrize("level", Level)
def test_a_new_image_alone_has_only_a_gate_run_again_that_has_come_to_no_verdict(level: Level) -> None:
    """Of one that runs still, the old image may be why it comes to none."""
    expected = {Level.READY: "", Level.FAILED: "failed last time"}.get(level, SAID)
    assert cause(shop(other_image=True), ran(shop(), level)) == expected
    assert cause(shop(), ran(shop(), level)) == ("failed last time" if level is Level.FAILED else "")


def test_a_gate_that_keeps_its_verdict_is_waited_for_by_nobody_and_the_rest_is_rolled_out() -> None:
    want, have = shop(other_image=True), ran(shop())
    order = names(make_plan(want, have))
    assert set(order) == {"image app", "load app", "apply deployment/api", "ready deployment/api"}
    after = replace(ran(want), living={**ran(want).living, **{o.id: o for o in shop().objects if o.kind == "Job"}})
    after = replace(after, sources={id_: o.source for id_, o in after.living.items()})
    assert make_plan(want, after) == (), "the next plan is empty too"


def test_one_that_is_gone_or_leaves_runs_whatever_its_inputs_are() -> None:
    assert cause(shop(), ran(shop(), None)) == "is not in the cluster"
    leaving = replace(ran(shop()), leaving=frozenset({named(shop(), "job/migrate").id}))
    assert cause(shop(), leaving)


def test_a_gate_that_has_had_no_inputs_or_has_none_any_more_runs_once_and_then_as_ever() -> None:
    for before, after in (("", "1"), ("1", "")):
        assert cause(shop(after), ran(shop(before))) == SAID
    assert cause(shop("", other_image=True), ran(shop(""))) == SAID
    assert cause(shop(""), ran(shop(""))) == ""


def test_the_job_itself_tells_what_it_ran_with_and_its_pods_do_not() -> None:
    plain, job = named(shop(""), "job/migrate"), named(shop("f"), "job/migrate")
    assert job.inputs == "f"
    assert plain.inputs == ""
    assert job.raw["spec"] == plain.raw["spec"], "an annotation that changes must not be in what cannot be changed"
    assert not any(o.inputs for o in shop("f").objects if o.kind != "Job")


def test_a_job_stays_whatever_its_ttl_says() -> None:
    """One that went would run again, whatever its inputs."""
    job = runs("Job", "migrate", "app", ttlSecondsAfterFinished=5)
    want = wanted([SERVICE, runs("Deployment", "api", "app"), job], inputs={"job/migrate": "f"})
    assert "ttlSecondsAfterFinished" not in named(want, "job/migrate").raw["spec"]


def test_a_promotion_runs_a_job_as_ever_for_it_has_no_files() -> None:
    want, there = named(shop(other_image=True), "job/migrate"), named(shop(), "job/migrate")
    raw = {**there.raw, "status": {"conditions": [{"type": "Complete", "status": "True"}]}}
    before = type(there)(there.id, raw)
    assert changes.job(want, before).kind is changes.Kind.runs


WRITTEN = {
    'gates = ["job/m"]': {"job/m": Gate()},
    'gates = { "job/m" = ["deployment/api"] }': {"job/m": Gate(before=("deployment/api",))},
    'gates = ["job/a", { job = "job/b", inputs = ["f"] }]': {"job/a": Gate(), "job/b": Gate(inputs=("f",))},
    'gates = { "job/m" = { inputs = ["f"], before = ["deployment/api"] } }': {
        "job/m": Gate(before=("deployment/api",), inputs=("f",))
    },
    '[[tool.devenv.gates]]\njob = "job/m"\ninputs = ["f"]': {"job/m": Gate(inputs=("f",))},
}
FAULTS = {
    'gates = ["job/m", { job = "job/m", inputs = ["f"] }]': "has to list each gate once",
    'gates = [{ inputs = ["f"] }]': "has to list each gate once",
    'gates = [{ job = "deployment/api", inputs = ["f"] }]': "deployment/api is none",
    'gates = [{ job = "job/m", inputs = ["/etc/passwd"] }]': "no paths from the folder of the table",
    'gates = [{ job = "job/m", inputs = [""] }]': "no paths from the folder of the table",
    'gates = [{ job = "job/m", input = ["f"] }]': "unknown key",
    'gates = [{ job = "job/m", inputs = "f" }]': "gates.job/m.inputs",
    'gates = [{ job = "cronjob/m" }]': "gates",
    'gates = [{ job = "job/m", inputs = ["g"] }]': "g: no such file",
}


def loaded(folder: Path, text: str) -> Mapping[str, Gate]:
    (folder / "k8s").mkdir()
    (folder / "f").touch()
    file = folder / "pyproject.toml"
    file.write_text(f'[tool.devenv]\nname = "shop"\nmanifests = "k8s"\n{text}\n')
    return settings.load(file, {}, {}).project.gates


@pytest.mark.parametrize(("text", "gates"), WRITTEN.items())
def test_gates_are_listed_or_named_with_what_is_known_of_them(
    tmp_path: Path, text: str, gates: Mapping[str, Gate]
) -> None:
    assert loaded(tmp_path, text) == gates


@pytest.mark.parametrize(("text", "told"), FAULTS.items())
def test_a_gate_that_is_written_wrong_is_told(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(UsageError) as error:
        loaded(tmp_path, text)
    assert told in str(error.value)


def test_which_gates_have_run_is_decided_of_each_for_itself() -> None:
    """Over all pairs: one gate's inputs are no other's."""
    documents = [SERVICE, runs("Deployment", "api", "app"), runs("Job", "a", "app"), runs("Job", "b", "app")]
    gates = [{"job": f"job/{name}", "inputs": ["f"]} for name in "ab"]

    def two(a: str, b: str) -> Stack:
        return wanted(documents, gates=gates, inputs={"job/a": a, "job/b": b})

    have = replace(done(two("1", "1")), living={o.id: o for o in two("1", "1").objects})
    for a, b in product("12", repeat=2):
        again = {name for name in names(make_plan(two(a, b), have)) if name.startswith("run ")}
        assert again == {f"run job/{name}" for name, now in (("a", a), ("b", b)) if now == "2"}


def test_a_changed_input_of_a_gate_is_followed_and_takes_the_way_of_a_build(tmp_path: Path) -> None:
    (tmp_path / "sql").mkdir()
    (tmp_path / "sql/1.sql").touch()
    (tmp_path / "app/src").mkdir(parents=True)
    (tmp_path / "app/Dockerfile").write_text("FROM scratch\n")
    (tmp_path / "app/src/schema.py").touch()
    text = """images = { app = { build = "app", sync = [{ from = "src", to = "/code/src" }] } }
gates = [{ job = "job/migrate", inputs = ["f", "sql/**", "app/src/schema*.py"] }]
"""
    loaded(tmp_path, text)
    documents = (runs("Job", "migrate", "app"), runs("Deployment", "api", "app"))
    manifest = "".join(f"---\n{json.dumps(document)}\n" for document in documents)
    (tmp_path / "k8s/all.yaml").write_text(manifest)
    desired = sources.load(settings.load(tmp_path / "pyproject.toml", {}, {}))
    of = watched.watched(desired)
    root = tmp_path.resolve()
    names = ("sql/1.sql", "sql/2.sql", "app/src/schema.py", "app/src/schema2.py", "app/src/api.py", "f", "g")
    ways = {name: way_of(root / name, of).kind for name in names}
    built = {name for name, kind in ways.items() if kind is Kind.BUILD}
    assert built == {"sql/1.sql", "sql/2.sql", "app/src/schema.py", "app/src/schema2.py", "f"}
    assert ways["app/src/api.py"] is Kind.SYNC
    assert {root / "sql", root / "f"} <= {*watched.paths(of)}
    (folder,) = (folder for folder in of.folders if folder.name == "app")
    assert watched.Files(of, folder).now().keys() == {"src/schema.py"}, "what is sent still is all that a container has"
