"""What tests of several folders share: a registry, the installed wheel, the smallest project; and a fit machine."""

import shutil
import signal
import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest

from devenv.system import masking
from tests import fitness
from tests.cluster import registry as registries
from tests.cluster.environment import CHECKOUT, LOGS, MARK, STATE, Environment, copied, free_ports

NEED_DOCKER = ("tests/cluster/", "tests/host/")


def pytest_configure() -> None:
    """A run that is ended takes its clusters down first, as an interrupted one does."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def pytest_collection_finish(session: pytest.Session) -> None:
    if session.config.option.collectonly or not any(i.nodeid.startswith(NEED_DOCKER) for i in session.items):
        return
    if why := fitness.unfit():
        pytest.exit(f"this machine cannot run the tests: {why}", returncode=2)
    shutil.rmtree(LOGS, ignore_errors=True)


@pytest.fixture(scope="session", autouse=True)
def _nothing_left() -> Iterator[None]:
    """What devenv remembers of the clusters of the tests goes when they are gone."""
    yield
    shutil.rmtree(STATE, ignore_errors=True)


@pytest.fixture(autouse=True)
def _nothing_hidden() -> Iterator[None]:
    """What a test reads of secrets is hidden in its own output alone."""
    yield
    masking.forget()


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[str]:
    """The address of an empty registry."""
    with registries.serving(tmp_path) as address:
        yield address


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
