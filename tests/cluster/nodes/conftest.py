"""The release that the scenarios promote."""

import subprocess

import pytest

from tests.cluster.conftest import STACK
from tests.cluster.environment import CHECKOUT, Environment, copied
from tests.cluster.foreign import Foreign
from tests.cluster.nodes.release import Release


@pytest.fixture(scope="session")
def release(foreign: Foreign, tmp_path_factory: pytest.TempPathFactory) -> Release:
    root = copied(CHECKOUT, tmp_path_factory.mktemp("release"), STACK)
    for words in (("init", "--quiet"), ("add", "--all"), ("commit", "--quiet", "--message", "A release")):
        subprocess.run(["git", "-c", "user.name=t", "-c", "user.email=t@example.com", *words], cwd=root, check=True)
    env = Environment("promotion", root, {}, extra={"KUBECONFIG": str(foreign.kubeconfig)})
    names = ("somabrain", "postgres", "redis", "opa")
    pushed = env.fine("images", "push", *names, "--registry", foreign.registry).split()
    images = {ref.partition("@")[0].rpartition("/")[2]: ref for ref in pushed}
    assert set(images) == set(names)
    return Release(env, foreign, images)
