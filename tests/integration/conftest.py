"""What the integration tests share: the system, deployed once for all of them."""

import signal
from collections.abc import Iterator

import pytest

from tests.integration.deployment import System, deployed_system


@pytest.fixture(scope="session", autouse=True)
def _interruptible() -> None:
    """Let commands be interrupted also where a shell runs the tests in the background, and has them ignore SIGINT."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """The deployed system; destroyed at the end, whatever happens, and then nothing may be left of it."""
    with deployed_system(tmp_path_factory.mktemp("system"), prefix="test-") as deployed:
        yield deployed
