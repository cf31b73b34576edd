"""What the integration tests share: the system, deployed once for all of them."""

from collections.abc import Iterator

import pytest

from tests.integration.deployment import System, deployed_system


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """The deployed system; destroyed at the end, whatever happens, and then nothing may be left of it."""
    with deployed_system(tmp_path_factory.mktemp("system"), prefix="test-") as deployed:
        yield deployed
