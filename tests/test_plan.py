"""The plan: what is left to do, in an order, each step with its cause. Compared as text."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from devenv import manifest, stack
from devenv.acts import IssueCertificate, Step
from devenv.config import Settings
from devenv.errors import UsageError
from devenv.graph import File, Source
from devenv.manifest import Document
from devenv.plan import Cluster, Observed, make_plan
from devenv.readiness import Level, Readiness
from devenv.stack import Stack
from devenv.table import Forward, Image, Project, Suite
from devenv.tls import Held, Seen


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
SOURCES = {
    "base": replace(folder("base", "FROM scratch\n"), pull="docker.io/library/debian:bookworm"),
    "node": folder("node", "FROM base\n"),
    "app": folder("app", "FROM base\n"),
    "db": replace(folder("db", "FROM base\n"), pull="docker.io/library/postgres:15"),
}


def wanted(documents: list[Document] = DOCUMENTS, env_text: str | None = None, **changes: Any) -> Stack:
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
    return stack.make(settings, documents, SOURCES, {}, env_text)


def done(want: Stack) -> Observed:
    """Return what is there after a successful `up`."""
    return Observed(
        host_images=frozenset(image.ref for image in want.images.values()),
        cluster=Cluster.RUNNING,
        node_images=frozenset(want.ref(name) for name in want.wanted_images),
        sources={manifest.key(o): manifest.source(o) for o in want.objects},
        readiness={
            k: Readiness(Level.READY, k) for o in want.objects if o["kind"] in manifest.RUNS for k in [manifest.key(o)]
        },
        forwards_hash=want.forwards_hash,
    )


def guest(**changes: Any) -> Stack:
    """Return what is wanted on a cluster that exists."""
    return wanted(**{"context": "theirs", "registry": "registry.example:5000/team", **changes})


def names(steps: tuple[Step, ...]) -> list[str]:
    return [step.name for step in steps]


def test_a_bare_machine_needs_everything_in_the_order_of_needs() -> None:
    steps = make_plan(wanted(env_text="A=1\n"), Observed())
    order = names(steps)
    assert set(order) == {
        "env-file", "image base", "image node", "image app", "image db", "cluster", "load app", "load db", "objects",
        "run job/migrate", "ready job/migrate", "apply deployment/api", "ready deployment/api",
        "apply statefulset/db", "ready statefulset/db", "forwards", "forwards open",
    }  # fmt: skip
    for step in steps:
        assert all(order.index(need) < order.index(step.name) for need in step.needs if need in order)


def test_after_a_successful_up_the_plan_is_empty() -> None:
    assert make_plan(wanted(), done(wanted())) == ()


def test_on_a_cluster_that_exists_images_are_pushed_and_no_cluster_is_made() -> None:
    want, bare = guest(), Observed(cluster=Cluster.RUNNING)
    steps = {step.name: step for step in make_plan(want, bare)}
    assert set(steps) == {
        "image base", "image app", "image db", "push app", "push db", "objects",
        "run job/migrate", "ready job/migrate", "apply deployment/api", "ready deployment/api",
        "apply statefulset/db", "ready statefulset/db", "forwards", "forwards open",
    }  # fmt: skip
    assert steps["push app"].cause.endswith(" is not in the registry")
    assert "push app" in steps["apply deployment/api"].needs
    assert make_plan(want, done(want)) == ()
    assert names(make_plan(want, replace(done(want), host_images=frozenset()))) == []


def test_on_a_cluster_that_exists_objects_name_the_registry_and_no_node_port_leads_to_them() -> None:
    here, there = wanted(), guest()
    content = here.images["app"].ref.rpartition(":")[2]
    assert manifest.images(there.object("deployment/api")) == {f"registry.example:5000/team/app:{content}"}
    assert {manifest.key(o) for o in here.objects} - {manifest.key(o) for o in there.objects} == {"service/devenv-api"}
    assert [f.service for f in there.forwards] == ["api"]


def test_an_image_without_a_registry_is_refused_and_a_stack_without_images_needs_none() -> None:
    with pytest.raises(UsageError, match="nodes of context theirs pull it: say --registry"):
        guest(registry=None)
    assert guest(registry=None, images={}, gates=()).wanted_images == ()


def test_what_is_somebody_else_s_is_told_and_their_namespace_is_used_as_it_is() -> None:
    want = guest()
    have = Observed(cluster=Cluster.RUNNING, foreign=frozenset({"namespace/shop", "service/api"}))
    steps = {step.name: step for step in make_plan(want, have)}
    assert steps["objects"].cause == "service/api: is somebody else's"


def test_two_environments_of_one_cluster_tell_their_objects_apart() -> None:
    one, two = (s.object("service/api") for s in (guest(), guest(name="other")))
    assert [manifest.is_ours(o, n) for o, n in ((one, ""), (one, "shop"), (two, "shop"))] == [True, True, False]
    assert manifest.selector("shop") == "app.kubernetes.io/managed-by=devenv,devenv/name=shop"


def test_the_order_is_the_same_on_every_run() -> None:
    assert len({tuple(names(make_plan(wanted(), Observed()))) for _ in range(20)}) == 1


def test_a_workload_with_the_image_of_a_gate_waits_for_it_and_its_database_does_not() -> None:
    steps = {step.name: step for step in make_plan(wanted(), Observed())}
    assert "ready job/migrate" in steps["apply deployment/api"].needs
    assert "ready job/migrate" not in steps["apply statefulset/db"].needs
    assert "ready deployment/api" not in steps["run job/migrate"].needs


CHANGES: Mapping[str, tuple[Any, list[str]]] = {
    "a pod is not ready": (
        lambda have: replace(
            have, readiness={**have.readiness, "deployment/api": Readiness(Level.PENDING, "deployment/api")}
        ),
        ["ready deployment/api"],
    ),
    "the migration failed": (
        lambda have: replace(have, readiness={**have.readiness, "job/migrate": Readiness(Level.FAILED, "job/migrate")}),
        ["run job/migrate", "ready job/migrate"],
    ),
    "the forwards died": (lambda have: replace(have, forwards_hash=""), ["forwards", "forwards open"]),
    "a forward does not answer": (lambda have: replace(have, forwards_closed="api is HOLDING"), ["forwards open"]),
    "the node lost an image": (
        lambda have: replace(have, node_images=frozenset(r for r in have.node_images if "/db:" not in r)),
        ["load db"],
    ),
    "the host lost an image that the node has": (lambda have: replace(have, host_images=frozenset()), []),
    "an object was dropped from the manifests": (
        lambda have: replace(have, strays=("configmap/old",)),
        ["delete configmap/old"],
    ),
    "the cluster is stopped": (
        lambda have: replace(have, cluster=Cluster.STOPPED),
        ["cluster"],
    ),
    "an object's source changed": (
        lambda have: replace(have, sources={**have.sources, "service/api": "other"}),
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
        assert ("pulled from" in steps["image base"].cause) is debian
        assert ("pulled from" in steps["image db"].cause) is postgres
        assert steps["image db"].needs == (() if postgres else ("image base",))


def test_an_image_with_all_on_this_host_is_not_made_again() -> None:
    want = wanted()
    have = Observed(host_images=frozenset(i.ref for n, i in want.images.items() if n != "base"))
    assert not any(name.startswith("image ") for name in names(make_plan(want, have)))


def test_a_plan_prints_as_text_with_its_causes() -> None:
    have = replace(done(wanted()), forwards_hash="", strays=("configmap/old",))
    assert [f"{s.name}: {s.cause}" for s in make_plan(wanted(), have)] == [
        "delete configmap/old: is in the manifests no more",
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


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"gates": ("job/none",)}, "job/none: no such object in k8s"),
        ({"forwards": {"x": Forward(service="none", ports="1:1")}}, "forwards.x: no service/none in the manifests"),
        ({"forwards": {"x": Forward(service="api", ports="1:1")}}, "forwards.x: Service api has no port 1"),
        ({"secrets": {"s": {"A": "${env.NONE}"}}}, "NONE is missing"),
    ],
)
def test_what_the_manifests_and_the_table_do_not_agree_on_is_refused(change: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        wanted(**change)


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
    assert not any(isinstance(s.act, IssueCertificate) for s in make_plan(want, Observed()))
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
