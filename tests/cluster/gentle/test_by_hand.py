"""The stack by plain kubectl, without devenv."""

from tests.cluster.environment import Environment


def test_the_manifest_applies_with_plain_kubectl_in_another_namespace(stack: Environment) -> None:
    stack.shell("./scripts/make_secrets.sh by-hand | kubectl apply -f -")
    stack.shell("kubectl -n by-hand apply -f k8s/full-stack.yaml")
    stack.shell("kubectl -n by-hand wait --for=condition=complete job/somabrain-migrate --timeout=180s")
    stack.shell("kubectl -n by-hand rollout status deployment/somabrain --timeout=180s")
    stack.kubectl("delete", "namespace", "by-hand", "--wait=false")
