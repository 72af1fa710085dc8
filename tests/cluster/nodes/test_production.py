"""Production on a cluster that devenv did not make: promoted, rolled out and drained without a failed request.

Apart from staging: a rollout wants room for one pod more on each node, and these nodes share a small machine.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.client import Client
from tests.cluster.nodes.release import SECRETS, Release, cleared, secrets

PROD, OUTSIDE = "somabrain-prod", "outside"
THREE_READY = ("--for=jsonpath={.status.readyReplicas}=3", "deployment/somabrain", "--timeout=300s")


def postgres_outside(release: Release) -> str:
    """Run a database as production has it, not of the stack; return its address."""
    pod = {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "postgres", "labels": {"app": "postgres"}},
        "spec": {"containers": [{
            "name": "postgres", "image": release.images["postgres"],
            "env": [{"name": key, "value": value} for key, value in SECRETS.items()],
        }]},
    }  # fmt: skip
    foreign = release.foreign
    foreign.kubectl("create", "namespace", OUTSIDE)
    foreign.kubectl("-n", OUTSIDE, "apply", "-f", "-", stdin=json.dumps(pod))
    foreign.kubectl("-n", OUTSIDE, "expose", "pod", "postgres", "--port=5432")
    foreign.kubectl("-n", OUTSIDE, "wait", "--for=condition=Ready", "pod/postgres", "--timeout=120s")
    return f"postgres.{OUTSIDE}.svc.cluster.local"


@pytest.fixture(scope="module")
def prod(release: Release) -> Iterator[Release]:
    foreign = release.foreign
    foreign.kubectl("create", "namespace", PROD)
    secrets(foreign, PROD, postgres_outside(release))
    release.fine("prod")
    foreign.kubectl("-n", PROD, "wait", *THREE_READY)
    yield release
    cleared(foreign, PROD, OUTSIDE)


def nodes(release: Release, app: str) -> list[str]:
    """Return the nodes of an app's pods, of those that stay."""
    return [pod["spec"]["nodeName"] for pod in release.pods(PROD, "-l", f"app={app}")]


def test_production_is_three_pods_apart(prod: Release) -> None:
    counts = [nodes(prod, "somabrain").count(node) for node in set(nodes(prod, "somabrain"))]
    assert sum(counts) == 3
    assert max(counts) - min(counts) <= 1
    assert len(set(nodes(prod, "sb-opa"))) == 2


def test_a_rollout_in_production_fails_no_request(prod: Release, tmp_path: Path) -> None:
    new = prod.variant("prod", "LABEL of=production", {}, tmp_path)
    with Client(prod.foreign, PROD, prod.images["somabrain"]) as client:
        prod.fine("prod", somabrain=new)
    assert prod.api(PROD)["image"] == new
    assert client.failures == []
    assert client.sent > 0


def test_a_drained_node_takes_nothing_from_production_s_clients(prod: Release) -> None:
    """Redis is one pod (docs/production.md), and so is the tests' database: the node drained is another than theirs."""
    kubectl = prod.foreign.kubectl
    (redis,) = nodes(prod, "sb-redis")
    postgres = kubectl("-n", OUTSIDE, "get", "pod", "postgres", "-o", "jsonpath={.spec.nodeName}")
    drained = next(node for node in nodes(prod, "somabrain") if node not in (redis, postgres))
    with Client(prod.foreign, PROD, prod.images["somabrain"], node=redis) as client:
        try:
            kubectl("drain", drained, "--ignore-daemonsets", "--delete-emptydir-data", "--force", "--timeout=300s")
            kubectl("-n", PROD, "wait", *THREE_READY)
            assert drained not in nodes(prod, "somabrain")
        finally:
            kubectl("uncordon", drained)
    assert client.failures == []
    assert client.sent > 0
