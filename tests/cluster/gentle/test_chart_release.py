"""The chart on the stack's cluster, in a namespace of its own: installed, upgraded, taken back, removed."""

import json
from collections.abc import Iterator

import pytest

from tests.cluster.environment import Environment

SPACE = "charted"
CHART = "k8s/chart --values k8s/chart/values-dev.yaml --set priorityClasses.create=false"  # the stack has made those


@pytest.fixture
def charted(stack: Environment) -> Iterator[Environment]:
    stack.shell(f"./scripts/make_secrets.sh {SPACE} | kubectl apply -f -")
    yield stack
    stack.kubectl("delete", "namespace", SPACE, "--wait=false")


def helm(stack: Environment, words: str, timeout: str = "240s") -> str:
    return stack.shell(f"PATH={stack.program.parent}:$PATH\nhelm --namespace {SPACE} {words} --timeout {timeout}")


def rolled_out(stack: Environment) -> dict[str, str]:
    """Return the settings of the API's pods, once they are ready."""
    stack.kubectl("-n", SPACE, "rollout", "status", "deployment/somabrain", "--timeout=240s")
    deployment = json.loads(stack.kubectl("-n", SPACE, "get", "deployment", "somabrain", "-o", "json"))
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    return {e["name"]: e.get("value", "") for e in container["env"]}


def overrides(stack: Environment) -> dict[str, str]:
    found = json.loads(stack.kubectl("-n", SPACE, "get", "configmap", "somabrain-overrides", "-o", "json"))
    return dict(found.get("data") or {})


def test_a_release_is_installed_upgraded_taken_back_and_removed(charted: Environment) -> None:
    helm(charted, f"install somabrain {CHART}")
    assert "SOMABRAIN_WM_TTL_SECONDS" not in rolled_out(charted)
    # Helm 4.2 waits for the whole of a test's timeout before it starts the Job.
    assert "Phase:          Succeeded" in helm(charted, "test somabrain", "30s")
    assert '"ok":true' in charted.kubectl("-n", SPACE, "logs", "job/somabrain-health-check")

    hot = {"data": {"somabrain.hot_fix.py": "# of an emergency"}}
    charted.kubectl("-n", SPACE, "patch", "configmap", "somabrain-overrides", "-p", json.dumps(hot))
    helm(charted, f"upgrade somabrain {CHART} --set-string workloads.somabrain.env.SOMABRAIN_WM_TTL_SECONDS=30")
    assert rolled_out(charted)["SOMABRAIN_WM_TTL_SECONDS"] == "30"
    assert overrides(charted) == hot["data"]

    helm(charted, "rollback somabrain 1")
    assert "SOMABRAIN_WM_TTL_SECONDS" not in rolled_out(charted)
    assert overrides(charted) == hot["data"]

    helm(charted, "uninstall somabrain")
    assert charted.kubectl("-n", SPACE, "get", "deployments,statefulsets", "-o", "name") == ""
    assert "priorityclass.scheduling.k8s.io/somabrain" in charted.kubectl("get", "priorityclasses", "-o", "name")
