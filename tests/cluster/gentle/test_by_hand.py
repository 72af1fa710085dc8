"""The stack by plain kubectl, without devenv."""

import re
from collections.abc import Iterator

import pytest

from tests.cluster.environment import CHECKOUT, Environment
from tests.rendering import REGISTRY

JOBS = ("somabrain-migrate", "somabrain-health-check")


def test_the_manifest_applies_with_plain_kubectl_in_another_namespace(stack: Environment) -> None:
    stack.shell("./scripts/make_secrets.sh by-hand | kubectl apply -f -")
    stack.shell("kubectl -n by-hand apply -f k8s/full-stack.yaml")
    stack.shell("kubectl -n by-hand wait --for=condition=complete job/somabrain-migrate --timeout=180s")
    stack.shell("kubectl -n by-hand rollout status deployment/somabrain --timeout=180s")
    stack.kubectl("delete", "namespace", "by-hand", "--wait=false")


@pytest.fixture
def staging(stack: Environment) -> Iterator[Environment]:
    """The stack, and an empty namespace of staging's name beside it."""
    stack.kubectl("create", "namespace", "somabrain-staging")
    yield stack
    stack.kubectl("delete", "namespace", "somabrain-staging", "--wait=false")
    for file in ("1.yaml", "2.yaml", "release.yaml"):
        (stack.root / file).unlink(missing_ok=True)


def uids(env: Environment) -> dict[str, str]:
    jobs = env.objects("-n", "somabrain-staging", "jobs")
    return {job["metadata"]["name"]: job["metadata"]["uid"] for job in jobs}


def test_a_later_release_replaces_its_jobs_and_the_same_one_again_leaves_them(staging: Environment) -> None:
    """Of the documented commands, those about the Jobs: no node has the images, and the rest is not to stand here."""
    text = (CHECKOUT / "docs/production.md").read_text()
    forced = "\n".join(re.findall(r"^kubectl apply --force .*$", text, re.MULTILINE))
    assert forced.count("\n") == 1
    plain = f"kubectl apply --selector 'app in ({', '.join(JOBS)})' -f release.yaml"
    for digit in "12":
        images = " ".join(
            f"{REGISTRY}/{name}@sha256:{digit * 64}" for name in ("somabrain", "postgres", "redis", "opa")
        )
        staging.shell(f"./scripts/render.sh staging {images} >{digit}.yaml")
    staging.shell(f"cp 1.yaml release.yaml\n{plain}")
    first = uids(staging)
    assert first.keys() == set(JOBS)
    with pytest.raises(AssertionError, match="field is immutable"):
        staging.shell(f"cp 2.yaml release.yaml\n{plain}")
    staging.shell(forced)
    second = uids(staging)
    assert not set(first.values()) & set(second.values())
    staging.shell(f"{forced}\n{plain}")
    assert uids(staging) == second
