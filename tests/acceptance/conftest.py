"""The acceptance tests keep what they see, and write a report where `make acceptance` asks for one."""

from collections.abc import Generator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.acceptance.evidence import LINES, Evidence, Outcome, Record, write
from tests.integration.deployment import System

_RECORD = pytest.StashKey[Record]()
_WHERE = pytest.StashKey[dict[str, str]]()


def pytest_configure(config: pytest.Config) -> None:
    """Begin with nothing seen."""
    config.stash[_RECORD] = Record()


@pytest.fixture
def evidence(request: pytest.FixtureRequest) -> Evidence:
    """Where a test keeps raw samples of what the stage answers."""
    return Evidence(request.config.stash[_RECORD], request.node.nodeid)


@pytest.fixture(autouse=True)
def _where(request: pytest.FixtureRequest) -> None:
    """Note what is tested, while it is there."""
    if "system" in request.fixturenames and _WHERE not in request.config.stash:
        system: System = request.getfixturevalue("system")
        request.config.stash[_WHERE] = {
            "stage": system.stage.name,
            "account": system.stage.account(),
            "region": system.stage.region,
            "endpoint": system.stage.endpoint or "AWS",
            "prefix": system.prefix,
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
        }


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note how a test ended: by its call, or by a setup or teardown that failed."""
    report = yield
    if report.when == "call" or report.outcome != "passed":
        why = str(call.excinfo.value).splitlines()[0] if call.excinfo and str(call.excinfo.value) else ""
        lines = [line for mark in item.iter_markers("parity") for line in mark.args]
        item.config.stash[_RECORD].outcomes.append(Outcome(item.nodeid, lines, report.outcome, why))
    return report


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse a test that observes a line which the parity report does not have."""
    for item in items:
        for mark in item.iter_markers("parity"):
            unknown = set(mark.args) - LINES.keys()
            if unknown:
                raise pytest.UsageError(f"{item.nodeid} observes {unknown}, which the parity report does not have")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the report into the folder of the trial."""
    folder = session.config.getoption("--folder")
    if folder and _WHERE in session.config.stash:
        ended = {"ended": datetime.now(UTC).isoformat(timespec="seconds")}
        write(session.config.stash[_RECORD], session.config.stash[_WHERE] | ended, Path(folder))
