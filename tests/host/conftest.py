"""A cluster of one node that devenv did not make."""

from collections.abc import Iterator

import pytest

from tests.cluster import foreign as foreigners
from tests.cluster.environment import MARK, free_ports
from tests.cluster.foreign import Foreign


@pytest.fixture(scope="session")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Foreign]:
    """A cluster that devenv did not make, with a registry."""
    with foreigners.running(f"t{MARK}-foreign", free_ports(4)[3], tmp_path_factory.mktemp("foreign"), 1) as there:
        yield there
