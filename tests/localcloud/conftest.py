"""A local cloud for the tests of this folder, and what they deploy on it."""

from collections.abc import Iterator
from uuid import uuid4

import pytest

from tests.acceptance.probe import RAISES_ON_POISON, Probe
from tests.localcloud.processes import Cloud
from tests.simulation.cases import Behaviour


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """Emulator and engine, running."""
    cloud = Cloud(tmp_path_factory.mktemp("cloud"))
    try:
        cloud.begin()
        yield cloud
    finally:
        cloud.down()


class Deployment(Probe):
    """A probe on a cloud whose processes can be killed."""

    def __init__(self, cloud: Cloud, function: Behaviour = RAISES_ON_POISON, name: str = "") -> None:
        self.cloud = cloud
        super().__init__(cloud.client, name or f"t-{uuid4().hex[:8]}", function)

    def problem(self, uuid: str) -> str:
        """What the engine says of a mapping."""
        return str(self.cloud.heartbeat().get("mappings", {}).get(uuid, ""))


@pytest.fixture
def deployment(cloud: Cloud) -> Iterator[Deployment]:
    """A function that may do all that a mapping needs."""
    deployment = Deployment(cloud)
    yield deployment
    deployment.delete_mappings()
