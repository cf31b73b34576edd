"""What all tests share: the stage to test, and the system deployed there, once for everything."""

import os
import signal
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import botocore.session
import pytest
from botocore.loaders import create_loader

from scripts.stage import LOCAL
from tests import waiting
from tests.scheduling import BySharedSystem, in_order

if TYPE_CHECKING:
    from tests.integration.deployment import System

# Otherwise every session reads the services' models again, which takes longer than most tests do.
botocore.session.create_loader = cache(create_loader)


@pytest.fixture(autouse=True)
def _environment_is_left_as_it_was() -> Iterator[None]:
    """Blame the test that changes the environment for good, rather than a later one of the same process."""
    before = dict(os.environ)
    yield
    after = {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}
    before.pop("PYTEST_CURRENT_TEST", None)
    changed = sorted(name for name in before | after if before.get(name) != after.get(name))
    os.environ.update({name: before[name] for name in changed if name in before})
    for name in changed:
        if name not in before:
            del os.environ[name]
    assert changed == [], "left changed in the environment"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options with which `make acceptance` starts the tests."""
    group = parser.getgroup("acceptance", "the acceptance tests (make acceptance)")
    group.addoption("--stage", default=LOCAL, help="the stage to test a trial of; by default a local cloud")
    group.addoption("--account", default="", help="the AWS account that the user agreed to")
    group.addoption("--folder", help="where the trial and its report are kept; by default a temporary folder")
    group.addoption("--all-cases", action="store_true", help="run every case that the stage can show")


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, and wait as long as the stage needs."""
    config.addinivalue_line("markers", "parity(line, ...): the lines of the parity report that the test observes")
    if config.getoption("--stage") != LOCAL:
        waiting.be_patient(waiting.AWS)


@pytest.fixture(scope="session", autouse=True)
def _interruptible() -> None:
    """Let commands be interrupted also where a shell runs the tests in the background, and has them ignore SIGINT."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> BySharedSystem:
    """Let tests of one deployed system run in one process."""
    return BySharedSystem(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Run the longest files first. Refuse a stage in AWS to all but the acceptance tests, and to moto's opinion."""
    items[:] = in_order(items)
    if config.getoption("--stage") != LOCAL:
        items[:] = [item for item in items if not item.nodeid.startswith("tests/acceptance/test_moto.py")]
        others = [item.nodeid for item in items if not item.nodeid.startswith("tests/acceptance/")]
        if others:
            raise pytest.UsageError(f"--stage is for tests/acceptance, not for {others[0]}")


@pytest.fixture(scope="session")
def system(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator["System"]:
    """The deployed system; destroyed at the end, whatever happens, and then nothing may be left of it."""
    from tests.integration.deployment import aws_stage, deployed_system, local_stage

    option = request.config.getoption
    folder = Path(option("--folder") or tmp_path_factory.mktemp("system"))
    name = option("--stage")
    with (
        local_stage(folder) if name == LOCAL else aws_stage(name, option("--account")) as stage,
        deployed_system(stage, folder, in_own_account=name == LOCAL) as deployed,
    ):
        yield deployed
