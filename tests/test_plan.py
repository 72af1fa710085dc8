"""The plan: what is left to do, in an order, each step with its cause. Compared as text."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from devenv.certificates.rules import Held, Seen
from devenv.cluster.state import Cluster
from devenv.errors import UsageError
from devenv.images.graph import File, Source
from devenv.kube import ahead, objects
from devenv.kube.objects import Document, Id, Object, find
from devenv.kube.readiness import Level, Readiness
from devenv.project import stack
from devenv.project.schema import Forward, Image, Project, Suite
from devenv.project.settings import Settings
from devenv.project.stack import Stack
from devenv.reconcile.actions import ApplyObjects, IssueCertificate, ReplaceObject, ReplacePods, Step
from devenv.reconcile.observed import Differences, Observed
from devenv.reconcile.plan import make_plan


def folder(name: str, dockerfile: str) -> Source:
    return Source(folder=Path(name), files=(File("Dockerfile", dockerfile.encode()),))


def runs(kind: str, name: str, image: str, **spec: Any) -> Document:
    template = {"spec": {"containers": [{"name": "c", "image": image}]}}
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}, "spec": {"template": template, **spec}}


SERVICE: Document = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "api"},
    "spec": {"selector": {"app": "api"}, "ports": [{"port": 80}]},
}
DOCUMENTS = [
    SERVICE,
    runs("Deployment", "api", "app"),
    runs("StatefulSet", "db", "docker.io/library/postgres:15"),
    runs("Job", "migrate", "app"),
]
OLD = objects.reference("v1", "ConfigMap", "old", "shop")
SOURCES = {
    "base": replace(folder("base", "FROM scratch\n"), pull="docker.io/library/debian:bookworm"),
    "devenv.node": folder("node", "FROM base\n"),
    "app": folder("app", "FROM base\n"),
    "db": replace(folder("db", "FROM base\n"), pull="docker.io/library/postgres:15"),
}


def wanted(
    documents: list[Document] = DOCUMENTS,
    env_text: str | None = None,
    env_file: Mapping[str, str] = MappingProxyType({}),
    inputs: Mapping[str, str] = MappingProxyType({}),
    sources: Mapping[str, Source] = MappingProxyType(SOURCES),
    **changes: Any,
) -> Stack:
    values: dict[str, Any] = {
        "name": "shop",
        "namespace": "shop",
        "manifests": Path("k8s"),
        "gates": ("job/migrate",),
        "images": {
            "app": Image(build=Path("app")),
            "db": Image(pull="docker.io/library/postgres:15", build=Path("db")),
        },
        "forwards": {"api": Forward(service="api", ports="8080:80")},
        "tests": {"all": Suite(run=["pytest"])},
        "env-file": Path(".env"),
    } | changes
    settings = Settings(root=Path("/p"), file=Path("/p/pyproject.toml"), project=Project.model_validate(values))
    home = settings.project.namespace
    return stack.make(settings, [Object.parse(d, home) for d in documents], sources, env_file, env_text, inputs)


def done(want: Stack) -> Observed:
    """Return what is there after a successful `up`."""
    return Observed(
        host_images=frozenset(image.ref for image in want.images.values()),
        cluster=Cluster.RUNNING,
        node_images=frozenset(want.ref(name) for name in want.wanted_images),
        sources={o.id: o.source for o in want.objects},
        readiness={o.id: Readiness(Level.READY, str(o.id)) for o in want.workloads},
        forwards_hash=want.forwards_hash,
    )


def named(want: Stack, name: str) -> Object:
    """Return the object that is named like deployment/api."""
    found = find(want.objects, name)
    assert found
    return found


def ident(name: str) -> Id:
    return named(wanted(), name).id


def guest(**changes: Any) -> Stack:
    """Return what is wanted on a cluster that exists."""
    return wanted(**{"context": "theirs", "registry": "registry.example:5000/team", **changes})


def names(steps: tuple[Step, ...]) -> list[str]:
    return [step.name for step in steps]


def test_a_bare_machine_needs_everything_in_the_order_of_needs() -> None:
    steps = make_plan(wanted(env_text="A=1\n"), Observed())
    order = names(steps)
    assert set(order) == {
        "env-file", "image base", "image devenv.node", "image app", "image db", "cluster", "load app", "load db",
        "objects",
        "run job/migrate", "ready job/migrate", "complete job/migrate", "apply deployment/api", "ready deployment/api",
        "apply statefulset/db", "ready statefulset/db", "forwards", "forwards open",
    }  # fmt: skip
    for step in steps:
        assert all(order.index(need) < order.index(step.name) for need in step.needs if need in order)


def test_nothing_but_the_last_word_waits_until_a_job_is_counted() -> None:
    steps = make_plan(wanted(), Observed())
    assert "ready job/migrate" in next(s for s in steps if s.name == "complete job/migrate").needs
    assert not [s.name for s in steps if "complete job/migrate" in s.needs]


def test_after_a_successful_up_the_plan_is_empty() -> None:
    assert make_plan(wanted(), done(wanted())) == ()


def test_on_a_cluster_that_exists_images_are_pushed_and_no_cluster_is_made() -> None:
    want, bare = guest(), Observed(cluster=Cluster.RUNNING)
    steps = {step.name: step for step in make_plan(want, bare)}
    assert set(steps) == {
        "image base", "image app", "image db", "push app", "push db", "objects",
        "run job/migrate", "ready job/migrate", "complete job/migrate", "apply deployment/api", "ready deployment/api",
        "apply statefulset/db", "ready statefulset/db", "forwards", "forwards open",
    }  # fmt: skip
    assert steps["push app"].cause.endswith(" is not in the registry")
    assert "push app" in steps["apply deployment/api"].needs
    assert make_plan(want, done(want)) == ()
    assert names(make_plan(want, replace(done(want), host_images=frozenset()))) == []


def test_on_a_cluster_that_exists_objects_name_the_registry_and_no_node_port_leads_to_them() -> None:
    here, there = wanted(), guest()
    content = here.images["app"].ref.rpartition(":")[2]
    assert named(there, "deployment/api").images == {f"registry.example:5000/team/app:{content}"}
    assert {str(o.id) for o in here.objects} - {str(o.id) for o in there.objects} == {"service/devenv-api"}
    assert [f.service for f in there.forwards] == ["api"]


def test_an_image_without_a_registry_is_refused_and_a_stack_without_images_needs_none() -> None:
    with pytest.raises(UsageError, match="nodes of context theirs pull from: pass --registry"):
        guest(registry=None)
    assert guest(registry=None, images={}, gates=()).wanted_images == ()


def test_what_is_somebody_else_s_is_told_and_their_namespace_is_used_as_it_is() -> None:
    want = guest()
    have = Observed(cluster=Cluster.RUNNING, foreign=frozenset({ident("namespace/shop"), ident("service/api")}))
    steps = {step.name: step for step in make_plan(want, have)}
    assert steps["objects"].cause == "service/api: exists and is not managed by devenv"


def test_two_environments_of_one_cluster_tell_their_objects_apart() -> None:
    one, two = (named(s, "service/api") for s in (guest(), guest(name="other")))
    assert [o.is_ours(n) for o, n in ((one, ""), (one, "shop"), (two, "shop"))] == [True, True, False]
    other = named(guest(namespace="other"), "service/api")
    assert other.is_ours("shop")
    assert not Object(one.id, {**one.raw, "metadata": other.meta}).is_ours("shop")
    selector = objects.selector("shop", "home")
    assert selector == "app.kubernetes.io/managed-by=devenv,devenv/name=shop,devenv/namespace=home"


def test_what_the_manifests_drop_goes_once_what_takes_its_place_is_ready() -> None:
    steps = {s.name: s for s in make_plan(wanted(), replace(Observed(), cluster=Cluster.RUNNING, orphans=(OLD,)))}
    ready = {name for name in steps if name.startswith("ready ")}
    assert ready == {"ready deployment/api", "ready statefulset/db", "ready job/migrate"}
    assert ready < set(steps["delete configmap/old"].needs)


CLAIM: Document = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"}, "spec": {}}
BARE_POD: Document = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "tool"},
    "spec": {"containers": [{"name": "c", "image": "app"}]},
}


def test_what_is_not_ready_by_being_there_is_waited_for_and_a_pod_is_made_anew() -> None:
    balanced = {**SERVICE, "metadata": {"name": "lb"}, "spec": {**SERVICE["spec"], "type": "LoadBalancer"}}
    want = wanted([*DOCUMENTS, CLAIM, BARE_POD, balanced])
    steps = {step.name: step for step in make_plan(want, Observed())}
    assert {"apply deployment/api", "apply statefulset/db", "forwards"} <= {
        *steps["ready persistentvolumeclaim/data"].needs
    }
    assert "forwards" in steps["ready service/lb"].needs
    assert {"load app", "ready job/migrate"} <= {*steps["run pod/tool"].needs}
    assert "run pod/tool" in steps["ready pod/tool"].needs
    order = list(steps)
    assert order.index("forwards") < order.index("ready service/lb")
    there = {**done(want).readiness, **{o.id: Readiness(Level.READY, "x") for o in want.awaited}}
    assert make_plan(want, replace(done(want), readiness=there)) == ()
    theirs = guest(documents=[*DOCUMENTS, balanced])
    assert not any(o.kind == "Service" for o in theirs.awaited)
    assert "ready service/lb" not in names(make_plan(theirs, Observed(cluster=Cluster.RUNNING)))
    (claim,) = (o for o in want.objects if o.kind == "PersistentVolumeClaim")
    unbound = {**there, claim.id: Readiness(Level.PENDING, "x", "is not bound")}
    assert [(s.name, s.cause) for s in make_plan(want, replace(done(want), readiness=unbound))] == [
        ("ready persistentvolumeclaim/data", "is not bound")
    ]


def test_what_is_being_deleted_is_applied_again_and_all_of_its_namespace() -> None:
    want = wanted()
    leaving = frozenset({ident("deployment/api")})
    assert names(make_plan(want, replace(done(want), leaving=leaving))) == [
        "apply deployment/api",
        "ready deployment/api",
    ]
    (home,) = (o.id for o in want.objects if o.kind == "Namespace")
    steps = make_plan(want, replace(done(want), leaving=frozenset({home})))
    assert {"objects", "apply deployment/api", "apply statefulset/db", "run job/migrate"} <= {*names(steps)}
    assert all(
        step.cause in ("was just applied", "is being deleted") or "is being deleted" in step.cause for step in steps
    )


def test_what_differs_although_its_source_is_the_same_is_applied_or_replaced() -> None:
    want = wanted([*DOCUMENTS, CLAIM])
    there = replace(done(want), readiness={o.id: Readiness(Level.READY, "x") for o in want.awaited})
    api, db, service = (named(want, n).id for n in ("deployment/api", "statefulset/db", "service/api"))
    (claim,) = (o.id for o in want.objects if o.kind == "PersistentVolumeClaim")
    drifted = Differences(drifted={api: "was changed by kubectl: spec.replicas"})
    assert [(s.name, s.cause) for s in make_plan(want, replace(there, differences=drifted))] == [
        ("apply deployment/api", "was changed by kubectl: spec.replicas"),
        ("ready deployment/api", "was just applied"),
    ]
    fixed = Differences(fixed=dict.fromkeys((db, service, claim), "field is immutable"))
    steps = {s.name: s for s in make_plan(want, replace(there, differences=fixed))}
    assert isinstance(steps["apply statefulset/db"].action, ReplaceObject)
    assert isinstance(steps["replace service/api"].action, ReplaceObject)
    assert "replace service/api" in steps["apply statefulset/db"].needs
    # What may hold data is never replaced: `up` refuses it before (preflight).
    assert steps["objects"].action == ApplyObjects((named(want, "persistentvolumeclaim/data"),))
    assert steps["objects"].cause == "persistentvolumeclaim/data: cannot be changed in place: field is immutable"


def test_a_job_stays_when_it_has_ended_for_it_tells_that_it_ran() -> None:
    want = wanted([*DOCUMENTS[:3], runs("Job", "migrate", "app", ttlSecondsAfterFinished=5, backoffLimit=1)])
    spec = named(want, "job/migrate").raw["spec"]
    assert (spec["backoffLimit"], "ttlSecondsAfterFinished" in spec) == (1, False)


def test_the_order_is_the_same_on_every_run() -> None:
    assert len({tuple(names(make_plan(wanted(), Observed()))) for _ in range(20)}) == 1


def test_a_workload_with_the_image_of_a_gate_waits_for_it_and_its_database_does_not() -> None:
    steps = {step.name: step for step in make_plan(wanted(), Observed())}
    assert "ready job/migrate" in steps["apply deployment/api"].needs
    assert "ready job/migrate" not in steps["apply statefulset/db"].needs
    assert "ready deployment/api" not in steps["run job/migrate"].needs


def test_a_gate_may_name_what_waits_for_it() -> None:
    steps = {s.name: s for s in make_plan(wanted(gates={"job/migrate": ("statefulset/db",)}), Observed())}
    assert "ready job/migrate" in steps["apply statefulset/db"].needs
    assert "ready job/migrate" not in steps["apply deployment/api"].needs


def test_a_gate_may_be_a_job_of_another_namespace() -> None:
    elsewhere = runs("Job", "migrate", "app")
    elsewhere["metadata"]["namespace"] = "other"
    want = wanted([*DOCUMENTS[:3], elsewhere], gates=("job/migrate@other",))
    steps = {s.name: s for s in make_plan(want, Observed())}
    assert "ready job/migrate@other" in steps["apply deployment/api"].needs


CHANGES: Mapping[str, tuple[Any, list[str]]] = {
    "a pod is not ready": (
        lambda have: replace(
            have, readiness={**have.readiness, ident("deployment/api"): Readiness(Level.PENDING, "deployment/api")}
        ),
        ["ready deployment/api"],
    ),
    "the migration failed": (
        lambda have: replace(
            have, readiness={**have.readiness, ident("job/migrate"): Readiness(Level.FAILED, "job/migrate")}
        ),
        ["run job/migrate", "ready job/migrate", "complete job/migrate"],
    ),
    "the forwards died": (lambda have: replace(have, forwards_hash=""), ["forwards", "forwards open"]),
    "a forward does not answer": (lambda have: replace(have, forwards_closed="api is HOLDING"), ["forwards open"]),
    "the node lost an image": (
        lambda have: replace(have, node_images=frozenset(r for r in have.node_images if "/db:" not in r)),
        ["load db"],
    ),
    "the host lost an image that the node has": (lambda have: replace(have, host_images=frozenset()), []),
    "an object was dropped from the manifests": (
        lambda have: replace(have, orphans=(OLD,)),
        ["delete configmap/old"],
    ),
    "the cluster is stopped": (
        lambda have: replace(have, cluster=Cluster.STOPPED),
        ["cluster"],
    ),
    "an object's source changed": (
        lambda have: replace(have, sources={**have.sources, ident("service/api"): "other"}),
        ["objects"],
    ),
}


@pytest.mark.parametrize("what", CHANGES)
def test_each_difference_gives_just_its_own_steps(what: str) -> None:
    change, expected = CHANGES[what]
    assert names(make_plan(wanted(), change(done(wanted())))) == expected


def test_an_image_is_pulled_where_its_registry_answers_and_built_with_its_bases_where_not() -> None:
    for debian, postgres in product((False, True), repeat=2):
        answers = {"docker.io/library/debian:bookworm": debian, "docker.io/library/postgres:15": postgres}
        steps = {s.name: s for s in make_plan(wanted(), Observed(registries=answers))}
        assert ("pulling" in steps["image base"].cause) is debian
        assert ("pulling" in steps["image db"].cause) is postgres
        assert steps["image db"].needs == (() if postgres else ("image base",))


def test_a_plan_says_that_the_folder_of_a_pulled_image_is_not_built() -> None:
    have = Observed(registries={"docker.io/library/postgres:15": True})
    cause = {s.name: s.cause for s in make_plan(wanted(), have)}["image db"]
    assert cause.endswith("pulling docker.io/library/postgres:15; its folder db is not built")


def test_an_image_that_only_a_cron_job_or_a_custom_resource_names_is_brought_to_the_node() -> None:
    pod = {"spec": {"containers": [{"name": "c", "image": "app"}]}}
    cron = {"apiVersion": "batch/v1", "kind": "CronJob", "spec": {"jobTemplate": {"spec": {"template": pod}}}}
    rollout = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "spec": {"template": pod}}
    for document in (cron, rollout):
        want = wanted([SERVICE, {**document, "metadata": {"name": "x"}}], gates=())
        assert want.wanted_images == ("app",)
        assert named(want, f"{str(document['kind']).lower()}/x").images == {want.ref("app")}
        assert "load app" in names(make_plan(want, Observed()))


def test_an_image_with_all_on_this_host_is_not_made_again() -> None:
    want = wanted()
    have = Observed(host_images=frozenset(i.ref for n, i in want.images.items() if n != "base"))
    assert not any(name.startswith("image ") for name in names(make_plan(want, have)))


def test_a_plan_prints_as_text_with_its_causes() -> None:
    have = replace(done(wanted()), forwards_hash="", orphans=(OLD,))
    assert [f"{s.name}: {s.cause}" for s in make_plan(wanted(), have)] == [
        "delete configmap/old: no longer in the manifests; devenv applied it for this environment",
        "forwards: no process serves them",
        "forwards open: were just started",
    ]


def test_another_namespace_is_another_place_for_the_forwards_to_lead_to() -> None:
    assert wanted(namespace="a").forwards_hash != wanted(namespace="b").forwards_hash


def test_a_changed_secret_rolls_out_what_reads_it() -> None:
    def make(password: str) -> Stack:
        reads = runs("Deployment", "api", "app")
        reads["spec"]["template"]["spec"]["containers"][0]["envFrom"] = [{"secretRef": {"name": "db"}}]
        return wanted([SERVICE, reads, DOCUMENTS[3]], secrets={"db": {"PASSWORD": password}})

    steps = make_plan(make("new"), done(make("old")))
    assert names(steps)[:2] == ["objects", "apply deployment/api"]


@pytest.mark.parametrize("need", [None, {"name": "app"}])
def test_a_secret_that_all_pods_start_without_is_left_out_where_the_env_file_lacks_its_setting(
    need: Document | None,
) -> None:
    """An env-file that was made before the setting was there stays good; it must not stop `up`."""
    app = runs("Deployment", "api", "app")
    reads = [{"secretRef": {"name": "app", "optional": True}}, *([{"secretRef": need}] if need else ())]
    app["spec"]["template"]["spec"]["containers"][0]["envFrom"] = reads
    documents, secrets = [SERVICE, app, DOCUMENTS[3]], {"app": {"DSN": "${env.PASSWORD:url}@${namespace}"}}

    def made(env_file: Mapping[str, str]) -> list[str]:
        found = wanted(documents, env_file=env_file, secrets=secrets)
        return [str(o.id) for o in found.objects if o.kind == "Secret"]

    assert made({"PASSWORD": "p"}) == ["secret/app"]
    if need:
        with pytest.raises(UsageError, match="PASSWORD is missing"):
            made({})
    else:
        assert made({}) == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"gates": ("job/none",)}, "job/none: no such object in k8s"),
        ({"gates": {"job/migrate": ("deployment/none",)}}, "deployment/none: no such object in k8s"),
        ({"gates": [{"job": "job/migrate", "before": ["deployment/none"]}]}, "deployment/none: no such object in k8s"),
        (
            {"images": {"db": Image(pull="postgres:15"), "old": Image(pull="docker.io/postgres:14")}, "gates": ()},
            "images: db and old are of one repository",
        ),
        ({"images": {}}, "gates: nothing waits for job/migrate, since no workload runs the same image"),
        ({"forwards": {"x": Forward(service="none", ports="1:1")}}, "forwards.x: no service/none in the manifests"),
        ({"forwards": {"x": Forward(service="api", ports="1:1")}}, "forwards.x: Service api has no port 1"),
        ({"secrets": {"s": {"A": "${env.NONE}"}}}, "NONE is missing"),
    ],
)
def test_what_the_manifests_and_the_table_do_not_agree_on_is_refused(change: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        wanted(**change)


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}}, "secrets: secret/s is in the manifests"),
        ({**SERVICE, "metadata": {"name": "devenv-api"}}, "forwards.api: devenv makes a service/devenv-api for it"),
    ],
)
def test_what_the_manifests_have_and_devenv_makes_too_is_refused(document: Document, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        wanted([*DOCUMENTS, document], secrets={"s": {"A": "1"}})
    elsewhere = {**document, "metadata": {**document["metadata"], "namespace": "other"}}
    assert wanted([*DOCUMENTS, elsewhere], secrets={"s": {"A": "1"}}).objects


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ({"selector": None}, "has no selector"),
        ({"type": "ExternalName", "externalName": "x.example"}, "has no selector"),
        ({"ports": [{"port": 80, "protocol": "UDP"}]}, "has port 80 for UDP; a forward carries TCP"),
        ({"ports": None}, "has no port 80"),
    ],
)
def test_a_service_that_leads_to_no_pod_over_tcp_is_no_forward(spec: dict[str, Any], told: str) -> None:
    service = {**SERVICE, "spec": {**SERVICE["spec"], **spec}}
    with pytest.raises(UsageError, match=told):
        wanted([service, *DOCUMENTS[1:]])


INGRESS: Document = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "Ingress",
    "metadata": {"name": "shop"},
    "spec": {"tls": [{"hosts": ["shop.internal"], "secretName": "shop-tls"}]},
}
TLS = {"host": "shop.internal", "ingress": "shop", "secret": "shop-tls"}


def secured(**changes: Any) -> Stack:
    return wanted([*DOCUMENTS, INGRESS], tls={**TLS, **changes})


def test_a_local_certificate_is_part_of_the_plan_after_the_objects_and_with_its_cause() -> None:
    step = next(s for s in make_plan(secured(), Observed()) if s.name == "certificate shop.internal")
    assert (step.cause, step.needs) == ("is not in the cluster", ("cluster", "objects"))
    now = datetime(2026, 1, 1, tzinfo=UTC)
    seen = Seen(now, None, Held("local", fault="is broken"))
    (only,) = make_plan(secured(), replace(done(secured()), certificate=seen))
    assert f"{only.name}: {only.cause}" == "certificate shop.internal: there is no authority yet"


def test_a_certificate_of_somebody_else_is_no_part_of_the_plan() -> None:
    want = secured(issuer="letsencrypt")
    assert not any(isinstance(s.action, IssueCertificate) for s in make_plan(want, Observed()))
    seen = Seen(datetime(2026, 1, 1, tzinfo=UTC), None, None)
    assert make_plan(want, replace(done(want), certificate=seen)) == ()
    own = replace(seen, held=Held("https://acme.example/dir", fault="is broken"))
    assert make_plan(secured(), replace(done(secured()), certificate=own)) == ()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"ingress": "other"}, "tls: no ingress/other in the manifests"),
        ({"namespace": "edge"}, "tls: no ingress/shop@edge in the manifests"),
        ({"secret": "other"}, "tls: ingress/shop does not serve shop.internal with secret other"),
        ({"host": "other.internal"}, "tls: ingress/shop does not serve other.internal with secret shop-tls"),
    ],
)
def test_a_certificate_that_the_ingress_does_not_name_is_refused(change: dict[str, str], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        secured(**change)


def test_pods_that_are_ahead_of_their_image_are_replaced_where_nothing_else_replaces_them() -> None:
    want = wanted()
    api = named(want, "deployment/api")
    meta = {"name": "api-1", "uid": "u", "annotations": {ahead.ANNOTATION: ahead.Ahead(2).text()}}
    pod = Object.parse({"apiVersion": "v1", "kind": "Pod", "metadata": meta}, "shop")
    seen = replace(done(want), ahead={api.id: (pod,)})
    steps = make_plan(want, seen)
    assert [(step.name, step.cause) for step in steps] == [
        ("pods of deployment/api", "2 files ahead of its image"),
        ("ready deployment/api", "its pods are replaced"),
    ]
    assert steps[0].action == ReplacePods((pod,))
    changed = replace(seen, sources={**seen.sources, api.id: "other"})
    assert names(make_plan(want, changed)) == ["apply deployment/api", "ready deployment/api"]


def test_a_custom_resource_with_pods_comes_after_its_images_and_another_does_not() -> None:
    pods = {"template": {"spec": {"containers": [{"name": "c", "image": "app"}]}}}
    rollout = {"apiVersion": "argoproj.io/v1", "kind": "Rollout", "metadata": {"name": "r"}, "spec": pods}
    plain = {**rollout, "kind": "Analysis", "spec": {}}
    steps = {s.name: s for s in make_plan(wanted([*DOCUMENTS, rollout, plain]), Observed())}
    assert "load app" in steps["apply rollout/r"].needs
    assert "apply rollout/r" in steps["ready rollout/r"].needs
    together = steps["objects"].action
    assert isinstance(together, ApplyObjects)
    assert {"Analysis", "Rollout"} & {o.kind for o in together.objects} == {"Analysis"}
