"""The clusters of the scenarios: one with the project's stack, one with the hello project; both are taken down."""

import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster import foreign as foreigners
from tests.cluster import ingress as ingresses
from tests.cluster import registry as registries
from tests.cluster.environment import CHECKOUT, FIRST_UP_S, MARK, STATE, Environment, copied, free_ports
from tests.cluster.foreign import Foreign
from tests.cluster.ingress import Ingress
from tests.cluster.objects import NAMESPACE

SUITES = ("tests/__init__.py", "tests/service", "tests/test_cognition_learning.py")
STACK = ("pyproject.toml", ".env.example", "k8s", "scripts", *SUITES)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What needs the cluster of three nodes comes last, when the stack's is down: two cores do not bear both."""
    items.sort(key=lambda item: "foreign" in getattr(item, "fixturenames", ()))


@pytest.fixture(scope="session", autouse=True)
def _nothing_left() -> Iterator[None]:
    """What devenv remembers of the clusters of the tests goes when they are gone."""
    yield
    shutil.rmtree(STATE, ignore_errors=True)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environment]:
    """The project's own stack, up."""
    root = copied(CHECKOUT, tmp_path_factory.mktemp("stack"), STACK)
    names = ("api", "memory", "redis", "postgres", "https")
    env = Environment(f"t{MARK}-stack", root, dict(zip(names, free_ports(5), strict=True)))
    env.fine("down")
    env.fine("up", within_s=FIRST_UP_S)
    yield env
    env.fine("down")


@pytest.fixture(scope="session")
def ingress(stack: Environment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ingress]:
    """The ingress of the stack's cluster, with backends to lead to."""
    yield ingresses.installed(stack, tmp_path_factory.mktemp("certificates"))
    if stack.kubeconfig.exists():  # a scenario may have taken the cluster down
        stack.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


@pytest.fixture
def no_ingresses(ingress: Ingress) -> Iterator[None]:
    """Nothing is left of a scenario's Ingresses and certificates."""
    yield
    ingress.env.kubectl("-n", NAMESPACE, "delete", "ingresses,secrets", "--all")


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[str]:
    """The address of an empty registry."""
    with registries.serving(tmp_path) as address:
        yield address


@pytest.fixture(scope="session")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Foreign]:
    """A cluster that devenv did not make, with a registry."""
    folder = tmp_path_factory.mktemp("foreign")
    with foreigners.running(f"t{MARK}-foreign", free_ports(4)[3], folder) as there:
        yield there


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The devenv program of a virtual environment into which the wheel was installed."""
    home = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--quiet"]
    argv = [*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(home), str(CHECKOUT)]
    subprocess.run(argv, check=True, capture_output=True)
    venv.create(home / "venv", with_pip=False)
    (wheel,) = home.glob("*.whl")
    python = home / "venv/bin/python"
    site = next((home / "venv/lib").glob("python*")) / "site-packages"
    # The locked dependencies are those of the checkout's environment; devenv itself comes from the wheel, first on
    # the path.
    dependencies = next(Path(p) for p in sys.path if p.endswith("site-packages"))
    (site / "dependencies.pth").write_text(f"{dependencies}\n")
    subprocess.run([*pip, "--python", str(python), "install", "--no-deps", str(wheel)], check=True, capture_output=True)
    return home / "venv/bin/devenv"


@pytest.fixture
def hello_project(tmp_path: Path, installed: Path) -> Iterator[Environment]:
    """The hello project, with nothing up; whatever the test brings up is taken down."""
    source = CHECKOUT / "tests/projects/hello"
    root = copied(source, tmp_path, ("pyproject.toml", "app", "k8s"))
    env = Environment(f"t{MARK}-hello", root, {"web": free_ports(1)[0]}, program=installed)
    env.fine("down")
    yield env
    env.fine("down")
