"""The clusters of the scenarios: one with the project's stack, one of three nodes; both are taken down."""

from collections.abc import Iterator

import pytest

from tests.cluster import foreign as foreigners
from tests.cluster import ingress as ingresses
from tests.cluster.environment import CHECKOUT, MARK, Environment, copied, free_ports
from tests.cluster.foreign import Foreign
from tests.cluster.ingress import Ingress
from tests.cluster.shared import Shared

SUITES = ("tests/__init__.py", "tests/service", "tests/test_cognition_learning.py")
STACK = ("pyproject.toml", ".env.example", "k8s", "scripts", *SUITES)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Mark the shared stack where a test that used it failed."""
    report: pytest.TestReport = yield  # type: ignore[assignment]
    used = getattr(item, "funcargs", {}).get("shared")
    if report.failed and isinstance(used, Shared):
        used.dirty = True
    return report  # type: ignore[return-value]


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    """The project's own stack, up."""
    root = copied(CHECKOUT, tmp_path_factory.mktemp("stack"), STACK)
    names = ("api", "memory", "redis", "postgres", "https")
    env = Environment(f"t{MARK}-stack", root, dict(zip(names, free_ports(5), strict=True)))
    stack = Shared(env, tmp_path_factory.mktemp("history") / "git")
    env.fine("down")
    stack.up()
    stack.keep()
    yield stack
    env.fine("down")


@pytest.fixture
def stack(shared: Shared) -> Environment:
    """The project's own stack, healthy and as it is written."""
    shared.heal()
    return shared.env


@pytest.fixture
def ingress(shared: Shared, stack: Environment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ingress]:
    """The ingress of the stack's cluster, with backends to lead to, and no Ingress or certificate of another test."""
    installed = shared.ingress or ingresses.installed(stack, tmp_path_factory.mktemp("certificates"))
    shared.ingress = installed
    yield installed
    installed.clear()


@pytest.fixture(scope="session")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Foreign]:
    """A cluster of three nodes that devenv did not make, with a registry."""
    with foreigners.running(f"t{MARK}-foreign", free_ports(4)[3], tmp_path_factory.mktemp("foreign"), 3) as there:
        yield there
