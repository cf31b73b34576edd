"""What is told of mappings."""

import pytest

from localcloud.engine.status import LoggedStatus


def test_a_problem_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    status = LoggedStatus()

    for _ in range(3):
        status.problem("u", "stream", "gone")
    status.well("u", "stream")
    status.well("u", "stream")

    assert caplog.messages == ["u: stream: PROBLEM: gone", "u: stream: well again"]


def test_a_fault_is_told_once_with_its_trace(caplog: pytest.LogCaptureFixture) -> None:
    status = LoggedStatus()

    for _ in range(3):
        status.fault("u", OSError("disk full"))

    [record] = caplog.records
    assert record.exc_info
    assert status.results() == {"u": "PROBLEM: engine: OSError('disk full')"}


def test_results_name_every_problem() -> None:
    status = LoggedStatus()

    status.problem("u", "stream", "gone")
    status.problem("u", "function", "throttled")
    status.well("v", "stream")

    assert status.results() == {"u": "PROBLEM: stream: gone; PROBLEM: function: throttled", "v": "OK"}
